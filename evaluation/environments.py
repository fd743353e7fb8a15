"""The vectorised environments that all phases of a run share: workers are started once, and only if needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np


class VectorEnvironment(Protocol):
    """The part of `envs.vector.VectorEnv` that rollouts and calibration use."""

    num_envs: int
    max_episode_decisions: int
    observations: np.ndarray

    def reset(self, indices: np.ndarray, seeds: list[tuple[int, ...]]) -> Any:
        """Starts episodes in `indices`."""

    def step_async(self, indices: np.ndarray, actions: np.ndarray) -> Any:
        """Sends actions [len(indices), A] on their way. Several may be under way, for different indices."""

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rewards, discounts, lasts and capped flags of the earliest decision under way, each [len(indices)]."""

    def close(self) -> None:
        """Ends the workers."""


class Environments:
    """Environments made by `make(n)` when first asked for, `limit` at most. A context manager: it closes them."""

    def __init__(self, make: Callable[[int], VectorEnvironment], limit: int):
        self._make, self._limit = make, limit
        self._made: VectorEnvironment | None = None

    def up_to(self, wanted: int) -> VectorEnvironment:
        """At least min(wanted, limit) environments, none of them in use by an earlier caller any more."""
        wanted = min(wanted, self._limit)
        if self._made is not None and self._made.num_envs < wanted:
            self.close()
        if self._made is None:
            self._made = self._make(wanted)
        return self._made

    def close(self) -> None:
        """Ends the workers. May be called again."""
        made, self._made = self._made, None
        if made is not None:
            made.close()

    def __enter__(self) -> Environments:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
