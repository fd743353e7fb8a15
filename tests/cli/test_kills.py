"""kill -9 of an environment worker and of convert.py: what was finished is kept, the rest is named or missing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from evaluation import result as results
from tests.cli.command import run, start
from tests.evaluation.conftest import write_small_policy

EPISODES = 12
WORDS = (
    "env_name=cartpole_swingup",
    "obs=state",
    "SNN_ts=2",
    "crpi.alpha=0",
    "calibration.steps=8",
    f"num_eval_episodes={EPISODES}",
    "max_decisions=200",
    "num_workers=1",
    "chunk=2",
    "device=cpu",
)


@pytest.fixture
def cwd(tmp_path):
    write_small_policy(tmp_path / "exp_local/cartpole_swingup/state_seed1/snapshot.pt")
    return tmp_path


def cells(folder: Path) -> int:
    return len(list(folder.glob("results/cells/??/*.json")))


def children(process: subprocess.Popen) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def wait_for_cells(process: subprocess.Popen, folder: Path, count: int) -> list[int]:
    """The workers of `process`, once it has finished that many episodes."""
    deadline = time.monotonic() + 120
    while cells(folder) < count:
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    return children(process)


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def shared_memory() -> set[str]:
    """Names in /dev/shm, but for those of joblib's pools, which tests beside this one may be running."""
    return {name for name in os.listdir("/dev/shm") if "loky" not in name and "joblib" not in name}


def assert_only_the_missing_is_computed(cwd: Path, kept: int) -> None:
    done = run("convert.py", *WORDS, cwd=cwd)
    assert done.returncode == 0, done.stderr
    newest = max(cwd.glob("results/cartpole_swingup/*/result.json"), key=lambda path: path.stat().st_mtime)
    timing = results.read(newest).timing
    assert (timing["episodes_reused"], timing["episodes_computed"]) == (kept, 2 * EPISODES - kept)


def test_a_killed_worker_fails_its_job_with_the_cause_and_a_rerun_goes_on(cwd):
    process = start("convert.py", *WORDS, "-m", "SNN_ts=2,3", cwd=cwd)
    [worker] = wait_for_cells(process, cwd, 2)
    os.kill(worker, signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in output, output
    [line] = [line for line in output.splitlines() if line.startswith("error: ")]
    assert f"process {worker}" in line and "SIGKILL" in line
    found = {r.config["SNN_ts"]: r for r in map(results.read, cwd.glob("results/sweeps/*/*/result.json"))}
    assert (found[2].status, found[3].status) == ("failed", "ok") and "SIGKILL" in found[2].cause
    # The other job has played the ANN's episodes and its own; of the failed one's own some may be there.
    own = cells(cwd) - 2 * EPISODES
    assert 0 <= own < EPISODES
    assert_only_the_missing_is_computed(cwd, EPISODES + own)


def test_after_a_killed_convert_nothing_runs_on_and_a_rerun_goes_on(cwd):
    shared = shared_memory()
    process = start("convert.py", *WORDS, cwd=cwd)
    workers = wait_for_cells(process, cwd, 2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while any(is_running(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers and not any(is_running(worker) for worker in workers)
    assert shared_memory() <= shared
    assert not list(cwd.glob("results/cartpole_swingup/*/result.json"))
    assert_only_the_missing_is_computed(cwd, cells(cwd))
