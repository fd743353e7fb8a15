"""Loads a task's simulator. The only module that imports dm_control's environments."""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np

from envs import tasks


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


def _import_dm_control() -> tuple[Any, Any]:
    # Without MUJOCO_GL the import goes looking for a display; with "disable" it loads no OpenGL. The renderer brings
    # its own context when pixels are asked for, so the variable is put back as it was.
    undecided = "MUJOCO_GL" not in os.environ
    if undecided:
        os.environ["MUJOCO_GL"] = "disable"
    # Its models set an attribute that MuJoCo has deprecated: nothing that a user of ours could change.
    logging.getLogger("absl").addFilter(_not_deprecation)
    try:
        from dm_control import manipulation, suite
    finally:
        if undecided:
            del os.environ["MUJOCO_GL"]
    return suite, manipulation


def _not_deprecation(record: logging.LogRecord) -> bool:
    return "is deprecated and will be removed" not in record.getMessage()
