"""One environment: decisions, episodes and their seeds, pictures, refusals; and tasks bit for bit as published."""

import hashlib
import itertools

import dm_env
import numpy as np
import pytest
from dm_env import specs
from hypothesis import given
from hypothesis import strategies as st

import envs
from envs import STREAMS, episode_seed, gl
from tests.envs import oracle
from tests.envs.oracle import DECISIONS, SEED, actions
from tests.envs.test_state import play
from tests.processes import python
from tests.refusals import refused


class Scripted(dm_env.Environment):
    """A simulator with nothing inside: it returns the rewards and discounts it is told and notes the controls it gets.

    `script`: (reward, discount) of each environment step; the last one ends the episode.
    """

    _step_limit = 1000
    random_state = np.random.RandomState(0)  # drawn from by nobody

    def __init__(self, script, low=-1.0, high=1.0):
        self.script, self.controls = list(script), []
        self.bounds = specs.BoundedArray((2,), float, low, high)

    def action_spec(self):
        return self.bounds

    def observation_spec(self):
        return {"time": specs.Array((), float), "pair": specs.Array((2,), float)}

    def observation(self):
        time = float(len(self.controls))
        return {"time": time, "pair": np.array([time, -time])}

    def reset(self):
        self.controls = []
        return dm_env.restart(self.observation())

    def step(self, control):
        reward, discount = self.script[len(self.controls)]
        self.controls.append(control.copy())
        last = len(self.controls) == len(self.script)
        kind = dm_env.StepType.LAST if last else dm_env.StepType.MID
        return dm_env.TimeStep(kind, reward, discount, self.observation())

    def control_timestep(self):
        return 0.01


def scripted(script, action_repeat=2, **bounds):
    """An environment whose simulator follows a script, and that simulator."""
    simulator = Scripted(script, **bounds)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("envs.suite.load", lambda task, seed: simulator)
        return envs.make("cheetah_run", obs="state", action_repeat=action_repeat), simulator


def roll_out(environment, seed, decisions=3):
    """The episode's observations, rewards and discounts as one hash."""
    steps = [environment.reset(seed)]
    steps += [environment.step(action) for action in actions(decisions, environment.action_dim)]
    digest = hashlib.sha256()
    for step in steps:
        digest.update(step.observation.tobytes() + np.array([step.reward, step.discount]).tobytes())
    return digest.hexdigest()


# --- decisions: action repeat, rewards, discounts, ends ---------------------------------------------------------------


@given(
    script=st.lists(st.tuples(st.floats(-5, 5), st.sampled_from([0.0, 0.5, 0.99, 1.0])), min_size=1, max_size=12),
    repeat=st.integers(1, 4),
)
def test_a_decision_sums_discounted_rewards_until_the_end(script, repeat):
    environment, _ = scripted(script, repeat)
    environment.reset()
    for begin in range(0, len(script), repeat):
        rewards, discounts = np.array(script[begin : begin + repeat]).T
        weights = np.concatenate([[1.0], np.cumprod(discounts)[:-1]])
        step = environment.step(np.zeros(2, np.float32))
        assert step.reward == pytest.approx(float(rewards @ weights), abs=1e-12)
        assert step.discount == pytest.approx(float(np.prod(discounts)), abs=1e-12)
        assert step.last == (begin + repeat >= len(script)) and not step.capped
    with pytest.raises(RuntimeError, match="over"):
        environment.step(np.zeros(2, np.float32))


def test_the_action_is_repeated_and_scaled_to_the_bounds_of_the_task():
    environment, simulator = scripted([(0.0, 1.0)] * 9, 3, low=[-3.0, 0.25], high=[7.0, 0.5])
    environment.reset()
    for action, control in (([-1, -1], [-3, 0.25]), ([1, 1], [7, 0.5]), ([0, 0.5], [2, 0.4375])):
        environment.step(np.array(action, np.float32))
        np.testing.assert_allclose(simulator.controls[-3:], [control] * 3, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.zeros(5), np.zeros((1, 6)), np.full(6, np.nan), np.array([0, 0, np.inf, 0, 0, 0])])
def test_a_wrong_action_is_refused_and_changes_nothing(bad):
    environment = envs.make("cheetah_run", obs="state")
    with pytest.raises(RuntimeError, match="reset"):
        environment.step(np.zeros(6, np.float32))
    environment.reset((1, 2, 3))
    before = environment._simulator.physics.get_state().copy()
    with pytest.raises(ValueError, match="action"):
        environment.step(bad)
    assert (environment._simulator.physics.get_state() == before).all()


# --- episode length ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task, repeat, cap, decisions, capped",
    [
        ("cheetah_run", 2, None, 500, False),
        ("humanoid_stand", 2, None, 500, False),
        ("cartpole_swingup", 3, None, 334, False),
        ("reach_duplo", 2, 1, 1, True),
        ("reach_duplo", 2, 7, 7, True),
        ("reach_duplo", 2, 124, 124, True),
        ("reach_duplo", 2, 125, 125, False),
        ("reach_duplo", 2, 126, 125, False),
    ],
)
def test_an_episode_is_as_long_as_its_time_limit_or_max_decisions(task, repeat, cap, decisions, capped):
    environment = envs.make(task, obs="state", action_repeat=repeat, max_decisions=cap)
    assert environment.max_episode_decisions == decisions
    for _ in range(1 + capped):  # the count starts anew
        environment.reset((0, 0, 0))
        steps = play(environment, itertools.repeat(np.zeros(environment.action_dim, np.float32)))
        # Neither is a true end.
        assert (len(steps), steps[-1].discount, steps[-1].capped) == (decisions, 1.0, capped)


# --- seeds ------------------------------------------------------------------------------------------------------------

SEEDED = [(task, "pixels") for task in ("cheetah_run", "finger_turn_hard", "reach_duplo")] + [
    (task, "state") for task in ("acrobot_swingup", "cup_catch", "humanoid_run", "quadruped_walk", "reach_duplo")
]


@pytest.fixture(scope="module")
def in_a_fresh_process():
    """Hashes of SEEDED's episodes, rolled out in the opposite order by another process."""
    code = (
        "import envs; from tests.envs.test_environment import *\n"
        "for task, obs in reversed(SEEDED): print(roll_out(envs.make(task, obs=obs), (1, 2, 3)))"
    )
    return dict(zip(reversed(SEEDED), python("-c", code).stdout.split(), strict=True))


@pytest.mark.parametrize("task, obs", SEEDED)
def test_an_episode_is_a_function_of_its_seed_tuple(task, obs, in_a_fresh_process):
    environment = envs.make(task, obs=obs, seed=5)
    first = roll_out(environment, (1, 2, 3))
    others = {roll_out(environment, seed) for seed in ((1, 2, 4), (1, 3, 2), (2, 2, 3))}
    assert len(others) == 3 and first not in others
    environment.reset()  # goes on from wherever the generator is
    assert roll_out(environment, (1, 2, 3)) == first
    assert in_a_fresh_process[task, obs] == first
    environment.close()


def test_without_a_tuple_the_generator_goes_on():
    one, same, other = (envs.make("reacher_easy", obs="state", seed=seed) for seed in (3, 3, 4))
    episodes = [roll_out(one, None) for _ in range(3)]
    assert len(set(episodes)) == 3
    assert [roll_out(same, None) for _ in range(3)] == episodes
    assert roll_out(other, None) not in episodes


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_the_stack_is_as_deep_as_asked_for():
    environment = envs.make("cartpole_swingup", frame_stack=4)
    assert environment.reset((0, 0, 1)).observation.shape == environment.observation_shape == (12, 84, 84)


def test_environments_that_share_a_renderer_do_not_disturb_each_other():
    environments = [envs.make(task) for task in ("cheetah_run", "cheetah_run", "reacher_hard")]

    def episode(number):
        environment = environments[number]
        yield environment.reset((0, 0, number)).observation
        for action in actions(3, environment.action_dim):
            yield environment.step(action).observation
            environment.render(120, 160)

    alone = [list(episode(number)) for number in range(3)]
    in_turns = zip(*(episode(number) for number in range(3)))
    for ours, theirs in zip(zip(*in_turns), alone, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for _ in range(2):
        environments[0].close()
    np.testing.assert_array_equal(environments[1].render(84, 84).transpose(2, 0, 1), alone[1][-1][-3:])


def test_render_shows_the_same_scene_at_any_size_and_for_any_observations():
    pixels, state = envs.make("walker_walk"), envs.make("walker_walk", obs="state")
    observation = pixels.reset((0, 0, 9)).observation
    state.reset((0, 0, 9))
    np.testing.assert_array_equal(state.render(84, 84).transpose(2, 0, 1), observation[-3:])
    large = state.render(840, 840)  # beyond the 640x480 that the models declare
    small = large.reshape(84, 10, 84, 10, 3).mean((1, 3))
    assert np.abs(small - observation[-3:].transpose(1, 2, 0)).mean() < 4
    assert state.render().shape == (240, 320, 3) and state.render().dtype == np.uint8
    with refused("picture of 0x9"):
        state.render(0, 9)
    pixels.close()
    state.close()


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(task="walker_wlak"), "task=walker_wlak.*walker_walk"),
        (dict(task="easy"), "task=easy.*finger_turn_easy|reacher_easy"),
        (dict(task="zzz"), "task=zzz.*acrobot_swingup.*walker_walk"),
        (dict(obs="picture"), "obs=picture.*pixels or state"),
        (dict(seed=-1), "seed=-1"),
        (dict(seed=2**32), f"seed={2**32}"),
        (dict(frame_stack=0), "frame_stack=0.*at least 1"),
        (dict(action_repeat=0), "action_repeat=0.*at least 1"),
        (dict(max_decisions=0), "max_decisions=0.*at least 1"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(settings, words):
    with refused(words):
        envs.make(**{"task": "cheetah_run", "obs": "state", **settings})


# ---- seeds of episodes ----


draws = st.tuples(st.sampled_from(STREAMS), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


@given(draws, draws)
def test_different_episodes_have_different_seeds(one, other):
    assert (episode_seed(*one) == episode_seed(*other)) == (one == other)


@given(draws)
def test_numpy_takes_every_seed(draw):
    seed = episode_seed(*draw)
    assert all(type(word) is int for word in seed)
    assert np.random.RandomState(seed).randint(2**31) == np.random.RandomState(list(seed)).randint(2**31)


@pytest.mark.parametrize("seed, episode, named", [(-1, 0, "seed=-1"), (2**32, 0, "seed="), (0, -5, "episode=-5")])
def test_out_of_range_is_refused(seed, episode, named):
    with refused(named):
        episode_seed("train", seed, episode)


# ---- tasks, bit for bit against the published pipeline (see oracle.py) ----


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
