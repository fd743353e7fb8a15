"""Tasks, bit for bit against the published pipeline (see oracle.py)."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import envs
from envs import gl
from tests.envs.oracle import actions

SEED, REPEAT, DECISIONS = (0, 7, 3), 2, 3

# The tasks left out look like the one of their domain that is in.
PICTURED = (
    *(
        "acrobot_swingup",
        "cartpole_swingup",
        "cheetah_run",
        "cup_catch",
        "finger_spin",
        "finger_turn_hard",
        "hopper_hop",
    ),
    *(
        "humanoid_run",
        "pendulum_swingup",
        "quadruped_walk",
        "reach_duplo",
        "reacher_easy",
        "reacher_hard",
        "walker_walk",
    ),
)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    out = tmp_path_factory.mktemp("oracle") / "published.npz"
    words = [out, ",".join(map(str, SEED)), REPEAT, DECISIONS, ",".join(PICTURED), ",".join(envs.TASKS)]
    # In a process of its own, because dm_control settles on its renderer when it is first imported.
    environment = os.environ | {"MUJOCO_GL": gl.choose(), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, Path(__file__).with_name("oracle.py"), *map(str, words)], check=True, env=environment
    )
    return np.load(out)


@pytest.mark.parametrize("task", PICTURED)
def test_pixels(task, published):
    environment = envs.make(task)
    steps = [environment.reset(SEED)]
    steps += [environment.step(action) for action in actions(DECISIONS, environment.action_dim)]
    frames = published[f"{task}/pixels/observations"].transpose(0, 3, 1, 2)
    assert frames.std() > 1  # a picture, not a blank
    for number, step in enumerate(steps):
        expected = np.concatenate([frames[max(number - age, 0)] for age in (2, 1, 0)])
        assert step.observation.dtype == np.uint8
        np.testing.assert_array_equal(step.observation, expected)
    assert environment.observation_shape == (9, 84, 84)
    assert [step.reward for step in steps[1:]] == published[f"{task}/pixels/rewards"].tolist()
    assert [step.discount for step in steps[1:]] == published[f"{task}/pixels/discounts"].tolist()
    environment.close()


@pytest.mark.parametrize("task", envs.TASKS)
def test_state(task, published):
    environment = envs.make(task, obs="state")
    steps = [environment.reset(SEED)]
    steps += [environment.step(action) for action in actions(DECISIONS, environment.action_dim)]
    expected = published[f"{task}/state/observations"].astype(np.float32)
    assert environment.observation_shape == expected.shape[1:]
    assert steps[0].observation.dtype == environment.observation_dtype == np.float32
    np.testing.assert_array_equal(np.stack([step.observation for step in steps]), expected)
    assert [step.reward for step in steps[1:]] == published[f"{task}/state/rewards"].tolist()
    environment.close()
