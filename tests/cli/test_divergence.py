"""convert.py where the simulation diverges: the job is marked failed with its cause, and the others go on."""

from __future__ import annotations

from evaluation import result as results
from tests.cli.command import ROOT, TINY, run

# convert.py as it is, but for a pole that is set spinning at 10⁹ rad/s in one of the environments' processes' steps.
PROGRAM = f"""
import runpy, sys
from envs.suite import SuiteTask

sys.argv[0] = "{ROOT / "convert.py"}"
step, count = SuiteTask.step, 0

def spin(task, control):
    global count
    count += 1
    if count == 500:
        task.physics.data.qvel[1] = 1e9
    return step(task, control)

SuiteTask.step = spin
runpy.run_path(sys.argv[0], run_name="__main__")
"""
WORDS = (*TINY, "obs=state", "num_eval_episodes=4", "max_decisions=100")


def test_the_job_fails_with_the_cause_and_the_sweep_goes_on(cwd):
    (cwd / "spinning.py").write_text(PROGRAM)
    done = run(str(cwd / "spinning.py"), *WORDS, "-m", "SNN_ts=2,3", cwd=cwd, code=1)
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (
        "cartpole_swingup: the simulation became unstable at decision" in line
        and "of stream report, seed 1 (mjWARN_BAD" in line
    )
    assert "WARNING" not in done.stderr
    found = {r.config["SNN_ts"]: r for r in map(results.read, cwd.glob("results/sweeps/*/*/result.json"))}
    assert (found[2].status, found[3].status) == ("failed", "ok") and line == f"error: [1/2 SNN_ts=2] {found[2].cause}"
