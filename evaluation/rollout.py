"""Plays many cells at once: a batch holds episodes of any mix of methods, α and seeds, refilled as they end.

What an episode computes never depends on its company. Every network call has the same shape, `chunk` rows, however
few of them are in use, and a cell always runs in its own row (`Cell.row`); environments are functions of their seed
and take no part in this. A *lane* is one such batch: `chunk` rows and a policy per method. Lanes take turns, so that
the workers step the environments of one while the network serves another; a lane without work costs nothing.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Callable, Iterable, Protocol

import numpy as np

import envs
from evaluation.cells import Cell, Method
from evaluation.policies import Policy
from evaluation.progress import Progress
from evaluation.store import Outcome, Store


class VectorEnvironment(Protocol):
    """The part of `envs.vector.VectorEnv` that rollouts use."""

    num_envs: int
    observations: np.ndarray

    def reset(self, indices: np.ndarray, seeds: list[tuple[int, ...]]) -> Any: ...

    def step_async(self, indices: np.ndarray, actions: np.ndarray) -> Any: ...

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]: ...

    def close(self) -> None: ...


class _Lane:
    """`chunk` rows: the cell in each (None: free), its environment, and what it has earned so far."""

    def __init__(self, chunk: int, observations: np.ndarray):
        self.cells: list[Cell | None] = [None] * chunk
        self.environments = np.zeros(chunk, np.int64)
        self.observations = np.zeros((chunk, *observations.shape[1:]), observations.dtype)
        self.sums = np.zeros(chunk, np.float64)
        self.decisions = np.zeros(chunk, np.int64)
        self.started = np.zeros(chunk, np.float64)
        self.policies: dict[Method, Policy] = {}

    def rows(self) -> np.ndarray:
        return np.array([row for row, cell in enumerate(self.cells) if cell is not None], np.int64)


class Rollouts:
    """Plays cells on `make_envs(n)` with policies of `make_policy(method)`, both made when first needed.

    `num_envs`: the most environments at once. `made`: goes into every outcome, for the record. Finished cells go to
    `store` at once, so that Ctrl-C loses only the episodes under way. A context manager: it closes its environments.
    """

    def __init__(
        self,
        make_envs: Callable[[int], VectorEnvironment],
        make_policy: Callable[[Method], Policy],
        *,
        chunk: int,
        num_envs: int,
        store: Store,
        made: dict[str, Any] | None = None,
    ):
        self._make_envs, self._make_policy = make_envs, make_policy
        self._chunk, self._num_envs = chunk, num_envs
        self._store, self._made = store, made or {}
        self._envs: VectorEnvironment | None = None
        self._lanes: list[_Lane] = []

    def __enter__(self) -> "Rollouts":
        return self

    def __exit__(self, *_: object) -> None:
        if self._envs is not None:
            self._envs.close()
            self._envs = None

    def run(self, cells: Iterable[Cell], progress: Progress | None = None) -> dict[str, Outcome]:
        """Outcome of every cell, by digest: from the store where it is there, played otherwise.

        Raises what the environments raise; ValueError where a reward is not finite.
        """
        outcomes: dict[str, Outcome] = {}
        missing: dict[str, Cell] = {}
        for cell in cells:
            stored = self._store.get(cell)
            if stored is None:
                missing[cell.digest] = cell
            else:
                outcomes[cell.digest] = stored
        if missing:
            self._prepare(len(missing))
            outcomes |= self._play(list(missing.values()), progress)
        return outcomes

    def _prepare(self, cells: int) -> None:
        wanted = min(self._num_envs, cells)
        if self._envs is not None and self._envs.num_envs >= wanted:
            return
        if self._envs is not None:
            self._envs.close()
        self._envs = self._make_envs(wanted)
        self._lanes = [_Lane(self._chunk, self._envs.observations) for _ in range(-(-wanted // self._chunk))]

    def _play(self, cells: list[Cell], progress: Progress | None) -> dict[str, Outcome]:
        assert self._envs is not None
        queues: list[deque[Cell]] = [deque() for _ in range(self._chunk)]
        for cell in cells:
            queues[cell.row].append(cell)
        idle = deque(range(self._envs.num_envs))
        outcomes: dict[str, Outcome] = {}
        turns = deque(self._lanes)
        stepping: _Lane | None = None
        while True:
            lane = turns[0]
            turns.rotate(-1)
            starting = [row for row, cell in enumerate(lane.cells) if cell is None and queues[row]] if idle else []
            if stepping is not None and (lane is stepping or starting):
                outcomes |= self._receive(stepping, idle, progress)
                stepping = None
                if idle:
                    starting = [row for row, cell in enumerate(lane.cells) if cell is None and queues[row]]
            self._start(lane, starting, queues, idle)
            rows = lane.rows()
            if not len(rows):
                if not any(any(other.cells) for other in self._lanes):
                    return outcomes
                continue
            actions = self._act(lane, rows)
            if stepping is not None:
                outcomes |= self._receive(stepping, idle, progress)
            self._envs.step_async(lane.environments[rows], actions)
            stepping = lane

    def _start(self, lane: _Lane, rows: list[int], queues: list[deque[Cell]], idle: deque[int]) -> None:
        """Gives free rows their next cells, as far as there are idle environments, and resets what belongs to them."""
        rows = rows[: len(idle)]
        if not rows:
            return
        for row in rows:
            lane.cells[row], lane.environments[row] = queues[row].popleft(), idle.popleft()
        lane.sums[rows], lane.decisions[rows], lane.started[rows] = 0.0, 0, time.monotonic()
        cells = [lane.cells[row] for row in rows]
        self._envs.reset(lane.environments[rows], [envs.episode_seed(c.stream, c.seed, c.episode) for c in cells])
        for method in {cell.method for cell in cells}:
            if method not in lane.policies:
                lane.policies[method] = self._make_policy(method)
            mask = np.zeros(self._chunk, bool)
            alphas, keys = np.zeros(self._chunk), np.zeros(self._chunk, np.int64)
            for row, cell in zip(rows, cells):
                if cell.method == method:
                    mask[row], alphas[row], keys[row] = True, cell.alpha or 0.0, cell.environment_key()
            lane.policies[method].reset(mask, alphas, keys)

    def _act(self, lane: _Lane, rows: np.ndarray) -> np.ndarray:
        """Actions [len(rows), A] of the lane's busy rows, each by its own cell's method."""
        lane.observations[rows] = self._envs.observations[lane.environments[rows]]
        actions = None
        for method in {lane.cells[row].method for row in rows}:
            output = lane.policies[method].act(lane.observations)
            actions = np.zeros_like(output) if actions is None else actions
            mine = [row for row in rows if lane.cells[row].method == method]
            actions[mine] = output[mine]
        return actions[rows]

    def _receive(self, lane: _Lane, idle: deque[int], progress: Progress | None) -> dict[str, Outcome]:
        """Books one decision of every busy row; returns the outcomes of the episodes that it ended."""
        rewards, _, lasts, capped = self._envs.step_wait()
        rows = lane.rows()
        lane.sums[rows] += rewards
        lane.decisions[rows] += 1
        if progress is not None:
            progress.advance(len(rows))
        outcomes = {}
        for row, was_capped in zip(rows[lasts], capped[lasts]):
            cell = lane.cells[row]
            outcome = Outcome(
                reward_sum=float(lane.sums[row]),
                decisions=int(lane.decisions[row]),
                capped=bool(was_capped),
                layers=lane.policies[cell.method].activity(int(row)),
                made={**self._made, "seconds": round(time.monotonic() - lane.started[row], 3)},
            )
            if not np.isfinite(outcome.reward_sum):
                raise ValueError(f"{cell.source.task}, episode {cell.episode}: the sum of rewards is not finite")
            self._store.put(cell, outcome)
            outcomes[cell.digest] = outcome
            lane.cells[row] = None
            idle.append(int(lane.environments[row]))
            if progress is not None:
                progress.finish(outcome.decisions)
        return outcomes
