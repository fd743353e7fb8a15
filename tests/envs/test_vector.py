import numpy as np
import pytest

import envs
from envs.vector import VectorEnv
from tests.envs.test_state import play
from tests.refusals import refused


def seeds(count, start=0):
    return [envs.episode_seed("eval", 1, start + number) for number in range(count)]


def single(settings, seed, actions):
    """Observations and (reward, discount, last, capped) of one environment's episode on its own."""
    environment = envs.make(**settings)
    steps = [environment.reset(seed), *play(environment, actions)]
    environment.close()
    return [step.observation for step in steps], [step[1:] for step in steps[1:]]


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
    several = settings | {"num_envs": 3, "num_workers": workers}
    with VectorEnv(**several) as here, VectorEnv(**several) as there:
        given = np.random.default_rng(0).uniform(-1, 1, (500, 3, here.action_dim)).astype(np.float32)
        alone = [single(settings, seed, given[:, index]) for index, seed in enumerate(seeds(3))]
        here.reset(range(3), seeds(3))
        for count, actions in enumerate(given):
            running = [index for index, (_, outcomes) in enumerate(alone) if count < len(outcomes)]
            if not running:
                break
            if count == 5:
                there.restore_state(running[::-1], here.save_state(running[::-1]))
            outcome = here.step(running, actions[running])
            for place, index in enumerate(running):
                np.testing.assert_array_equal(here.observations[index], alone[index][0][count + 1])
                assert tuple(field[place] for field in outcome) == alone[index][1][count]
            if count >= 5:
                np.testing.assert_array_equal(np.stack(outcome), np.stack(there.step(running, actions[running])))
                np.testing.assert_array_equal(there.observations[running], here.observations[running])
        there.restore_state([1], here.save_state([0]))
        with pytest.raises(ValueError, match="environment 1 has no episode running"):
            there.step([1], given[0, :1])
    lengths = {len(outcomes) for _, outcomes in alone}
    assert lengths == {settings.get("max_decisions")} or len(lengths) > 1


@pytest.mark.parametrize("workers", [2, 0])
def test_halves_overlap_and_outcomes_come_in_the_order_begun(workers):
    settings = {"task": "cup_catch", "obs": "state"}
    decisions, first, second = 5, [0, 3], [2, 1]
    actions = np.random.RandomState(1).uniform(-1, 1, (decisions + 1, 4, 2)).astype(np.float32)
    rewards = np.zeros((decisions + 1, 4))
    with VectorEnv(**settings, num_envs=4, num_workers=workers) as vector:
        vector.reset(range(4), seeds(4))
        vector.step_async(first, actions[0][first])
        for number in range(decisions):
            vector.step_async(second, actions[number][second])
            rewards[number, first] = vector.step_wait().rewards
            vector.step_async(first, actions[number + 1][first])
            rewards[number, second] = vector.step_wait().rewards
        # A reset or a picture of one half does not mix with the other half's decision.
        vector.reset(second, seeds(2, start=50))
        restarted, picture = vector.observations[second].copy(), vector.render(second[:1], 30, 40)[0]
        rewards[decisions, first] = vector.step_wait().rewards
        ended = vector.observations.copy()
    for index, seed in enumerate(seeds(4)):
        played = decisions + (index in first)
        observations, outcomes = single(settings, seed, actions[:played, index])
        assert rewards[:played, index].tolist() == [reward for reward, *_ in outcomes]
        if index in first:
            np.testing.assert_array_equal(ended[index], observations[-1])
    environment = envs.make(**settings)
    for row in (1, 0):
        np.testing.assert_array_equal(restarted[row], environment.reset(seeds(2, start=50)[row]).observation)
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
