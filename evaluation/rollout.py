"""Plays many episodes at once: a batch holds episodes of any mix of methods, α and seeds, refilled as they end.

What an episode computes never depends on its company. Every network call has the same shape, `chunk` rows, however
few of them are in use, and an episode always runs in its own row (`EpisodeKey.row`); environments are functions of
their seed and take no part in this. A *lane* is one such batch: `chunk` rows and a policy per method. Lanes take turns,
so that the workers step the environments of one while the network serves another; a lane without work costs nothing.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import envs
from envs.vector import VectorEnv
from evaluation.episode_store import EpisodeKey, EpisodeOutcome, EpisodeStore, Method
from evaluation.policies import BatchPolicy
from evaluation.progress import Progress
from runtime.errors import UserError


class Environments:
    """Environments made by `make(n)` when first asked for, `limit` at most."""

    def __init__(self, make: Callable[[int], VectorEnv], limit: int):
        self._make, self._limit = make, limit
        self._made: VectorEnv | None = None

    def up_to(self, wanted: int) -> VectorEnv:
        """At least min(wanted, limit) environments, none of them in use by an earlier caller any more."""
        wanted = min(wanted, self._limit)
        if self._made is None or self._made.num_envs < wanted:
            self.close()
            self._made = self._make(wanted)
        return self._made

    def close(self) -> None:
        """Ends the workers. May be called again."""
        vector, self._made = self._made, None
        if vector is not None:
            vector.close()


class _Lane:
    """`chunk` rows: the episodes in those that are busy, their environments, and what they have earned so far."""

    def __init__(self, chunk: int, observations: np.ndarray):
        self.keys: dict[int, EpisodeKey] = {}
        self.environments = np.zeros(chunk, np.int64)
        self.observations = np.zeros((chunk, *observations.shape[1:]), observations.dtype)
        self.sums = np.zeros(chunk, np.float64)
        self.decisions = np.zeros(chunk, np.int64)
        self.started = np.zeros(chunk, np.float64)
        self.policies: dict[Method, BatchPolicy] = {}
        self.stepping = False

    def rows(self) -> np.ndarray:
        return np.array(sorted(self.keys), np.int64)


class Rollouts:
    """Plays episodes in `environments` with policies of `make_policy(method)`, each made when a lane first needs it.

    `made`: goes into every outcome, for the record. Finished episodes go to `store` at once, so that Ctrl-C loses only
    the episodes under way. `computed`: how many were not there yet.
    """

    def __init__(
        self,
        environments: Environments,
        make_policy: Callable[[Method], BatchPolicy],
        *,
        chunk: int,
        store: EpisodeStore,
        made: dict[str, Any] | None = None,
    ):
        self._environments, self._make_policy = environments, make_policy
        self._chunk, self.store, self._made = chunk, store, made or {}
        self._lanes: list[_Lane] = []
        self.computed = 0

    def run(
        self, keys: Sequence[EpisodeKey], progress: Progress | None = None, later: int = 0
    ) -> dict[str, EpisodeOutcome]:
        """Outcome of every episode, by its key's digest: from the store where it is there, played otherwise.

        `later`: episodes that `progress` has to expect after these. Raises what the environments raise; UserError where
        a reward is not finite.
        """
        stored = {key.digest: outcome for key in keys if (outcome := self.store.get(key)) is not None}
        missing = [key for key in keys if key.digest not in stored]
        return stored | (self._play(missing, progress or Progress(), later) if missing else {})

    def _play(self, keys: list[EpisodeKey], progress: Progress, later: int) -> dict[str, EpisodeOutcome]:
        self.computed += len(keys)
        vector = self._environments.up_to(len(keys))
        progress.plan(len(keys) + later, vector.max_episode_decisions)
        while len(self._lanes) * self._chunk < vector.num_envs:
            self._lanes.append(_Lane(self._chunk, vector.observations))
        queues: list[deque[EpisodeKey]] = [deque() for _ in range(self._chunk)]
        for key in keys:
            queues[key.row].append(key)
        idle = deque(range(vector.num_envs))
        outcomes: dict[str, EpisodeOutcome] = {}
        # In turn, so that the lane whose decision is waited for is always the one that began first.
        for lane in itertools.cycle(self._lanes):
            if lane.stepping:
                outcomes |= self._receive(lane, vector, idle, progress)
            self._start(lane, vector, queues, idle)
            rows = lane.rows()
            if len(rows):
                vector.step_async(lane.environments[rows], self._act(lane, rows, vector))
                lane.stepping = True
            elif not any(other.keys for other in self._lanes):
                return outcomes
        raise AssertionError("there is always a lane")

    def _start(self, lane: _Lane, vector: VectorEnv, queues: list[deque[EpisodeKey]], idle: deque[int]) -> None:
        """Gives free rows their next episodes, as far as there are idle environments, and resets what belongs to
        them."""
        rows = [row for row in range(self._chunk) if row not in lane.keys and queues[row]][: len(idle)]
        if not rows:
            return
        for row in rows:
            lane.keys[row], lane.environments[row] = queues[row].popleft(), idle.popleft()
        lane.sums[rows], lane.decisions[rows], lane.started[rows] = 0.0, 0, time.monotonic()
        keys = [lane.keys[row] for row in rows]
        vector.reset(lane.environments[rows], [envs.episode_seed(c.stream, c.seed, c.episode) for c in keys])
        for method in {key.method for key in keys}:
            if method not in lane.policies:
                lane.policies[method] = self._make_policy(method)
            mine = {row: key for row, key in zip(rows, keys) if key.method == method}
            alphas, drawn_by = zip(*((key.alpha or 0.0, key.environment_key()) for key in mine.values()))
            lane.policies[method].reset([*mine], alphas, drawn_by)

    def _act(self, lane: _Lane, rows: np.ndarray, vector: VectorEnv) -> np.ndarray:
        """Actions [len(rows), A] of the lane's busy rows, each by its own episode's method."""
        lane.observations[rows] = vector.observations[lane.environments[rows]]
        methods = [lane.keys[row].method for row in rows.tolist()]
        mine = {method: rows[[other == method for other in methods]] for method in methods}
        actions = {method: lane.policies[method].act(lane.observations, mine[method]) for method in mine}
        return np.stack([actions[method][row] for method, row in zip(methods, rows)])

    def _receive(
        self, lane: _Lane, vector: VectorEnv, idle: deque[int], progress: Progress
    ) -> dict[str, EpisodeOutcome]:
        """Books one decision of every busy row; returns the outcomes of the episodes that it ended."""
        rewards, _, lasts, capped = vector.step_wait()
        lane.stepping = False
        rows = lane.rows()
        lane.sums[rows] += rewards
        lane.decisions[rows] += 1
        progress.advance(len(rows))
        outcomes = {}
        for row, was_capped in zip(rows[lasts].tolist(), capped[lasts]):
            key = lane.keys[row]
            if not np.isfinite(lane.sums[row]):
                raise UserError(
                    f"{key.source.task}, episode {key.episode} of stream {key.stream}, seed {key.seed}: the sum of "
                    "rewards is not finite; the simulation became unstable, try another seed"
                )
            outcome = EpisodeOutcome(
                reward_sum=float(lane.sums[row]),
                decisions=int(lane.decisions[row]),
                capped=bool(was_capped),
                layers=lane.policies[key.method].activity(row),
                made={**self._made, "seconds": round(time.monotonic() - lane.started[row], 3)},
            )
            self.store.put(key, outcome)
            outcomes[key.digest] = outcome
            del lane.keys[row]
            idle.append(int(lane.environments[row]))
            progress.finish(outcome.decisions)
        return outcomes
