"""Several environments of one task in one process, and the requests that a VectorEnv may make of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from envs import make, shared
from envs.environment import Environment
from envs.state import State


class Spec(NamedTuple):
    """What all environments of a group have in common; see `Environment`."""

    observation_shape: tuple[int, ...]
    observation_dtype: np.dtype
    action_dim: int
    max_episode_decisions: int
    control_timestep: float


class StepOutcome(NamedTuple):
    """What a decision led to, one entry per environment stepped. The fields are those of `TimeStep`."""

    rewards: np.ndarray  #: float64 [n]
    discounts: np.ndarray  #: float64 [n]
    lasts: np.ndarray  #: bool [n]
    capped: np.ndarray  #: bool [n]

    @classmethod
    def empty(cls, size: int) -> StepOutcome:
        return cls(np.zeros(size), np.ones(size), np.zeros(size, bool), np.zeros(size, bool))


class Group:
    """Environments by index; their observations go to the rows of a shared array with the same index.

    Its public methods are the requests; they are made through `call`, `make` first and `attach` second.
    """

    def __init__(self, memory: int):
        """`memory` is the descriptor of the shared array (see `envs.shared`)."""
        self._memory = memory
        self._environments: dict[int, Environment] = {}
        self._observations = np.zeros(0)  # until `attach`

    def call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        return getattr(self, method)(*arguments)

    def make(self, indices: list[int], settings: dict[str, Any]) -> Spec:
        for index in indices:
            self._environments[index] = make(**settings)
        first = self._environments[indices[0]]
        return Spec(*(getattr(first, name) for name in Spec._fields))

    def attach(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._observations = shared.attach(self._memory, shape, dtype)

    def reset(self, indices: list[int], seeds: list[tuple[int, ...]]) -> None:
        for index, seed in zip(indices, seeds, strict=True):
            self._observations[index] = self._environments[index].reset(seed).observation

    def step(self, indices: list[int], actions: np.ndarray) -> StepOutcome:
        outcome = StepOutcome.empty(len(indices))
        for row, (index, action) in enumerate(zip(indices, actions, strict=True)):
            step = self._environments[index].step(action)
            self._observations[index] = step.observation
            outcome.rewards[row], outcome.discounts[row] = step.reward, step.discount
            outcome.lasts[row], outcome.capped[row] = step.last, step.capped
        return outcome

    def save_state(self, indices: list[int]) -> list[State]:
        return [self._environments[index].save_state() for index in indices]

    def restore_state(self, indices: list[int], states: list[State]) -> None:
        for index, state in zip(indices, states, strict=True):
            self._observations[index] = self._environments[index].restore_state(state)

    def render(self, indices: list[int], height: int, width: int) -> list[np.ndarray]:
        return [self._environments[index].render(height, width) for index in indices]

    def close(self) -> None:
        for environment in self._environments.values():
            environment.close()
