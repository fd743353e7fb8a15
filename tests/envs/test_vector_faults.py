"""Workers that die, parents that die, simulations that diverge, and what is left afterwards: nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import envs
from envs.vector import VectorEnv
from envs.worker import WorkerError
from runtime.errors import UserError
from tests.processes import is_running, wait_for
from tests.refusals import refused

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes through /proc"),
    pytest.mark.usefixtures("nothing_is_left"),
]


def wait_until_gone(pids):
    wait_for(lambda: not any(map(is_running, pids)), seconds=20)


def pids(vector):
    return [worker.pid for worker in vector._workers]


def running(count=2, workers=2, **settings):
    vector = VectorEnv("cheetah_run", num_envs=count, obs="state", num_workers=workers, **settings)
    vector.reset(range(count), [(0, 0, number) for number in range(count)])
    return vector


def test_close_ends_the_workers_also_after_an_exception():
    with pytest.raises(ZeroDivisionError), running() as vector:
        workers = pids(vector)
        assert len(workers) == 2 and all(map(is_running, workers))
        raise ZeroDivisionError
    assert not any(map(is_running, workers))
    vector.close()
    assert vector.observations.any()  # what was seen last can still be read


def test_forgetting_to_close_ends_the_workers():
    vector = running()
    workers = pids(vector)
    del vector
    wait_until_gone(workers)


@pytest.mark.parametrize("name, asked", [("SIGKILL", False), ("SIGSEGV", False), ("SIGTERM", False), ("SIGKILL", True)])
def test_a_dead_worker_is_one_clear_error(name, asked):
    """Also where it dies with a request unanswered."""
    vector, still = running(), np.zeros((2, 6), np.float32)
    workers = pids(vector)
    if asked:
        os.kill(workers[1], signal.SIGSTOP)
        vector.step_async([0, 1], still)
    os.kill(workers[1], getattr(signal, name))
    with refused(f"^environment worker 1 \\(process {workers[1]}\\) was killed by {name}.* during step$", WorkerError):
        if asked:
            vector.step_wait()
        for _ in range(3):
            vector.step([0, 1], still)
    assert issubclass(WorkerError, UserError) and not any(map(is_running, workers))
    with pytest.raises(RuntimeError, match="closed"):
        vector.step([0], still[:1])
    vector.close()


def test_a_failing_request_names_the_exception_and_keeps_the_trace():
    vector = running()
    workers = pids(vector)
    with pytest.raises(WorkerError, match="worker 1 failed in reset: ValueError: .*between 0 and 2") as failure:
        vector.reset([1], [(-1, 0, 0)])
    assert any("simulator" in note for note in failure.value.__notes__)
    assert not any(map(is_running, workers))


def test_a_failing_start_leaves_no_worker(monkeypatch):
    started = []
    original = subprocess.Popen

    def popen(*words, **settings):
        started.append(original(*words, **settings))
        if len(started) == 2:
            raise KeyboardInterrupt
        return started[-1]

    monkeypatch.setattr("envs.worker.subprocess.Popen", popen)
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


@pytest.mark.parametrize(
    "before, sent, said",
    [
        ("", signal.SIGKILL, ""),  # the workers go without a word
        # The fork holds copies of the sockets, so that the workers see no end of file.
        ("if os.fork() == 0: time.sleep(60)", signal.SIGKILL, None),
        ("", signal.SIGINT, "KeyboardInterrupt"),
    ],
    ids=["SIGKILL", "SIGKILL, but a fork lives on", "Ctrl-C"],
)
def test_workers_end_with_their_parent(before, sent, said):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(before=before)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    workers = [int(word) for word in parent.stdout.readline().split()]
    assert len(workers) == 2 and all(map(is_running, workers))
    # A terminal's Ctrl-C goes to its whole group, in which the workers are not.
    os.killpg(parent.pid, sent) if sent == signal.SIGINT else parent.send_signal(sent)
    wait_until_gone(workers)
    if said is None:
        os.killpg(parent.pid, signal.SIGKILL)
    error = parent.communicate(timeout=30)[1].strip()
    assert error.count("Traceback") == bool(said) and error.endswith(said or "")


# ---- a simulation that diverges in MuJoCo itself ----


FAST = 1e9  # rad/s: within what MuJoCo takes for a number, and no step of it stays so


def rest(environment):
    return np.zeros(environment.action_dim, np.float32)


@pytest.mark.parametrize("task", ["cartpole_swingup", "quadruped_walk", "reach_duplo"])
@pytest.mark.parametrize("array, value", [("qvel", np.nan), ("qvel", FAST), ("qpos", np.inf)])
def test_divergence_is_one_line_with_task_episode_decision_and_remedy(task, array, value, caplog):
    """And the next episode is as if nothing had been."""
    environment = envs.make(task, obs="state")
    first = environment.reset(envs.episode_seed("eval", 5, 12))
    environment.step(rest(environment))
    getattr(environment._simulator.physics.data, array)[:] = value
    what = f"^{task}: the simulation became unstable at decision 1 of episode 12 of stream eval, seed 5"
    with refused(rf"{what} \(mjWARN_BAD.*run again, or with another seed$"):
        environment.step(rest(environment))
    assert not caplog.records  # dm_control's own line says no more
    with pytest.raises(RuntimeError, match="the episode is over"):
        environment.step(rest(environment))
    again = environment.reset(envs.episode_seed("eval", 5, 12))
    np.testing.assert_array_equal(again.observation, first.observation)
    environment.close()


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_in_a_worker_it_is_the_same_line_and_all_workers_end(workers):
    vector = VectorEnv("cheetah_run", num_envs=3, obs="state", num_workers=workers)
    vector.reset(range(3), [(4, 0, number) for number in range(3)])
    started = pids(vector) if workers else []
    [state] = vector.save_state([1])
    # The last values of the integration state's velocities: 9 of them follow time and 9 positions.
    state.simulator[0][1 + 9 : 1 + 18] = FAST
    vector.restore_state([1], [state])
    with refused("^cheetah_run: the simulation became unstable at decision 0 .*mjWARN_BAD"):
        vector.step(range(3), np.zeros((3, vector.action_dim), np.float32))
    assert not any(map(is_running, started))
    vector.close()
