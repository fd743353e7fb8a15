import numpy as np
import pytest

import envs
from envs.vector import VectorEnv
from tests.refusals import refused


def seeds(count, start=0):
    return [envs.episode_seed("eval", 1, start + number) for number in range(count)]


def single(task, obs, seed, actions, **settings):
    """Observations, rewards, discounts, lasts and capped flags of one environment on its own."""
    environment = envs.make(task, obs=obs, **settings)
    steps = [environment.reset(seed)]
    steps += [environment.step(action) for action in actions]
    environment.close()
    return [step.observation for step in steps], [(s.reward, s.discount, s.last, s.capped) for s in steps[1:]]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "settings",
    [
        {"task": "Hopper-v4", "obs": "state", "action_repeat": 1},
        {"task": "reacher_easy", "obs": "state", "max_decisions": 9},
        {"task": "cheetah_run", "obs": "pixels", "max_decisions": 7},
    ],
    ids=str,
)
def test_each_episode_is_that_of_an_environment_alone_and_its_state_crosses_processes(settings, workers):
    alone, running, lengths = [envs.make(**settings) for _ in range(3)], [0, 1, 2], {}
    given = np.random.default_rng(0).uniform(-1, 1, (500, 3, alone[0].action_dim)).astype(np.float32)
    for environment, seed in zip(alone, seeds(3)):
        environment.reset(seed)
    several = settings | {"num_envs": 3, "num_workers": workers}
    with VectorEnv(**several) as here, VectorEnv(**several) as there:
        here.reset(running, seeds(3))
        for count, actions in enumerate(given, 1):
            if count == 6:
                there.restore_state(running[::-1], here.save_state(running[::-1]))
                np.testing.assert_array_equal(there.observations, here.observations)
            outcome = here.step(running, actions[running])
            if count >= 6:
                np.testing.assert_array_equal(np.stack(outcome), np.stack(there.step(running, actions[running])))
            for place, index in enumerate(list(running)):
                step = alone[index].step(actions[index])
                np.testing.assert_array_equal(here.observations[index], step.observation)
                assert tuple(field[place] for field in outcome) == step[1:]
                if step.last:
                    lengths[index] = count
                    running.remove(index)
            if not running:
                break
        there.restore_state([1], here.save_state([0]))
        with pytest.raises(ValueError, match="environment 1 has no episode running"):
            there.step([1], given[0, :1])
    ends = set(lengths.values())
    assert len(lengths) == 3 and (ends == {settings["max_decisions"]} if "max_decisions" in settings else len(ends) > 1)


@pytest.mark.parametrize("workers", [2, 0])
def test_halves_overlap_and_outcomes_come_in_the_order_begun(workers):
    count, decisions = 4, 5
    first, second = [0, 3], [2, 1]
    turns = [first, second] * decisions
    with VectorEnv("cup_catch", num_envs=count, obs="state", num_workers=workers) as vector:
        actions = np.random.RandomState(1).uniform(-1, 1, (decisions, count, 2)).astype(np.float32)
        vector.reset(range(count), seeds(count))
        rewards = np.zeros((decisions, count))
        vector.step_async(first, actions[0][first])
        for turn, half in enumerate(turns):
            for other in turns[turn + 1 : turn + 2]:
                vector.step_async(other, actions[(turn + 1) // 2][other])
            rewards[turn // 2][half] = vector.step_wait().rewards
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
    environment = envs.make("cup_catch", obs="state")
    environment.reset(seeds(1, start=50)[0])
    np.testing.assert_array_equal(picture, environment.render(30, 40))


def test_wrong_calls_are_refused_and_change_nothing():
    still = np.zeros((3, 1), np.float32)
    with VectorEnv("cartpole_swingup", num_envs=3, obs="state", num_workers=2, max_decisions=3) as vector:

        def refused(*calls):
            before = vector.observations.copy()
            for words, method, *arguments in calls:
                with pytest.raises((ValueError, RuntimeError), match=words):
                    getattr(vector, method)(*arguments)
                np.testing.assert_array_equal(vector.observations, before)

        refused(("environment 1 has no episode running", "step", [1], still[:1]))
        vector.reset([0, 1, 2], seeds(3))
        refused(
            ("environments 0 to 2", "step", [0, 3], still[:2]),
            ("environments 0 to 2", "step", [-1], still[:1]),
            ("none twice", "step", [0, 0], still[:2]),
            ("at least one", "step", [], still[:0]),
            (r"shape \(3, 1\), not \(2, 1\)", "step", [0, 1], still),
            (r"environments \[0\] are not finite", "step", [2, 0], np.array([[0.0], [np.nan]])),
            ("reset: 2 values for 1 environments", "reset", [0], seeds(2)),
            ("restore_state: 1 values for 2", "restore_state", [0, 1], vector.save_state([0])),
            ("without step_async", "step_wait"),
        )
        vector.step_async([0], still[:1])
        refused(
            ("environment 0 is stepping", "step_async", [0], still[:1]),
            ("environment 0 is stepping", "reset", [0], seeds(1)),
            ("not been waited for", "step", [1], still[:1]),
        )
        vector.step_wait()
        lasts = [vector.step([0], still[:1]).capped[0] for _ in range(2)]
        assert lasts == [False, True]
        refused(("environment 0 has no episode running", "step", [0, 1], still[:2]))
        vector.reset([0], seeds(1))
        vector.step([0, 1, 2], still)
    refused(("closed", "step", [0], still[:1]))


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(num_envs=0), "num_envs=0"),
        (dict(num_workers=-1), "num_workers=-1"),
        (dict(task="cheetah_rnu"), "cheetah_run"),
    ],
)
def test_wrong_settings_are_a_users_error_also_from_a_worker(settings, words):
    with refused(words):
        VectorEnv(**{"task": "cheetah_run", "obs": "state", "num_envs": 1, **settings})


def test_never_more_workers_than_environments_or_by_default_than_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    for num_envs, asked, workers in ((1, None, 1), (3, None, 2), (2, 5, 2)):
        with VectorEnv("pendulum_swingup", num_envs=num_envs, obs="state", num_workers=asked) as vector:
            assert vector.num_workers == workers
