"""What a Gymnasium task observes and takes, for readers of files that don't say it themselves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Spaces(NamedTuple):
    """The shape of a task's state observation and the bounds of its actions, float32 [A]."""

    task: str
    observation_shape: tuple[int, ...]
    low: np.ndarray
    high: np.ndarray


def of(task: str) -> Spaces:
    """Of the Gymnasium environment `task`. Raises UserError where it can't be made or has no such spaces."""
    from envs.gymnasium_task import GymnasiumTask

    simulator = GymnasiumTask(task, 0)
    simulator.close()
    return Spaces(task, simulator.state_shape, simulator.low, simulator.high)
