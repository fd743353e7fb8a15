"""Plays trials: many episodes side by side, each branched at every decision in a second set of environments.

The branches have simulators and renderers of their own, into which the whole state of the leader's episode is copied,
so that the episode itself goes on bit for bit as if nobody looked (`evaluation.rollout` plays the same one). A trial
runs in its own row of network calls of fixed shape, as episodes do: company changes nothing.
"""

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import envs
import snn
from analysis import disturbance, layers
from analysis.store import TrialStore
from analysis.trial import DISTURBANCES, FLIPPED, ULP, Trial, TrialRecord
from evaluation.conversion import Conversion
from evaluation.episode_store import ANN, Method
from evaluation.policies import BatchPolicy, SpikingPolicy
from evaluation.progress import Progress
from evaluation.rollout import Environments

# A record's columns, one entry per decision.
_KINDS = {
    "actions": np.float32,
    "reference": np.float32,
    "after": np.float32,
    "branched": np.bool_,
    "rewards": np.float64,
    "branch_rewards": np.float64,
    "coordinates": np.float64,
    "residual_cosines": np.float32,
}


class Player:
    """Plays trials of one conversion, and keeps their records in `store`; `branches`: as many environments as
    leaders."""

    def __init__(self, conversion: Conversion, branches: Environments, store: TrialStore):
        run = conversion.run
        self.environments, self.branches, self.store = run.environments, branches, store
        self.ann, self.chunk = run.ann, run.settings.chunk
        self._conversion = conversion
        self.known: dict[str, TrialRecord] = {}
        self.played = self.reused = 0

    def missing(self, trials: Iterable[Trial]) -> list[Trial]:
        """The trials without a file in the store, each once: enough for an estimate."""
        return list({trial.digest: trial for trial in trials if trial not in self.store}.values())

    def run(self, trials: Iterable[Trial], progress: Progress | None = None) -> dict[str, TrialRecord]:
        """TrialRecord of every trial, by digest: from the store where it is there, played otherwise.

        The trials whose errors a disturbance is made from must have been played before. Raises what the environments
        raise; ValueError where a reward is not finite.
        """
        distinct = {trial.digest: trial for trial in trials}
        records = {
            digest: record for digest, trial in distinct.items() if (record := self.store.get(trial)) is not None
        }
        waiting = [trial for digest, trial in distinct.items() if digest not in records]
        self.reused += len(records)
        self.played += len(waiting)
        for group in _rounds(waiting):
            records |= _Round(self, group, progress or Progress()).play()
        self.known |= records
        return records

    @functools.cached_property
    def network(self) -> snn.SpikingNetwork:
        """The converted network."""
        return self._conversion.network(self.chunk)

    @functools.cached_property
    def spiking(self) -> SpikingPolicy:
        """What acts by it."""
        return SpikingPolicy(self.network, self.chunk, self._conversion.run.device, self.ann.squash)

    def policy(self, method: Method) -> BatchPolicy:
        return self.ann if method == ANN else self.spiking


class _Round:
    """Trials in different rows whose leaders, and whose shadows, share a method."""

    def __init__(self, player: Player, trials: Sequence[Trial], progress: Progress):
        self.player, self.progress = player, progress
        self.trials = {trial.row: trial for trial in trials}
        self.rows = np.array(sorted(self.trials), np.int64)
        trial = trials[0]
        self.leader, self.shadow = player.policy(trial.key.method), player.policy(trial.shadow)
        self.network = player.network if trial.key.method != ANN else None
        chunk = player.chunk
        self.vector = player.environments.up_to(chunk)
        self.branches = player.branches.up_to(chunk) if trial.branches else None
        shape, dtype = (chunk, *self.vector.observations.shape[1:]), self.vector.observations.dtype
        self.here, self.there = np.zeros(shape, dtype), np.zeros(shape, dtype)
        self.limit = self.vector.max_episode_decisions
        self.tapes = {row: _Tape(trial, self._noise(trial)) for row, trial in self.trials.items()}
        self.residuals: list[torch.Tensor] | None = None

    def play(self) -> dict[str, TrialRecord]:
        """Plays the episodes to their ends; returns their records, by digest, which are stored as they end."""
        rows, records = self.rows, {}
        self._reset()
        while len(rows):
            lasts = self._decide(rows)
            self.progress.advance(len(rows))
            for row in rows[lasts].tolist():
                trial, record = self.trials[row], self.tapes[row].record()
                if not np.isfinite(record.rewards).all():
                    raise ValueError(f"{trial.key.source.task}, episode {trial.key.episode}: a reward is not finite")
                self.player.store.put(trial, record)
                records[trial.digest] = record
                self.progress.finish(len(record.rewards))
            rows = rows[~lasts]
        return records

    def _reset(self) -> None:
        keys = [self.trials[row].key for row in self.rows.tolist()]
        self.vector.reset(self.rows, [envs.episode_seed(key.stream, key.seed, key.episode) for key in keys])
        mask, drawn_by = np.zeros(self.player.chunk, bool), np.zeros(self.player.chunk, np.int64)
        leading, shadowing = np.zeros(self.player.chunk), np.zeros(self.player.chunk)
        for row, key in zip(self.rows.tolist(), keys):
            mask[row], drawn_by[row] = True, key.environment_key()
            leading[row], shadowing[row] = key.alpha or 0.0, self.trials[row].shadow_alpha or 0.0
        self.leader.reset(mask, leading, drawn_by)
        if self.shadow is not self.leader:
            self.shadow.reset(mask, shadowing, drawn_by)

    def _decide(self, rows: np.ndarray) -> np.ndarray:
        """One decision in `rows`; returns whose episodes it ended."""
        self.here[rows] = self.vector.observations[rows]
        self._take_apart(rows)
        wanted = self.leader.act(self.here, rows)[rows]
        reference = self.shadow.act(self.here, rows)[rows]
        pairs = zip(rows.tolist(), wanted, reference)
        actions = np.stack([self.tapes[row].disturbed(action, beside) for row, action, beside in pairs])
        cosines = self._residual_cosines(rows)
        states = self.vector.save_state(rows)
        self.vector.step_async(rows, actions)
        after, branched, branch_rewards = np.zeros_like(reference), np.zeros(len(rows), bool), np.zeros(len(rows))
        if self.branches is not None:
            self.branches.restore_state(rows, states)
            branch = self.branches.step(rows, reference)
            branch_rewards, branched = branch.rewards, ~branch.lasts
            self.there[rows] = self.branches.observations[rows]
            after = self.player.ann.act(self.there, rows)[rows] * branched[:, None]
        rewards, _, lasts, capped = self.vector.step_wait()
        columns: dict[str, Sequence[Any] | np.ndarray] = {
            "actions": actions,
            "reference": reference,
            "after": after,
            "branched": branched,
            "rewards": rewards,
            "branch_rewards": branch_rewards,
            "coordinates": [state.coordinates for state in states],
            "residual_cosines": cosines,
            "capped": capped,
        }
        for place, row in enumerate(rows.tolist()):
            self.tapes[row].decided.append({name: values[place] for name, values in columns.items()})
        return lasts

    def _take_apart(self, rows: np.ndarray) -> None:
        if self.network is None:
            return
        for row in rows.tolist():
            tape = self.tapes[row]
            if len(tape.decided) in tape.looked_at(self.limit):
                # One row at a time: a trace holds every step of every unit.
                seen = self.network.trace(torch.from_numpy(self.here[row : row + 1]), [row])
                tape.layers.append(layers.take_apart(self.network, seen)[0])

    def _residual_cosines(self, rows: np.ndarray) -> np.ndarray:
        if self.network is None:
            return np.zeros((len(rows), 0), np.float32)
        before, self.residuals = self.residuals, self.network.residuals()
        if before is None:
            return np.full((len(rows), len(self.residuals)), np.nan, np.float32)
        return layers.row_cosines(before, self.residuals, rows)

    def _noise(self, trial: Trial) -> np.ndarray | None:
        """What to add to the trial's actions, float64 [limit, A]; for flipped errors their signs [limit, 1]."""
        if trial.disturbance is None or trial.disturbance.kind == ULP:
            return None
        kind = trial.disturbance.kind
        seed = (trial.disturbance.seed, DISTURBANCES.index(kind), trial.key.environment_key())
        if kind == FLIPPED:
            return disturbance.signs(self.limit, seed)
        return disturbance.noise(kind, self.player.known[str(trial.disturbance.source)].errors, self.limit, seed)


@dataclass
class _Tape:
    """What one trial's record is made of. `decided`: by decision, entries by the names of `TrialRecord`."""

    trial: Trial
    noise: np.ndarray | None
    layers: list[np.ndarray] = field(default_factory=list)
    decided: list[dict[str, Any]] = field(default_factory=list)

    def looked_at(self, limit: int) -> set[int]:
        """The decisions, of `limit`, at which the layers are taken apart."""
        count = min(self.trial.layer_decisions, limit)
        return {(2 * place + 1) * limit // (2 * count) for place in range(count)}

    def disturbed(self, action: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """What is done in place of the leader's `action` [A]; `reference`: the shadow's."""
        if self.trial.disturbance is None:
            return action
        if self.noise is None:
            return disturbance.one_ulp(action)
        noise = self.noise[len(self.decided)]
        if self.trial.disturbance.kind == FLIPPED:
            return disturbance.add(reference, noise * (action.astype(np.float64) - reference))
        return disturbance.add(action, noise)

    def record(self) -> TrialRecord:
        """The trial's record so far."""
        arrays: dict[str, Any] = {
            name: np.array([entries[name] for entries in self.decided], kind) for name, kind in _KINDS.items()
        }
        shape = (len(self.layers), arrays["residual_cosines"].shape[1], layers.NUMBERS)
        taken = np.array(self.layers, np.float64).reshape(shape)
        return TrialRecord(**arrays, layers=taken, capped=np.array(self.decided[-1]["capped"]))


def _rounds(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Trials sorted into rounds that can be played side by side, as few as their rows allow."""
    rounds: dict[tuple, list[Trial]] = defaultdict(list)
    taken: Counter[tuple] = Counter()
    for trial in trials:
        group = (trial.key.method, trial.shadow, trial.branches, trial.key.max_decisions)
        rounds[group, taken[group, trial.row]].append(trial)
        taken[group, trial.row] += 1
    return list(rounds.values())
