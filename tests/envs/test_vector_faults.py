"""Workers that die, parents that die, and what is left afterwards: nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import envs
from envs.vector import VectorEnv, WorkerError
from runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes through /proc"),
    pytest.mark.usefixtures("nothing_is_left"),
]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pids, seconds=20):
    deadline = time.monotonic() + seconds
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < deadline, f"workers {left} are still there"
        time.sleep(0.05)


def pids(vector):
    return [worker.pid for worker in vector._workers]


def running(count=2, workers=2, **settings):
    vector = VectorEnv("cheetah_run", num_envs=count, obs="state", num_workers=workers, **settings)
    vector.reset(range(count), [(0, 0, number) for number in range(count)])
    return vector


def test_close_ends_the_workers():
    with running() as vector:
        workers = pids(vector)
        assert len(workers) == 2 and all(map(alive, workers))
    assert not any(map(alive, workers))
    vector.close()
    assert vector.observations.any()  # what was seen last can still be read


def test_an_exception_ends_the_workers():
    with pytest.raises(ZeroDivisionError), running() as vector:
        workers = pids(vector)
        raise ZeroDivisionError
    assert not any(map(alive, workers))


def test_forgetting_to_close_ends_the_workers():
    vector = running()
    workers = pids(vector)
    del vector
    wait_until_gone(workers)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_a_dead_worker_is_one_clear_error(name):
    vector = running()
    workers = pids(vector)
    os.kill(workers[1], getattr(signal, name))
    with pytest.raises(
        WorkerError, match=f"^environment worker 1 \\(process {workers[1]}\\) was killed by {name}.* during step$"
    ) as death:
        for _ in range(3):
            vector.step([0, 1], np.zeros((2, 6), np.float32))
    assert isinstance(death.value, UserError) and "\n" not in str(death.value)
    assert not any(map(alive, workers))
    with pytest.raises(RuntimeError, match="closed"):
        vector.step([0], np.zeros((1, 6), np.float32))
    vector.close()


def test_a_worker_that_dies_between_step_async_and_step_wait():
    with running() as vector:
        vector.step_async([0, 1], np.zeros((2, 6), np.float32))
        vector.step_wait()
        os.kill(pids(vector)[0], signal.SIGSTOP)  # so that it dies with the request unanswered
        vector.step_async([0, 1], np.zeros((2, 6), np.float32))
        os.kill(pids(vector)[0], signal.SIGKILL)
        with pytest.raises(WorkerError, match="worker 0 .*SIGKILL.*memory.*during step"):
            vector.step_wait()


def test_a_failing_request_names_the_exception_and_keeps_the_trace():
    vector = running()
    workers = pids(vector)
    with pytest.raises(WorkerError, match="worker 1 failed in reset: ValueError: .*between 0 and 2") as failure:
        vector.reset([1], [(-1, 0, 0)])
    assert any("simulator" in note for note in failure.value.__notes__)
    assert not any(map(alive, workers))


def test_a_failing_start_leaves_no_worker(monkeypatch):
    started = []
    original = subprocess.Popen

    def popen(*words, **settings):
        started.append(original(*words, **settings))
        if len(started) == 2:
            raise KeyboardInterrupt
        return started[-1]

    monkeypatch.setattr("envs.process.subprocess.Popen", popen)
    with pytest.raises(KeyboardInterrupt):
        VectorEnv("cheetah_run", num_envs=2, obs="state", num_workers=2)
    started[1].kill()  # this one was never handed over
    for process in started:
        process.wait(10)
    assert started[0].returncode == -signal.SIGKILL


def test_workers_hold_no_torch_and_no_main_program():
    with running(workers=1) as vector:
        mapped = Path(f"/proc/{pids(vector)[0]}/maps").read_text()
    assert "mujoco" in mapped and "torch" not in mapped and "libGL" not in mapped and "numba" not in mapped


# --- the parent dies --------------------------------------------------------------------------------------------------

PARENT = """
import os, sys, time
import numpy as np
from envs.vector import VectorEnv
vector = VectorEnv("cheetah_run", num_envs=2, obs="state", num_workers=2)
vector.reset([0, 1], [(0, 0, 0), (0, 0, 1)])
{before}
print(*(worker.pid for worker in vector._workers), flush=True)
while True:
    outcome = vector.step([0, 1], np.zeros((2, 6), np.float32))
    for index in np.flatnonzero(outcome.lasts):
        vector.reset([index], [(0, 0, 0)])
"""


def start_parent(before=""):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(before=before)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    workers = [int(word) for word in parent.stdout.readline().split()]
    assert len(workers) == 2 and all(map(alive, workers))
    return parent, workers


def test_sigkill_of_the_parent():
    parent, workers = start_parent()
    parent.kill()
    wait_until_gone(workers)
    assert parent.communicate()[1] == ""  # and they go without a word


def test_sigkill_of_a_parent_whose_own_fork_lives_on():
    # The fork holds copies of the sockets, so that the workers see no end of file.
    parent, workers = start_parent("if os.fork() == 0: time.sleep(60)")
    parent.kill()
    wait_until_gone(workers)
    os.killpg(parent.pid, signal.SIGKILL)
    parent.communicate()


def test_ctrl_c_reaches_the_parent_alone_and_ends_all():
    parent, workers = start_parent()
    os.killpg(parent.pid, signal.SIGINT)
    error = parent.communicate(timeout=30)[1]
    assert error.count("Traceback") == 1 and error.strip().endswith("KeyboardInterrupt")
    wait_until_gone(workers)


def test_the_parent_may_end_without_closing():
    parent, workers = start_parent("import threading; threading.Timer(1.0, lambda: os.kill(os.getpid(), 15)).start()")
    parent.communicate(timeout=30)
    wait_until_gone(workers)


def test_pixels_leave_nothing_either():
    with VectorEnv("cartpole_swingup", num_envs=2, num_workers=2) as vector:
        vector.reset([0, 1], [(0, 0, 0), (0, 0, 1)])
        workers = pids(vector)
        os.kill(workers[0], signal.SIGKILL)
        with pytest.raises(WorkerError, match="SIGKILL"):
            vector.step([0, 1], np.zeros((2, 1), np.float32))
    assert not any(map(alive, workers))
    assert envs.TASKS  # the parent goes on
