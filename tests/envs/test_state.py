"""Branching: an episode goes on in another environment exactly as it would have gone on where it was saved."""

import numpy as np
import pytest

import envs
from envs.tasks import is_gymnasium

SEED, OTHER = envs.episode_seed("report", 3, 5), envs.episode_seed("train", 1, 1)


def make(task, **settings):
    return envs.make(task, **{"obs": "state", "action_repeat": 1 if is_gymnasium(task) else 2} | settings)


def started(task, seed=SEED, **settings):
    """With an episode begun."""
    environment = make(task, **settings)
    environment.reset(seed)
    return environment


def actions(environment, count, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, environment.action_dim)).astype(np.float32)


def play(environment, given):
    """The steps until the episode ends."""
    steps = []
    for action in given:
        steps.append(environment.step(action))
        if steps[-1].last:
            break
    return steps


def assert_equal(some, others):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one.observation, other.observation)
        assert one[1:] == other[1:]


# Joints of all kinds, touch, force and gyro sensors, targets in the model, RK4 and Euler, a new model at each reset.
SUITE = ("reacher_easy", "finger_turn_hard", "quadruped_walk", "acrobot_swingup", "cup_catch", "reach_duplo")
# Poses one substep old, contact forces, goals that the task remembers.
GYMNASIUM = ("HalfCheetah-v4", "Ant-v5", "Humanoid-v5", "Pusher-v5", "Reacher-v4", "Hopper-v4")


@pytest.mark.parametrize("before", [0, 9])
@pytest.mark.parametrize("task, obs", [*((task, "state") for task in SUITE + GYMNASIUM), ("reacher_easy", "pixels")])
def test_an_episode_goes_on_elsewhere_as_it_would_have_here(task, obs, before):
    here, there = make(task, obs=obs), started(task, OTHER, obs=obs)  # an episode with a target of its own
    given = actions(here, 30) * 0.3
    observation = [here.reset(SEED), *play(here, given[:before])][-1].observation
    play(there, given[:3])
    state = here.save_state()
    expected = play(here, given[before:])
    assert len(expected) > 3
    # Elsewhere, again from where that got to, and here, where the model is this episode's already.
    for environment in (there, there, here):
        np.testing.assert_array_equal(environment.restore_state(state).observation, observation)
        assert_equal(play(environment, given[before:]), expected)
    # Random state came along: the next unseeded episode is the same.
    np.testing.assert_array_equal(here.reset().observation, there.reset().observation)


@pytest.mark.parametrize("task", ["cartpole_swingup", "Reacher-v4"])
def test_the_time_limit_and_the_end_come_along(task):
    here, there = started(task), make(task)
    action = np.zeros(here.action_dim, np.float32)
    for _ in range(here.max_episode_decisions - 1):
        assert not here.step(action).last
    there.restore_state(here.save_state())
    assert there.step(action).last and here.step(action).last
    there.restore_state(here.save_state())
    with pytest.raises(RuntimeError, match="over"):
        there.step(action)


def test_coordinates_know_no_full_turns():
    environment = started("finger_spin")
    before = environment.save_state().coordinates
    environment._simulator.physics.named.data.qpos["hinge"] += 2 * np.pi
    np.testing.assert_allclose(environment.save_state().coordinates, before, atol=1e-12)
    quadruped = started("quadruped_walk")
    before, physics = quadruped.save_state().coordinates, quadruped._simulator.physics
    physics.data.qpos[3:7] *= -1  # the same orientation
    np.testing.assert_allclose(quadruped.save_state().coordinates, before, atol=1e-12)
    assert len(before) == 3 + 9 + (physics.model.nq - 7) + physics.model.nv
