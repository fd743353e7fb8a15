"""Plays trials: many episodes side by side, each branched at every decision in a second set of environments.

The branches have simulators and renderers of their own, into which the whole state of the leader's episode is copied,
so that the episode itself goes on bit for bit as if nobody looked (`evaluation.rollout` plays the same one). A trial
runs in its own row of network calls of fixed shape, as episodes do: company changes nothing.
"""

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

import envs
from analysis import disturbance, layers
from analysis.trial import DISTURBANCES, FLIPPED, ULP, Trial, TrialRecord, TrialStore
from evaluation.conversion import Conversion
from evaluation.episode_store import ANN, Method
from evaluation.policies import BatchPolicy, SpikingPolicy
from evaluation.progress import Progress
from evaluation.rollout import Environments


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
    def spiking(self) -> SpikingPolicy:
        """What acts by the converted network."""
        return self._conversion.spiking_policy(self.chunk)

    def policy(self, method: Method) -> BatchPolicy:
        return self.ann if method == ANN else self.spiking


class _Round:
    """Trials in different rows whose leaders, and whose shadows, share a method."""

    def __init__(self, player: Player, trials: Sequence[Trial], progress: Progress):
        self.player, self.progress = player, progress
        self.trials = {trial.row: trial for trial in trials}
        first, chunk = trials[0], player.chunk
        self.leader, self.shadow = player.policy(first.key.method), player.policy(first.shadow)
        self.network = self.leader.network if isinstance(self.leader, SpikingPolicy) else None
        self.vector = player.environments.up_to(chunk)
        self.branches = player.branches.up_to(chunk) if first.branches else None
        self.limit = self.vector.max_episode_decisions
        self.noise = {row: self._noise(trial) for row, trial in self.trials.items()}
        # By row: of each decision so far, the entries of a `TrialRecord`; and the layers taken apart.
        self.decided: dict[int, list[dict[str, Any]]] = {row: [] for row in self.trials}
        self.layers: dict[int, list[np.ndarray]] = {row: [] for row in self.trials}
        self.residuals: list[torch.Tensor] | None = None

    def play(self) -> dict[str, TrialRecord]:
        """Plays the episodes to their ends; returns their records, by digest, which are stored as they end."""
        rows, records = np.array(sorted(self.trials), np.int64), {}
        self._reset(rows)
        while len(rows):
            lasts = self._decide(rows)
            self.progress.advance(len(rows))
            for row in rows[lasts].tolist():
                trial, record = self.trials[row], self._record(row)
                if not np.isfinite(record.rewards).all():
                    raise ValueError(f"{trial.key.source.task}, episode {trial.key.episode}: a reward is not finite")
                self.player.store.put(trial, record)
                records[trial.digest] = record
                self.progress.finish(len(record.rewards))
            rows = rows[~lasts]
        return records

    def _reset(self, rows: np.ndarray) -> None:
        trials = [self.trials[row] for row in rows.tolist()]
        keys = [trial.key for trial in trials]
        self.vector.reset(rows, [envs.episode_seed(key.stream, key.seed, key.episode) for key in keys])
        drawn_by = [key.environment_key() for key in keys]
        self.leader.reset(rows, [key.alpha or 0.0 for key in keys], drawn_by)
        if self.shadow is not self.leader:
            self.shadow.reset(rows, [trial.shadow_alpha or 0.0 for trial in trials], drawn_by)

    def _decide(self, rows: np.ndarray) -> np.ndarray:
        """One decision in `rows`; returns whose episodes it ended."""
        here = self.vector.observations[: self.player.chunk]
        self._take_apart(rows, here)
        wanted = self.leader.act(here, rows)[rows]
        reference = self.shadow.act(here, rows)[rows]
        pairs = zip(rows.tolist(), wanted, reference)
        actions = np.stack([self._disturbed(row, action, beside) for row, action, beside in pairs])
        cosines = self._residual_cosines(rows)
        states = self.vector.save_state(rows)
        self.vector.step_async(rows, actions)
        after, branched, branch_rewards = np.zeros_like(reference), np.zeros(len(rows), bool), np.zeros(len(rows))
        if self.branches is not None:
            self.branches.restore_state(rows, states)
            branch = self.branches.step(rows, reference)
            branch_rewards, branched = branch.rewards, ~branch.lasts
            after = self.player.ann.act(self.branches.observations[: self.player.chunk], rows)[rows] * branched[:, None]
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
            self.decided[row].append({name: values[place] for name, values in columns.items()})
        return lasts

    def _record(self, row: int) -> TrialRecord:
        """The row's record so far."""
        decided, taken = self.decided[row], self.layers[row]
        arrays: dict[str, Any] = {name: np.array([entries[name] for entries in decided]) for name in decided[0]}
        shape = (len(taken), arrays["residual_cosines"].shape[1], layers.NUMBERS)
        arrays |= {"layers": np.array(taken, np.float64).reshape(shape), "capped": np.array(decided[-1]["capped"])}
        return TrialRecord(**arrays)

    def _take_apart(self, rows: np.ndarray, here: np.ndarray) -> None:
        """The layers of spiking leaders, at decisions spread evenly over the longest episode."""
        if self.network is None:
            return
        for row in rows.tolist():
            count = min(self.trials[row].layer_decisions, self.limit)
            places = {(2 * place + 1) * self.limit // (2 * count) for place in range(count)}
            if len(self.decided[row]) in places:
                # One row at a time: a trace holds every step of every unit.
                seen = self.network.trace(torch.from_numpy(here[row : row + 1]), [row])
                self.layers[row].append(layers.take_apart(self.network, seen)[0])

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

    def _disturbed(self, row: int, action: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """What is done in place of the leader's `action` [A]; `reference`: the shadow's, the ANN's."""
        disturbed, noise = self.trials[row].disturbance, self.noise[row]
        if disturbed is None:
            return action
        if noise is None:
            return disturbance.one_ulp(action)
        added = noise[len(self.decided[row])]
        if disturbed.kind == FLIPPED:
            added = added * (action.astype(np.float64) - reference)
        return disturbance.add(reference, added)


def _rounds(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Trials sorted into rounds that can be played side by side, as few as their rows allow."""
    rounds: dict[tuple, list[Trial]] = defaultdict(list)
    taken: Counter[tuple] = Counter()
    for trial in trials:
        group = (trial.key.method, trial.shadow, trial.branches, trial.key.max_decisions)
        rounds[group, taken[group, trial.row]].append(trial)
        taken[group, trial.row] += 1
    return list(rounds.values())
