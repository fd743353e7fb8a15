"""Sweeps in other processes: joblib and submitit as their users start them, jobs that fail, jobs that are killed."""

import os
import signal
from pathlib import Path

import pytest

from evaluation import result as results
from tests.cli.command import TINY, run, start
from tests.cli.test_kills import cells
from tests.processes import children, descendants, is_running, read, wait_for

pytest.importorskip("joblib")
pytest.importorskip("submitit")

# State policies that ship with the repository.
WORDS = (*TINY, "obs=state", "crpi.alpha=0", "hydra.sweep.dir=swept")
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
SUBMITIT = ("hydra/launcher=submitit_local",)
SLURM = ("hydra/launcher=submitit_slurm", "hydra.launcher.partition=short", "hydra.launcher.timeout_min=30")


def report_of(folder: Path) -> str:
    return (folder / "report" / "report.md").read_text()


def tools(folder: Path, **scripts: str) -> str:
    """A PATH on which these shell scripts come first."""
    (folder / "bin").mkdir()
    for name, text in scripts.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}")
        (folder / "bin" / name).chmod(0o755)
    return os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])


# What submitit asks of Slurm, answered by this machine: all jobs of an array run at once.
SBATCH = """for file; do :; done
echo "$*" >> {log}
grep '^#SBATCH' "$file" >> {log}
(
    last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$file")
    for task in $(seq 0 "$last"); do
        export SLURM_JOB_ID=7$task SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$task SLURM_LOCALID=0 SLURM_PROCID=0
        export SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_JOB_NODELIST=here SLURM_NODELIST=here
        sh "$file" &
    done
) >/dev/null 2>&1 </dev/null &
echo "Submitted batch job 7"
"""
SRUN = """while [ "$1" != "${1#-}" ]; do
    case $1 in --output | --error) shift ;; esac
    shift
done
exec "$@"
"""
SACCT = """echo 'JobID|State|NodeList'
"""


@pytest.mark.parametrize("launcher", [JOBLIB, SUBMITIT, SLURM], ids=["joblib", "submitit_local", "submitit_slurm"])
def test_two_jobs_in_processes_of_their_own_one_of_which_fails(tmp_path, launcher):
    log = tmp_path / "log"
    path = tools(tmp_path, sbatch=SBATCH.format(log=log), srun=SRUN, sacct=SACCT, scontrol=SACCT)
    words = (*launcher, *WORDS, "env_name=cheetah_run", "SNN_ts=2,0")
    done = run("convert.py", "-m", *words, cwd=tmp_path, timeout=900, code=1, PATH=path)
    [line] = [line for line in done.stderr.splitlines() if "error: " in line]
    assert line == "error: [2/2 SNN_ts=0] SNN_ts=0: must be an integer of at least 1"
    assert "[1/2 SNN_ts=2] ANN " in done.stdout or launcher is not JOBLIB
    assert "2 jobs: 1 cut short by max\\_decisions, 1 failed." in report_of(tmp_path / "swept")
    assert results.read(tmp_path / "swept/1").cause == "SNN_ts=0: must be an integer of at least 1"
    assert results.read(tmp_path / "swept/0").timing["episodes_computed"] == 4
    if launcher is SLURM:
        asked = log.read_text()
        assert "--partition=short" in asked and "--time=30" in asked and "--array=0-1" in asked


EPISODES = 8
LONG = (*WORDS, f"num_eval_episodes={EPISODES}", "max_decisions=100", "num_workers=1")
TRAINING = """task=cartpole_swingup preset=state num_seed_frames=40 num_expl_steps=10 num_eval_episodes=1
              max_decisions=20 batch_size=8 hidden_dim=16 feature_dim=8 use_tb=false device=cpu""".split()


def test_kill_9_of_a_submitit_job(tmp_path):
    process = start("convert.py", "-m", *SUBMITIT, *LONG, "SNN_ts=40,2", cwd=tmp_path)
    wait_for(lambda: cells(tmp_path, 40) >= 2, process)
    # The first job's controller, and the job itself.
    controller = min(int(path.name) for path in (tmp_path / "swept/.submitit").glob("[0-9]*"))
    [job] = children(controller)
    os.kill(job, signal.SIGKILL)
    output = process.output(1, timeout=600).stdout
    [line] = [line for line in output.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: [1/2] submitit's job {controller} ended without a result")
    assert f"{controller}_0_log.err" in line
    assert f"report: {tmp_path / 'swept/report/report.html'}" in output
    assert "2 jobs: 1 cut short by max\\_decisions, 1 without a result." in report_of(tmp_path / "swept")
    assert results.read(tmp_path / "swept/1").status == "ok" and not (tmp_path / "swept/0/result.json").exists()


def test_kill_9_of_a_joblib_process(tmp_path):
    # So many episodes that the other job can't finish before joblib notices.
    process = start("convert.py", "-m", *JOBLIB, *LONG, "num_eval_episodes=40", "SNN_ts=40,42", cwd=tmp_path)
    wait_for(lambda: cells(tmp_path, 40) and cells(tmp_path, 42), process)
    below = descendants(process.pid)
    [job, *_] = [pid for pid in below if "envs.worker" in "".join(read(child, "cmdline") for child in children(pid))]
    os.kill(job, signal.SIGKILL)
    assert "error: one of the processes was killed" in process.output(1, timeout=600).stdout
    assert "2 jobs: 2 without a result." in report_of(tmp_path / "swept")


def test_ctrl_c_ends_every_process_of_joblib(tmp_path):
    """Without psutil joblib asks pgrep, which slim images lack and a second Ctrl-C ends: it failed in a traceback then,
    and the trainings went on unseen."""
    words = (*JOBLIB, *TRAINING, "num_train_frames=1000000", "seed=1,2")
    process = start("train.py", "-m", *words, cwd=tmp_path, PATH=tools(tmp_path, pgrep="exit 3\n"))
    curves = lambda: [path.read_text() for path in tmp_path.glob("exp_local/*/*/train.csv")]  # noqa: E731
    wait_for(lambda: sum(text.count("\n") > 2 for text in curves()) == 2, process)
    below = descendants(process.pid)
    assert len(below) >= 2
    os.killpg(process.pid, signal.SIGINT)
    try:
        assert "stopped by Ctrl-C" in process.output(130, timeout=60).stdout
        # joblib's resource tracker goes a moment after it.
        wait_for(lambda: not any(map(is_running, below)), seconds=60)
    finally:
        for pid in filter(is_running, below):
            os.kill(pid, signal.SIGKILL)
