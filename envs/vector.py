"""Many environments of one task, stepped by worker processes. Their observations lie in one shared array.

While workers step one half of the environments, the caller can compute actions for the other:

    vector.step_async(first_half, actions)
    ...                                       # the policy acts for the second half
    vector.step_async(second_half, others)
    outcome = vector.step_wait()              # of the first half
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import numpy as np

from envs import gl
from envs.environment import State
from envs.worker import Share, WorkerProcess, shared_array
from runtime.errors import UserError

Indices = Sequence[int] | np.ndarray
_OVER, _READY, _STEPPING = 0, 1, 2

# Of a request to one worker: the positions in the caller's indices that are its own, and what waits for its answer.
_Part = tuple[np.ndarray, Callable[[], list[Any]]]


class StepOutcome(NamedTuple):
    """What a decision led to, one entry per environment stepped. The fields are those of `TimeStep`."""

    rewards: np.ndarray  #: float64 [n]
    discounts: np.ndarray  #: float64 [n]
    lasts: np.ndarray  #: bool [n]
    capped: np.ndarray  #: bool [n]


class VectorEnv(AbstractContextManager["VectorEnv"]):
    """`num_envs` environments of `task`, by index 0 ... num_envs - 1. A context manager; close it when done.

    Environments don't reset themselves: after `lasts` an index needs `reset` with the seed of its next episode.
    If a worker dies or fails, WorkerError names its cause and the whole VectorEnv is closed.
    """

    def __init__(
        self,
        task: str,
        *,
        num_envs: int,
        obs: str = "pixels",
        frame_stack: int = 3,
        action_repeat: int = 2,
        max_decisions: int | None = None,
        render_device: int | None = None,
        num_workers: int | None = None,
    ):
        """
        Args:
            num_workers: processes; by default one per core that this process may use (never more than environments);
                0 steps everything in this process.
            The others are those of `envs.make`.

        Raises UserError for a value out of range, WorkerError if a worker dies while starting.
        """
        if num_envs < 1:
            raise UserError(f"num_envs={num_envs}: must be at least 1")
        if num_workers is not None and num_workers < 0:
            raise UserError(f"num_workers={num_workers}: must be 0 (no processes) or more")
        settings = {
            "task": task,
            "obs": obs,
            "frame_stack": frame_stack,
            "action_repeat": action_repeat,
            "max_decisions": max_decisions,
            "render_device": render_device,
        }
        self.num_envs = num_envs
        self.num_workers = min(num_envs, len(os.sched_getaffinity(0)) if num_workers is None else num_workers)
        self._state = np.full(num_envs, _OVER)
        self._pending: deque[tuple[np.ndarray, list[_Part]]] = deque()
        if obs == "pixels":
            gl.choose(render_device)  # once, here: workers inherit the answer
        self._workers: list[WorkerProcess | Share] = []
        # A file without a name, which the kernel frees with its last descriptor: multiprocessing's shared blocks are
        # files in /dev/shm, which stay behind when their owner is killed, and whose size containers limit.
        memory = os.memfd_create("observations", 0)
        # Also called when this object is collected and when the program ends.
        self._end = weakref.finalize(self, _end, self._workers, memory)
        with self._closing_on_error():
            for number in range(self.num_workers):
                self._workers.append(WorkerProcess(number, memory, num_envs))
            if not self._workers:
                self._workers.append(Share(memory, num_envs))
            facts, *_ = self._fetch(self._begin("make", np.arange(num_envs), [settings] * num_envs))
        self.observation_shape, dtype, self.action_dim, self.max_episode_decisions, self.control_timestep = facts
        #: [num_envs, *observation_shape]: the latest observation of each environment
        self.observations = shared_array(memory, (num_envs, *self.observation_shape), dtype)

    def reset(self, indices: Indices, seeds: Sequence[tuple[int, int, int]]) -> None:
        """Starts an episode in each environment of `indices`, with the seed tuple at the same place in `seeds`.

        The first observations are then in those rows of `observations`.
        """
        places, _ = self._request("reset", indices, seeds)
        self._state[places] = _READY

    def step(self, indices: Indices, actions: np.ndarray) -> StepOutcome:
        """`step_async`, then `step_wait`. Raises RuntimeError if an earlier `step_async` has not been waited for."""
        if self._pending:
            raise RuntimeError("an earlier step_async has not been waited for")
        self.step_async(indices, actions)
        return self.step_wait()

    def step_async(self, indices: Indices, actions: np.ndarray) -> None:
        """Begins a decision: `actions` float32 [len(indices), action_dim] in [-1, 1].

        More may be begun, for other environments, before the first is waited for. Until then the rows of
        `observations` that belong to `indices` are being written.

        Raises ValueError for actions of the wrong shape or not finite, for an index out of range, named twice, whose
        episode is over or which is stepping already.
        """
        places = self._checked(indices, {_READY})
        actions = np.asarray(actions, np.float32)
        if actions.shape != (len(places), self.action_dim):
            raise ValueError(f"actions of shape {actions.shape}, not ({len(places)}, {self.action_dim})")
        finite = np.isfinite(actions).all(axis=1)
        if not finite.all():
            raise ValueError(f"actions of environments {places[~finite].tolist()} are not finite")
        self._state[places] = _STEPPING
        self._pending.append((places, self._begin("step", places, actions)))

    def step_wait(self) -> StepOutcome:
        """Waits for the earliest decision begun and not yet waited for; entries are in the order of its `indices`.

        Raises RuntimeError if there is none, WorkerError if a worker died or failed.
        """
        if not self._pending:
            raise RuntimeError("step_wait without step_async")
        places, begun = self._pending.popleft()
        outcome = StepOutcome(*map(np.array, zip(*self._fetch(begun))))
        self._state[places] = np.where(outcome.lasts, _OVER, _READY)
        return outcome

    def save_state(self, indices: Indices) -> list[State]:
        """The states of the environments of `indices`, in that order; see `Environment.save_state`."""
        return self._request("save_state", indices)[1]

    def restore_state(self, indices: Indices, states: Sequence[State]) -> None:
        """Brings each environment of `indices` to the state at the same place in `states`, which any environment with
        this one's settings may have saved; its observation is then in its row of `observations`."""
        places, _ = self._request("restore_state", indices, states)
        self._state[places] = [_OVER if state.over else _READY for state in states]

    def render(self, indices: Indices, height: int = 240, width: int = 320) -> np.ndarray:
        """uint8 [len(indices), height, width, 3] pictures; see `Environment.render`."""
        return np.stack(self._request("render", indices, [height] * len(indices), [width] * len(indices))[1])

    def close(self) -> None:
        """Ends the workers and gives the shared memory back. May be called again, also after an error."""
        if self._end.alive and hasattr(self, "observations"):
            self.observations = self.observations.copy()
        self._end()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _request(self, method: str, indices: Indices, *columns: Sequence[Any]) -> tuple[np.ndarray, list[Any]]:
        """Has every environment of `indices` carry out `method`, with its own entry of each column. Returns the checked
        indices and the answers in their order."""
        places = self._checked(indices, {_OVER, _READY})
        for column in columns:
            if len(column) != len(places):
                raise ValueError(f"{method}: {len(column)} values for {len(places)} environments")
        return places, self._fetch(self._begin(method, places, *columns))

    def _checked(self, indices: Indices, allowed: set[int]) -> np.ndarray:
        places = np.asarray(indices, np.int64).reshape(-1)
        if places.size == 0 or len(set(places.tolist())) != len(places):
            raise ValueError(f"indices {places.tolist()}: at least one, none twice")
        if places.min() < 0 or places.max() >= self.num_envs:
            raise ValueError(f"indices {places.tolist()}: there are environments 0 to {self.num_envs - 1}")
        if not self._end.alive:
            raise RuntimeError("this VectorEnv is closed")
        for index in places:
            if self._state[index] not in allowed:
                trouble = "is stepping" if self._state[index] == _STEPPING else "has no episode running: reset it first"
                raise ValueError(f"environment {index} {trouble}")
        return places

    def _begin(self, method: str, places: np.ndarray, *columns: Sequence[Any] | np.ndarray) -> list[_Part]:
        """Sends each worker concerned its part of a request."""
        parts = []
        with self._closing_on_error():
            for number, worker in enumerate(self._workers):
                rows = np.flatnonzero(places % len(self._workers) == number)
                own = [x[rows] if isinstance(x, np.ndarray) else [x[row] for row in rows.tolist()] for x in columns]
                if rows.size:
                    parts.append((rows, worker.send(method, places[rows].tolist(), *own)))
        return parts

    def _fetch(self, parts: list[_Part]) -> list[Any]:
        """The results of a request, in the order of its indices."""
        results: dict[int, Any] = {}
        with self._closing_on_error():
            for rows, answer in parts:
                results |= zip(rows.tolist(), answer())
        return [results[row] for row in sorted(results)]

    @contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        # A request cut off in the middle, by Ctrl-C as well, leaves replies that nobody could tell apart.
        try:
            yield
        except BaseException:
            self.close()
            raise


def _end(workers: list[WorkerProcess | Share], memory: int) -> None:
    for worker in workers:
        worker.end()
    os.close(memory)
