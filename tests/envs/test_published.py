"""Tasks, bit for bit against the published pipeline (see oracle.py)."""

import numpy as np
import pytest

import envs
from envs import gl
from tests.envs import oracle
from tests.envs.oracle import DECISIONS, SEED, actions
from tests.processes import python

# The tasks left out look like the one of their domain that is in.
PICTURED = """acrobot_swingup cartpole_swingup cheetah_run cup_catch finger_spin finger_turn_hard hopper_hop
              humanoid_run pendulum_swingup quadruped_walk reach_duplo reacher_easy reacher_hard walker_walk""".split()
CASES = [(task, "pixels") for task in PICTURED] + [(task, "state") for task in envs.TASKS]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    out = tmp_path_factory.mktemp("oracle") / "published.npz"
    # In a process of its own, because dm_control settles on its renderer when it is first imported.
    python(oracle.__file__, out, *map("/".join, CASES), MUJOCO_GL=gl.choose())
    return np.load(out)


@pytest.mark.parametrize("task, obs", CASES)
def test_an_episode_is_the_published_one(task, obs, published):
    environment = envs.make(task, obs=obs)
    steps = [environment.reset(SEED)]
    steps += [environment.step(action) for action in actions(DECISIONS, environment.action_dim)]
    seen, expected = np.stack([step.observation for step in steps]), published[f"{task}/{obs}/observations"]
    if obs == "pixels":
        frames = expected.transpose(0, 3, 1, 2)
        assert frames.std() > 1  # a picture, not a blank
        expected = np.concatenate([frames[[max(n - age, 0) for n in range(len(steps))]] for age in (2, 1, 0)], axis=1)
    np.testing.assert_array_equal(seen, expected.astype(environment.observation_dtype))
    assert seen.dtype == environment.observation_dtype == {"pixels": np.uint8, "state": np.float32}[obs]
    assert seen.shape[1:] == environment.observation_shape
    for name in ("reward", "discount"):
        assert [getattr(step, name) for step in steps[1:]] == published[f"{task}/{obs}/{name}s"].tolist()
    environment.close()
