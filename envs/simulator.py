"""Loads a task's simulator. The only module that imports dm_control's environments."""

from __future__ import annotations

import logging
import os
import re
from typing import Any

import numpy as np

from envs import tasks

_WARNINGS = re.compile("mjWARN_[A-Z]+")


class DivergedError(Exception):
    """The simulation became unstable, so that its state means nothing; the message names MuJoCo's warnings."""


def load(task: str, seed: int) -> Any:
    """dm_control environment of `task`, without cameras among its observations, its random state seeded by `seed`."""
    suite, manipulation = _import_dm_control()
    if task not in tasks.MANIPULATION:
        domain, name = tasks.suite_name(task)
        return suite.load(domain, name, task_kwargs={"random": seed}, visualize_reward=False)
    # Both variants hold the same scene; of the two, "features" observes without rendering.
    return manipulation.load(f"{task}_features", seed=seed)


def random_state(simulator: Any) -> np.random.RandomState:
    """The generator that draws the task's initial states."""
    return simulator.random_state if hasattr(simulator, "random_state") else simulator.task.random


def reset(simulator: Any) -> Any:
    """dm_env time step at the start of an episode. Raises DivergedError."""
    return _advance(simulator.reset)


def step(simulator: Any, control: np.ndarray) -> Any:
    """dm_env time step after one environment step. Raises DivergedError."""
    return _advance(simulator.step, control)


def time_limit_steps(simulator: Any) -> int:
    """Control steps after which an episode ends by the task's own time limit."""
    if hasattr(simulator, "_step_limit"):
        return int(np.ceil(simulator._step_limit))
    # Composer compares MuJoCo's clock, a running sum in float64, with the limit; the same sum counts the same steps.
    timestep = simulator.physics.timestep()
    substeps = round(simulator.control_timestep() / timestep)
    clock, steps = 0.0, 0
    while clock < simulator._time_limit:
        for _ in range(substeps):
            clock += timestep
        steps += 1
    return steps


def step_count(simulator: Any) -> int:
    """Environment steps since the last reset. Composer's environments have MuJoCo's clock in place of a count: 0."""
    return int(getattr(simulator, "_step_count", 0))


def resume(simulator: Any, steps: int) -> None:
    """Makes the simulator go on after `steps` environment steps, with a step and not with a reset."""
    simulator._reset_next_step = False
    if hasattr(simulator, "_step_count"):
        simulator._step_count = steps


def _advance(method: Any, *arguments: Any) -> Any:
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
