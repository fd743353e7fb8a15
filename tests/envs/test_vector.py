import numpy as np
import pytest

import envs
from envs.vector import VectorEnv
from runtime.errors import UserError


def seeds(count, start=0):
    return [envs.episode_seed("eval", 1, start + number) for number in range(count)]


def single(task, obs, seed, actions, **settings):
    """Observations, rewards, discounts, lasts and capped flags of one environment on its own."""
    environment = envs.make(task, obs=obs, **settings)
    steps = [environment.reset(seed)]
    steps += [environment.step(action) for action in actions]
    environment.close()
    return [step.observation for step in steps], [(s.reward, s.discount, s.last, s.capped) for s in steps[1:]]


@pytest.mark.parametrize(
    "task, obs, workers", [("cheetah_run", "pixels", 2), ("cheetah_run", "state", 0), ("reach_duplo", "state", 2)]
)
def test_equals_single_environments(task, obs, workers):
    count, decisions = 3, 4
    with VectorEnv(task, num_envs=count, obs=obs, num_workers=workers, max_decisions=decisions) as vector:
        actions = np.random.RandomState(0).uniform(-1, 1, (decisions, count, vector.action_dim)).astype(np.float32)
        vector.reset(range(count), seeds(count))
        observations, outcomes = [vector.observations.copy()], []
        for number in range(decisions):
            # Any order of indices, and all or some of them, must give the same.
            order = np.random.RandomState(number).permutation(count)
            parts = [order[:2], order[2:]] if number % 2 else [order]
            row = {}
            for part in parts:
                outcome = vector.step(part, actions[number][part])
                row |= {index: values for index, *values in zip(part, *(field.tolist() for field in outcome))}
            outcomes.append([tuple(row[index]) for index in range(count)])
            observations.append(vector.observations.copy())
        assert vector.observations.dtype == vector.observation_dtype
        assert vector.observations.shape == (count, *vector.observation_shape)
        shown = vector.render([2, 0], 60, 80)
    for index in range(count):
        alone = single(task, obs, seeds(count)[index], actions[:, index], max_decisions=decisions)
        np.testing.assert_array_equal([rows[index] for rows in observations], alone[0])
        assert [row[index] for row in outcomes] == alone[1]
    assert outcomes[-1][0][2:] == (True, True)  # last because capped
    environment = envs.make(task, obs="state")
    environment.reset(seeds(count)[2])
    for action in actions[:, 2]:
        environment.step(action)
    np.testing.assert_array_equal(shown[0], environment.render(60, 80))
    assert (shown[0] != shown[1]).any()
    environment.close()


@pytest.mark.parametrize("workers", [2, 0])
def test_halves_overlap_and_outcomes_come_in_the_order_begun(workers):
    count, decisions = 4, 5
    first, second = [0, 3], [2, 1]
    with VectorEnv("cup_catch", num_envs=count, obs="state", num_workers=workers) as vector:
        actions = np.random.RandomState(1).uniform(-1, 1, (decisions, count, 2)).astype(np.float32)
        vector.reset(range(count), seeds(count))
        rewards = np.zeros((decisions, count))
        vector.step_async(first, actions[0][first])
        for number in range(decisions):
            vector.step_async(second, actions[number][second])
            rewards[number][first] = vector.step_wait().rewards
            if number + 1 < decisions:
                vector.step_async(first, actions[number + 1][first])
            rewards[number][second] = vector.step_wait().rewards
        # A reset or a picture of one half does not mix with the other half's decision.
        vector.step_async(second, actions[0][second])
        vector.reset(first, seeds(2, start=50))
        restarted = vector.observations[first].copy()
        picture = vector.render([0], 30, 40)[0]
        assert vector.step_wait().rewards.shape == (2,)
        ended = vector.observations.copy()
    for index in range(count):
        alone = single("cup_catch", "state", seeds(count)[index], [*actions[:, index], actions[0][index]])
        assert rewards[:, index].tolist() == [reward for reward, *_ in alone[1][:decisions]]
        if index in second:
            np.testing.assert_array_equal(ended[index], alone[0][-1])
    for row, seed in enumerate(seeds(2, start=50)):
        np.testing.assert_array_equal(restarted[row], single("cup_catch", "state", seed, [])[0][0])
    assert picture.shape == (30, 40, 3) and picture.any()


def test_wrong_calls_are_refused_and_change_nothing():
    with VectorEnv("cartpole_swingup", num_envs=3, obs="state", num_workers=2, max_decisions=3) as vector:
        still = np.zeros((3, 1), np.float32)
        with pytest.raises(ValueError, match="environment 1 has no episode running"):
            vector.step([1], still[:1])
        vector.reset([0, 1, 2], seeds(3))
        before = vector.observations.copy()
        for indices, actions, words in [
            ([0, 3], still[:2], "environments 0 to 2"),
            ([-1], still[:1], "environments 0 to 2"),
            ([0, 0], still[:2], "none twice"),
            ([], still[:0], "at least one"),
            ([0, 1], still, r"shape \(3, 1\), not \(2, 1\)"),
            ([2, 0], np.array([[0.0], [np.nan]]), r"environments \[0\] are not finite"),
        ]:
            with pytest.raises(ValueError, match=words):
                vector.step(indices, actions)
        with pytest.raises(ValueError, match="2 seeds for 1"):
            vector.reset([0], seeds(2))
        with pytest.raises(RuntimeError, match="without step_async"):
            vector.step_wait()
        np.testing.assert_array_equal(vector.observations, before)
        vector.step_async([0], still[:1])
        for call in (lambda: vector.step_async([0], still[:1]), lambda: vector.reset([0], seeds(1))):
            with pytest.raises(ValueError, match="environment 0 is stepping"):
                call()
        with pytest.raises(RuntimeError, match="not been waited for"):
            vector.step([1], still[:1])
        vector.step_wait()
        for _ in range(2):
            outcome = vector.step([0], still[:1])
        assert outcome.lasts[0] and outcome.capped[0]
        with pytest.raises(ValueError, match="environment 0 has no episode running"):
            vector.step([0, 1], still[:2])
        vector.reset([0], seeds(1))
        vector.step([0, 1, 2], still)
    with pytest.raises(RuntimeError, match="closed"):
        vector.step([0], still[:1])
    vector.close()


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(num_envs=0), "num_envs=0"),
        (dict(num_workers=-1), "num_workers=-1"),
        (dict(task="cheetah_rnu"), "cheetah_run"),
    ],
)
def test_wrong_settings_are_a_users_error_also_from_a_worker(settings, words):
    with pytest.raises(UserError, match=words):
        VectorEnv(**{"task": "cheetah_run", "obs": "state", "num_envs": 1, **settings})


def test_facts_about_the_task_reach_the_caller():
    for workers in (0, 1):
        with VectorEnv("reach_duplo", num_envs=1, obs="state", num_workers=workers) as vector:
            assert (vector.action_dim, vector.max_episode_decisions, vector.observation_shape) == (9, 125, (55,))
            assert vector.control_timestep == pytest.approx(0.04)


def test_never_more_workers_than_environments_or_by_default_than_cores(monkeypatch):
    monkeypatch.setattr("envs.vector._cores", lambda: 2)
    for envs_, asked, workers in ((1, None, 1), (3, None, 2), (2, 5, 2)):
        with VectorEnv("pendulum_swingup", num_envs=envs_, obs="state", num_workers=asked) as vector:
            assert vector.num_workers == workers
