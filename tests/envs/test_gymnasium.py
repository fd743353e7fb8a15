"""Gymnasium's tasks behind envs.make and VectorEnv, against Gymnasium's own environments."""

import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv

import envs
from tests.envs.test_state import SEED, actions, make, play, started
from tests.refusals import refused

NUMBER = (SEED[0] << 64) + (SEED[1] << 32) + SEED[2]


class Stub(gymnasium.Env):
    """An environment that does nothing, of the spaces that it is told."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(self, observed, acted, render_mode=None):
        self.observation_space, self.action_space = observed, acted

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


def box(*shape, bound=1.0):
    return gymnasium.spaces.Box(-bound, bound, shape, np.float32)


@pytest.fixture
def registered():
    """Registers a stub under the name that it returns."""

    def register(observed, acted, limit=10):
        gymnasium.register(
            "Stub-v0", lambda **words: Stub(observed, acted, **words), max_episode_steps=limit, disable_env_checker=True
        )
        return "Stub-v0"

    yield register
    gymnasium.registry.pop("Stub-v0", None)


# Bounds of 1, 2, 3 and 0.4; observations of poses one substep old and of contact forces; both versions.
@pytest.mark.parametrize(
    "task", ["Hopper-v4", "HalfCheetah-v5", "Ant-v5", "Pusher-v5", "Humanoid-v4", "InvertedPendulum-v4", "Pendulum-v1"]
)
def test_an_episode_is_gymnasiums_own(task):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = gymnasium.make(task)
    ours = make(task)
    expected, _ = theirs.reset(seed=NUMBER)
    first = ours.reset(SEED)
    np.testing.assert_array_equal(first.observation, expected.astype(np.float32))
    assert first.observation.shape == ours.observation_shape
    assert ours.max_episode_decisions == theirs.spec.max_episode_steps
    for action in actions(ours, 30):
        expected, reward, terminated, truncated, _ = theirs.step(theirs.action_space.high * action)
        step = ours.step(action)
        np.testing.assert_array_equal(step.observation, expected.astype(np.float32))
        assert step[1:4] == (reward, 1.0 - terminated, terminated or truncated)
        if step.last:
            break


def test_a_fall_is_a_true_end_and_a_time_limit_is_none():
    environment = started("Hopper-v4")
    fallen = play(environment, actions(environment, 999))[-1]
    assert (fallen.last, fallen.discount, fallen.capped) == (True, 0.0, False)
    limited = started("Reacher-v5")
    steps = play(limited, actions(limited, 60))
    assert (len(steps), steps[-1].discount, steps[-1].capped) == (50, 1.0, False)
    capped = started("Reacher-v5", max_decisions=7)
    assert len(play(capped, actions(capped, 60))) == 7 and capped.save_state().over


def test_a_simulation_that_diverges_is_one_line(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    environment, rest = started("HalfCheetah-v4"), np.zeros(6, np.float32)
    state, expected = environment.save_state(), started("HalfCheetah-v4").step(rest)
    environment._simulator._inner.data.qvel[:] = np.nan
    with refused(r"unstable at decision 0 of episode 5 of stream report, seed 3 \(.*\); run again"):
        environment.step(rest)
    environment.restore_state(state)
    np.testing.assert_array_equal(environment.step(rest).observation, expected.observation)
    environment.reset(SEED)
    assert not list(tmp_path.iterdir()) and capfd.readouterr() == ("", "")  # MuJoCo's own log and words


def test_a_state_is_the_same_however_often_it_is_gone_back_to():
    class Counting(HopperEnv):
        def __init__(self, **words):
            self.steps = np.zeros(1)
            super().__init__(**words)

        def step(self, action):
            self.steps += 1
            return super().step(action)[0], self.steps[0], False, False, {}

    gymnasium.register("Counting-v0", Counting, max_episode_steps=10)
    environment = started("Counting-v0")
    environment.step(np.zeros(3, np.float32))
    state, rewards = environment.save_state(), []
    for _ in range(3):
        environment.restore_state(state)
        rewards.append(environment.step(np.zeros(3, np.float32)).reward)
    del gymnasium.registry["Counting-v0"]
    assert rewards == [2, 2, 2]


def test_pictures_have_the_size_asked_for():
    environment = started("Hopper-v5")
    picture = environment.render(60, 80)
    assert picture.shape == (60, 80, 3) and picture.dtype == np.uint8 and picture.std() > 5


@pytest.mark.parametrize(
    "observed, acted, limit, words",
    [
        (
            box(3),
            gymnasium.spaces.Discrete(2),
            10,
            r"its actions are a Discrete; a spiking policy needs a Box of numbers",
        ),
        (
            gymnasium.spaces.Dict({"a": box(3)}),
            box(2),
            10,
            r"its observations are a Dict; a spiking policy needs a Box of numbers",
        ),
        (box(3, 4), box(2), 10, r"its observations are a Box of shape \(3, 4\)"),
        (box(3), box(2, bound=np.inf), 10, "its actions have no bounds"),
        (box(3), box(2), None, "it has no time limit; register it with max_episode_steps"),
    ],
)
def test_spaces_that_no_policy_here_can_take_are_one_line(registered, observed, acted, limit, words):
    with refused(f"^env_name=Stub-v0: {words}"):
        make(registered(observed, acted, limit))


def test_a_module_that_registers_an_environment_is_imported(registered, tmp_path, monkeypatch):
    """Named before the colon, as Gymnasium has it; its spaces are told as those of any other."""
    (tmp_path / "stub_tasks.py").write_text(
        "from tests.envs import test_gymnasium as t\n"
        "t.gymnasium.register('Stub-v0', lambda **w: t.Stub(t.box(3), t.box(2), **w), max_episode_steps=10)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with refused("^env_name=Stub-v0: no such Gymnasium environment"):
        make("Stub-v0")
    environment = make("stub_tasks:Stub-v0")
    assert (environment.observation_shape, environment.action_dim) == ((3,), 2)


def test_states_of_other_physics_are_refused_by_name(registered):
    environment = started(registered(box(3), box(2)))
    with refused("^env_name=Stub-v0: its physics isn't MuJoCo's"):
        environment.save_state()


@pytest.mark.parametrize(
    "task, obs, words",
    [
        ("Hoper-v4", "state", "^env_name=Hoper-v4: no such Gymnasium environment; did you mean Hopper-v"),
        ("nowhere:Foo-v0", "state", "^env_name=nowhere:Foo-v0: no such Gymnasium environment; .*nowhere"),
        ("Hopper-v3", "state", "^env_name=Hopper-v3: can't be made here"),
        ("Pusher-v4", "state", "^env_name=Pusher-v4: can't be made here .*mujoco"),
        ("Hopper-v4", "pixels", "^obs=pixels: .*write obs=state for Hopper-v4$"),
    ],
)
def test_what_cannot_be_made_is_one_line(task, obs, words):
    with refused(words):
        envs.make(task, obs=obs)


def test_without_gymnasium_the_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with refused(r"^env_name=Hopper-v4: needs Gymnasium, .*pip install '\.\[gym\]'$"):
        make("Hopper-v4")
