"""Tasks of Gymnasium as simulators: Box observations, one bounded Box of actions, a time limit of their own."""

import copy
import importlib
import warnings
from typing import Any, NamedTuple

import numpy as np

from envs import gl, mujoco_state
from envs.simulator import DivergedError, TimeStep
from runtime.did_you_mean import did_you_mean
from runtime.errors import UserError

_PLAIN = (int, float, str, tuple, list, np.ndarray, np.generic, type(None))
_STEPS = "_elapsed_steps"  # of the wrapper that ends an episode at its time limit
_BAD = ("mjWARN_BADQPOS", "mjWARN_BADQVEL", "mjWARN_BADQACC")


class Spaces(NamedTuple):
    """What a task observes and takes, for readers of files that don't say it themselves."""

    task: str
    observation_shape: tuple[int, ...]  #: of the state observation
    low: np.ndarray  #: float32 [A], bounds of the actions
    high: np.ndarray


class _Moment(NamedTuple):
    """Where an environment was before its latest step, and that step's action; None: right after a reset."""

    physics: np.ndarray
    random: dict[str, Any]
    control: np.ndarray | None


class _Saved(NamedTuple):
    """The moment before the latest step; random state, plain attributes and environment steps after it.

    Gymnasium's tasks observe poses and contact forces that MuJoCo derived one substep ago and that its state doesn't
    hold. Taking the latest step again from the state before it brings back all of them, whatever a task looks at.
    """

    before: _Moment
    random: dict[str, Any]
    attributes: dict[str, Any]
    steps: int


class GymnasiumTask:
    """An environment of Gymnasium's registry (see `envs.simulator.Simulator`).

    Raises UserError for an environment that can't be made or whose spaces are of another kind, and from `save` for one
    whose physics isn't MuJoCo's.
    """

    def __init__(self, task: str, seed: int):
        self._task = task
        self._environment = _make(task)
        self._inner = self._environment.unwrapped
        observed, acted = self._environment.observation_space, self._environment.action_space
        _box(task, "actions", acted, (1,))
        self.low, self.high = acted.low.astype(np.float32), acted.high.astype(np.float32)
        if not np.isfinite([self.low, self.high]).all():
            raise UserError(f"env_name={task}: its actions have no bounds, so there is nothing to scale them to")
        self.state_shape = _box(task, "observations", observed, (1, 3)).shape
        limit = self._environment.spec.max_episode_steps
        if limit is None:
            raise UserError(f"env_name={task}: it has no time limit; register it with max_episode_steps")
        self.time_limit_steps = limit
        self._mujoco = hasattr(self._inner, "model") and hasattr(self._inner, "data")
        self.control_timestep = float(self._inner.dt if self._mujoco else 1 / self._inner.metadata["render_fps"])
        self._before: _Moment | None = None
        self._environment.reset(seed=seed)

    def reset(self, seed: tuple[int, int, int] | None) -> np.ndarray:
        # One integer, and another one for every tuple of words of 32 bits.
        number = None if seed is None else sum(word << 32 * place for place, word in enumerate(reversed(seed)))
        observation, _ = self._environment.reset(seed=number)
        self._before = self._moment(None)
        return self._checked(observation)

    def step(self, control: np.ndarray) -> TimeStep:
        control = control.astype(np.float32)
        self._before = self._moment(control)
        observation, reward, terminated, truncated, _ = self._environment.step(control)
        features = self._checked(observation, reward)
        return TimeStep(features, float(reward), 0.0 if terminated else 1.0, bool(terminated or truncated))

    def save(self) -> _Saved:
        if self._before is None:
            raise UserError(
                f"env_name={self._task}: its physics isn't MuJoCo's, so its states can't be saved and restored, "
                "which analyze.py needs; convert.py doesn't"
            )
        # What the task itself remembers, such as a goal: copies, so that later steps change nothing in them.
        plain = _copies({name: value for name, value in vars(self._inner).items() if isinstance(value, _PLAIN)})
        return _Saved(self._before, self._random, plain, self._environment.get_wrapper_attr(_STEPS))

    def restore(self, saved: _Saved) -> None:
        import mujoco

        self._inner.data.warning.number[:] = 0  # of an episode here that diverged
        mujoco_state.write(self._inner.model, self._inner.data, saved.before.physics)
        self._inner.np_random.bit_generator.state = saved.before.random
        if saved.before.control is None:
            mujoco.mj_forward(self._inner.model, self._inner.data)
        else:
            self._inner.step(saved.before.control)
        self._inner.np_random.bit_generator.state = saved.random
        vars(self._inner).update(_copies(saved.attributes))
        self._before = saved.before
        self._environment.set_wrapper_attr(_STEPS, saved.steps)

    def coordinates(self) -> np.ndarray:
        return mujoco_state.coordinates(self._inner.model, self._inner.data)

    def render(self, height: int, width: int, device: int | None) -> np.ndarray:
        from PIL import Image, ImageOps

        gl.choose(device)
        try:
            picture = self._environment.render()
        except Exception as error:  # of any library that an environment draws with
            raise UserError(f"env_name={self._task}: can't render ({_line(error)})") from error
        return np.asarray(ImageOps.pad(Image.fromarray(picture), (width, height)))

    def close(self) -> None:
        self._environment.close()

    @property
    def _random(self) -> dict[str, Any]:
        return self._inner.np_random.bit_generator.state

    def _moment(self, control: np.ndarray | None) -> _Moment | None:
        if not self._mujoco:
            return None
        return _Moment(mujoco_state.read(self._inner.model, self._inner.data), self._random, control)

    def _checked(self, observation: np.ndarray, reward: float = 0.0) -> np.ndarray:
        """The observation as float32. Raises DivergedError where it or the reward isn't finite or MuJoCo gave up."""
        signs = [] if np.isfinite(observation).all() and np.isfinite(reward) else ["a value is not finite"]
        if self._mujoco:
            import mujoco

            # MuJoCo then starts the simulation anew by itself, as if nothing had been.
            counts = self._inner.data.warning
            signs += [name for name in _BAD if counts[int(getattr(mujoco.mjtWarning, name))].number]
        if signs:
            raise DivergedError(", ".join(signs))
        return observation.astype(np.float32)


def check(task: str) -> None:
    """Raises UserError, with the nearest names, where Gymnasium is missing or has no environment `task`."""
    try:
        import gymnasium
    except ImportError:
        raise UserError(f"env_name={task}: needs Gymnasium, which isn't installed: pip install '.[gym]'") from None
    module, _, name = task.rpartition(":")
    try:
        if module:
            importlib.import_module(module)  # which registers the environment
        gymnasium.spec(name)
    except (gymnasium.error.Error, ImportError) as error:
        remedy = did_you_mean(task, gymnasium.registry) or _line(error)
        raise UserError(f"env_name={task}: no such Gymnasium environment; {remedy.strip()}") from None


def spaces(task: str) -> Spaces:
    """Of the Gymnasium environment `task`. Raises UserError where it can't be made or has no such spaces."""
    simulator = GymnasiumTask(task, 0)
    simulator.close()
    return Spaces(task, simulator.state_shape, simulator.low, simulator.high)


def _make(task: str) -> Any:
    check(task)
    import gymnasium
    import mujoco

    # Without a handler MuJoCo prints its warnings and writes them to MUJOCO_LOG.TXT in the working directory. They tell
    # of deprecated words in Gymnasium's models, and of instability, which the data's counts tell as well.
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(lambda message: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # v4 is out of date, which whoever asks for it knows
        try:
            return gymnasium.make(task, render_mode="rgb_array", disable_env_checker=True)
        except (gymnasium.error.Error, ImportError, OSError) as error:
            raise UserError(f"env_name={task}: can't be made here ({_line(error)})") from None


def _box(task: str, what: str, space: Any, dimensions: tuple[int, ...]) -> Any:
    """`space`, if it is a Box of so many dimensions."""
    shape = getattr(space, "shape", None)
    if type(space).__name__ != "Box" or len(shape or ()) not in dimensions:
        kind = f"a {type(space).__name__}" + (f" of shape {shape}" if shape else "")
        raise UserError(f"env_name={task}: its {what} are {kind}; a spiking policy needs a Box of numbers")
    return space


def _copies(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: copy.copy(value) for name, value in attributes.items()}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
