"""A simulation that diverges, in MuJoCo itself, is one line and leaves nothing behind."""

import numpy as np
import pytest

import envs
from envs.vector import VectorEnv
from runtime.errors import UserError
from tests.envs.test_vector_faults import pids
from tests.processes import is_running

pytestmark = pytest.mark.usefixtures("nothing_is_left")
FAST = 1e9  # rad/s: within what MuJoCo takes for a number, and no step of it stays so


def rest(environment):
    return np.zeros(environment.action_dim, np.float32)


@pytest.mark.parametrize("task", ["cartpole_swingup", "quadruped_walk", "reach_duplo"])
@pytest.mark.parametrize("array, value", [("qvel", np.nan), ("qvel", FAST), ("qpos", np.inf)])
def test_divergence_is_one_line_with_task_episode_decision_and_remedy(task, array, value, caplog):
    environment = envs.make(task, obs="state")
    environment.reset(envs.episode_seed("eval", 5, 12))
    environment.step(rest(environment))
    getattr(environment._simulator.physics.data, array)[:] = value
    with pytest.raises(UserError) as caught:
        environment.step(rest(environment))
    said = str(caught.value)
    what = f"{task}: the simulation became unstable at decision 1 of episode 12 of stream eval, seed 5 (mjWARN_BAD"
    assert said.startswith(what) and said.endswith("run again, or with another seed") and "\n" not in said
    assert not caplog.records  # dm_control's own line says no more
    with pytest.raises(RuntimeError, match="the episode is over"):
        environment.step(rest(environment))
    environment.close()


def test_the_next_episode_is_as_if_nothing_had_been():
    one, other = (envs.make("cheetah_run", obs="state") for _ in range(2))
    one.reset()
    one._simulator.physics.data.qvel[:] = np.nan
    with pytest.raises(UserError, match="at decision 0 of an episode without a seed of its own"):
        one.step(rest(one))
    assert np.array_equal(one.reset((0, 1, 3)).observation, other.reset((0, 1, 3)).observation)
    for _ in range(5):
        ours, theirs = one.step(rest(one)), other.step(rest(other))
        assert np.array_equal(ours.observation, theirs.observation) and ours.reward == theirs.reward


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_in_a_worker_it_is_the_same_line_and_all_workers_end(workers):
    vector = VectorEnv("cheetah_run", num_envs=3, obs="state", num_workers=workers)
    vector.reset(range(3), [(4, 0, number) for number in range(3)])
    started = pids(vector) if workers else []
    [state] = vector.save_state([1])
    # The last values of the integration state's velocities: 9 of them follow time and 9 positions.
    state.simulator[0][1 + 9 : 1 + 18] = FAST
    vector.restore_state([1], [state])
    with pytest.raises(UserError, match="^cheetah_run: the simulation became unstable at decision 0 .*mjWARN_BAD"):
        vector.step(range(3), np.zeros((3, vector.action_dim), np.float32))
    assert not any(map(is_running, started))
    vector.close()
