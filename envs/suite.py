"""Tasks of dm_control as simulators: their names there, their cameras. The only module that imports dm_control's
environments.

Source of names and cameras: facebookresearch/drqv2, dmc.py.
"""

import logging
import math
import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from envs import gl, mujoco_state, renderer
from envs.simulator import DivergedError, TimeStep

# Tasks of dm_control.manipulation; all others are of dm_control.suite.
_MANIPULATION = ("reach_duplo",)
# What dm_control.suite calls a domain; the camera's index or name, by domain.
_DOMAIN = {"cup": "ball_in_cup"}
_CAMERA: dict[str, int | str] = {"quadruped": 2, "reach": "front_close"}

_WARNINGS = re.compile("mjWARN_[A-Z]+")

# Integration state, sensors (those of forces belong to the step before and can't be made anew), the task's random state
# when the episode started and now, environment steps since.
_Saved = tuple[np.ndarray, np.ndarray, Any, Any, int]


class SuiteTask:
    """A task of dm_control.suite or dm_control.manipulation (see `envs.simulator.Simulator`).

    What an episode is made of lies in three places: in MuJoCo's data, in the task's random state, and in the model,
    which tasks change (a target's place, a terrain) only when an episode starts. `restore` makes the last anew where it
    is needed, by starting the episode again from the random state that it was started from.
    """

    def __init__(self, task: str, seed: int):
        self._task = task
        self._simulator = load(task, seed)
        self._renderer: renderer.Renderer | None = None
        self._open = ExitStack()  # what `close` frees
        self._open.callback(self._simulator.close)
        self._origin: Any = None  # the random state when the episode started
        spec = self._simulator.action_spec()
        # float32 as the agent's actions are, and as the published wrappers round the scaled ones.
        self.low, self.high = (np.full(spec.shape, bound, np.float32) for bound in (spec.minimum, spec.maximum))
        parts = self._simulator.observation_spec().values()
        self.state_shape: tuple[int, ...] = (sum(int(np.prod(part.shape)) for part in parts),)
        self.control_timestep = float(self._simulator.control_timestep())
        # Composer's environments have a limit in seconds.
        counts = hasattr(self._simulator, "_step_limit")
        limit = self._simulator._step_limit if counts else self._simulator._time_limit / self.control_timestep
        self.time_limit_steps = math.ceil(limit)

    @property
    def physics(self) -> Any:
        """dm_control's physics. Tasks of dm_control.manipulation make a new one at every reset: don't keep it."""
        return self._simulator.physics

    @property
    def _random(self) -> np.random.RandomState:
        """The generator that draws the task's initial states."""
        has_its_own = hasattr(self._simulator, "random_state")
        return self._simulator.random_state if has_its_own else self._simulator.task.random

    def reset(self, seed: tuple[int, int, int] | None) -> np.ndarray:
        if seed is not None:
            self._random.seed(seed)
        self._origin = self._random.get_state()
        return _features(_advance(self._simulator.reset))

    def step(self, control: np.ndarray) -> TimeStep:
        step = _advance(self._simulator.step, control)
        return TimeStep(_features(step), float(step.reward or 0.0), float(step.discount), step.last())

    def save(self) -> _Saved:
        sensors = np.array(self.physics.data.ptr.sensordata)
        # Composer's environments have MuJoCo's clock in place of a count of steps.
        steps = int(getattr(self._simulator, "_step_count", 0))
        return mujoco_state.read(*self._pointers()), sensors, self._origin, self._random.get_state(), steps

    def restore(self, saved: _Saved) -> None:
        import mujoco

        values, sensors, origin, random, steps = saved
        if self._origin is None or not all(map(np.array_equal, self._origin, origin)):
            # Another episode: starting it anew brings the model to what it was there.
            self._random.set_state(origin)
            self._simulator.reset()
            self._origin = origin
        model, data = self._pointers()
        mujoco_state.write(model, data, values)
        # dm_control ends each step with the first half of MuJoCo's, which derives poses, contacts and velocities.
        mujoco.mj_step1(model, data)
        data.sensordata[:] = sensors
        self._random.set_state(random)
        self._simulator._reset_next_step = False
        if hasattr(self._simulator, "_step_count"):
            self._simulator._step_count = steps

    def coordinates(self) -> np.ndarray:
        return mujoco_state.coordinates(*self._pointers())

    def render(self, height: int, width: int, device: int | None) -> np.ndarray:
        if self._renderer is None:
            gl.choose(device)
            self._renderer = renderer.acquire(self._task, self.physics.model)
            self._open.callback(renderer.release, self._task)
        return self._renderer.render(self.physics, height, width, _CAMERA.get(self._task.split("_", 1)[0], 0))

    def close(self) -> None:
        self._open.close()

    def _pointers(self) -> tuple[Any, Any]:
        return self.physics.model.ptr, self.physics.data.ptr


def load(task: str, seed: int) -> Any:
    """dm_control environment of `task`, without cameras among its observations, its random state seeded by `seed`."""
    suite, manipulation = _import_dm_control()
    if task not in _MANIPULATION:
        domain, name = task.split("_", 1)
        return suite.load(_DOMAIN.get(domain, domain), name, task_kwargs={"random": seed}, visualize_reward=False)
    # Both variants hold the same scene; of the two, "features" observes without rendering.
    return manipulation.load(f"{task}_features", seed=seed)


def _features(step: Any) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in step.observation.values()]).astype(np.float32)


def _advance(method: Callable[..., Any], *arguments: Any) -> Any:
    from dm_control.rl.control import PhysicsError  # loaded by `load`, with its precautions

    try:
        return method(*arguments)
    except PhysicsError as error:
        raise DivergedError(", ".join(_WARNINGS.findall(str(error))) or "MuJoCo's state is invalid") from error


def _import_dm_control() -> tuple[Any, Any]:
    # On import dm_control opens the display or device that MUJOCO_GL names. With "disable" it loads no OpenGL, so that
    # state needs none, wherever MUJOCO_GL points; pixels bring a context of their own (envs.renderer).
    chosen = os.environ.get("MUJOCO_GL")
    os.environ["MUJOCO_GL"] = "disable"
    logging.getLogger("absl").addFilter(_is_news)
    try:
        from dm_control import manipulation, suite
    finally:
        if chosen is None:
            del os.environ["MUJOCO_GL"]
        else:
            os.environ["MUJOCO_GL"] = chosen
    return suite, manipulation


def _is_news(record: logging.LogRecord) -> bool:
    """False for an attribute of its own models that MuJoCo has deprecated, and for what DivergedError says as well."""
    said = record.getMessage()
    return "is deprecated and will be removed" not in said and "The simulation is unstable" not in said
