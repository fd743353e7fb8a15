"""kill -9 of an environment worker and of convert.py, and a simulation that diverges: what was finished is kept, the
rest is named or missing."""

import json
import os
import signal
from pathlib import Path

from evaluation import result as results
from tests.cli.command import TINY, run, start
from tests.processes import children, is_running, wait_for

EPISODES = 6
WORDS = (*TINY, "obs=state", "crpi.alpha=0", f"num_eval_episodes={EPISODES}", "max_decisions=200", "num_workers=1")


def cells(folder: Path, steps: int | None = None) -> int:
    """How many episodes are stored; with `steps` those of the network with that T."""
    found = [json.loads(path.read_text())["key"] for path in folder.glob("results/cells/??/*.json")]
    return sum(steps is None or cell["method"]["timesteps"] == steps for cell in found)


def shared_memory() -> set[str]:
    """Names in /dev/shm, but for those of joblib's pools, which tests beside this one may be running."""
    return {name for name in os.listdir("/dev/shm") if "loky" not in name and "joblib" not in name}


def test_a_killed_worker_fails_its_job_with_the_cause_and_no_other(cwd):
    process = start("convert.py", *WORDS, "-m", "SNN_ts=2,3", cwd=cwd)
    wait_for(lambda: cells(cwd) >= 2, process)
    [worker] = children(process.pid)
    os.kill(worker, signal.SIGKILL)
    output = process.output(1).stdout
    [line] = [line for line in output.splitlines() if line.startswith("error: ")]
    assert f"process {worker}" in line and "SIGKILL" in line
    jobs = {r.config["SNN_ts"]: r for r in map(results.read, cwd.glob("results/sweeps/*/*/result.json"))}
    assert "SIGKILL" in jobs[2].cause and jobs[3].status == "ok"


def test_after_a_killed_convert_nothing_runs_on_and_a_rerun_goes_on(cwd):
    shared = shared_memory()
    process = start("convert.py", *WORDS, cwd=cwd)
    wait_for(lambda: cells(cwd) >= 2, process)
    workers = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    assert workers
    wait_for(lambda: not any(map(is_running, workers)), seconds=30)
    assert shared_memory() <= shared
    assert not list(cwd.glob("results/cartpole_swingup/*/result.json"))
    kept = cells(cwd)
    run("convert.py", *WORDS, cwd=cwd)
    [path] = cwd.glob("results/cartpole_swingup/*/result.json")
    timing = results.read(path).timing
    assert (timing["episodes_reused"], timing["episodes_computed"]) == (kept, 2 * EPISODES - kept)
