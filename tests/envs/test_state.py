"""Branching: an episode goes on in another environment exactly as it would have gone on where it was saved."""

import numpy as np
import pytest

import envs
from envs.vector import VectorEnv

SEED = envs.episode_seed("report", 3, 5)


def _actions(environment, count, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, environment.action_dim)).astype(np.float32)


def _play(environment, actions):
    return [environment.step(action) for action in actions]


def _assert_equal(some, others):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one.observation, other.observation)
        assert one[1:] == other[1:]


# Joints of all kinds, touch, force and gyro sensors, targets in the model, RK4 and Euler, a new model at each reset.
@pytest.mark.parametrize(
    "task", ["reacher_easy", "finger_turn_hard", "quadruped_walk", "acrobot_swingup", "cup_catch", "reach_duplo"]
)
def test_an_episode_goes_on_elsewhere_as_it_would_have_here(task):
    here, there = envs.make(task, obs="state"), envs.make(task, obs="state", seed=8)
    actions = _actions(here, 40)
    here.reset(SEED)
    _play(here, actions[:11])
    there.reset(envs.episode_seed("train", 1, 1))  # another episode, with a target of its own
    _play(there, actions[:3])
    state = here.save_state()
    expected = _play(here, actions[11:])
    np.testing.assert_array_equal(there.restore_state(state), state.observation)
    _assert_equal(_play(there, actions[11:]), expected)
    # And again in the same environment, from where it got to: the model is this episode's already.
    here.restore_state(state)
    _assert_equal(_play(here, actions[11:]), expected)
    # Random state and step count came along: the next unseeded episode and the time limit are the same.
    np.testing.assert_array_equal(here.reset().observation, there.reset().observation)


def test_saving_and_branching_leave_an_episode_alone():
    plain, branched, scratch = (envs.make("finger_spin", obs="state", max_decisions=30) for _ in range(3))
    actions = _actions(plain, 30)
    plain.reset(SEED), branched.reset(SEED)
    expected = _play(plain, actions)
    found = []
    for action in actions:
        scratch.restore_state(branched.save_state())
        scratch.step(-action)
        found.append(branched.step(action))
    _assert_equal(found, expected)
    assert found[-1].capped


def test_the_time_limit_and_the_end_come_along():
    here, there = (envs.make("cartpole_swingup", obs="state") for _ in range(2))
    here.reset(SEED)
    action = np.zeros(1, np.float32)
    for _ in range(499):
        assert not here.step(action).last
    there.restore_state(here.save_state())
    assert there.step(action).last and here.step(action).last
    there.restore_state(here.save_state())
    with pytest.raises(RuntimeError, match="over"):
        there.step(action)


def test_a_frame_stack_comes_along():
    here, there = (envs.make("reacher_easy") for _ in range(2))
    actions = _actions(here, 8)
    here.reset(SEED), there.reset(envs.episode_seed("train", 1, 1))
    _play(here, actions[:4])
    np.testing.assert_array_equal(there.restore_state(here.save_state()), here.save_state().observation)
    _assert_equal(_play(there, actions[4:]), _play(here, actions[4:]))


def test_there_is_no_state_before_the_first_reset():
    with pytest.raises(RuntimeError, match="before the first reset"):
        envs.make("cartpole_swingup", obs="state").save_state()


def test_coordinates_know_no_full_turns():
    environment = envs.make("finger_spin", obs="state")
    environment.reset(SEED)
    before = environment.save_state().coordinates
    environment.physics.named.data.qpos["hinge"] += 2 * np.pi
    after = environment.save_state().coordinates
    np.testing.assert_allclose(after, before, atol=1e-12)
    quadruped = envs.make("quadruped_walk", obs="state")
    quadruped.reset(SEED)
    before = quadruped.save_state().coordinates
    quadruped.physics.data.qpos[3:7] *= -1  # the same orientation
    np.testing.assert_allclose(quadruped.save_state().coordinates, before, atol=1e-12)
    assert len(before) == 3 + 9 + (quadruped.physics.model.nq - 7) + quadruped.physics.model.nv


@pytest.mark.parametrize("num_workers", [0, 2])
def test_states_cross_processes(num_workers):
    settings = dict(task="reacher_easy", obs="state", num_envs=3, num_workers=num_workers, max_decisions=9)
    with VectorEnv(**settings) as here, VectorEnv(**settings) as there:
        actions = np.random.default_rng(0).uniform(-1, 1, (9, 3, 2)).astype(np.float32)
        here.reset([0, 1, 2], [envs.episode_seed("report", 1, episode) for episode in range(3)])
        for step in range(4):
            here.step([0, 1, 2], actions[step])
        order = [2, 0, 1]
        there.restore_state(order, here.save_state(order))
        np.testing.assert_array_equal(there.observations, here.observations)
        for step in range(4, 9):
            one, other = here.step([0, 1, 2], actions[step]), there.step([0, 1, 2], actions[step])
            np.testing.assert_array_equal(here.observations, there.observations)
            np.testing.assert_array_equal(np.stack(one), np.stack(other))
        assert one.capped.all()
        with pytest.raises(ValueError, match="no episode running"):
            there.step([0], actions[0, :1])
        with pytest.raises(ValueError, match="1 states for 2"):
            there.restore_state([0, 1], here.save_state([0]))
