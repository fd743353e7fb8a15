"""Episodes from many results, put together by what they are evidence of.

A *stratum* is one policy (one training seed of one task). An episode is named by its seed triple, so that what two
sweeps computed twice counts once, and so that methods can be paired; of two results the newer one speaks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from evaluation.result import EpisodeRecord, LayerRecord, MacsRecord, PolicyRecord, Result, RolloutRecord
from report import method
from report.jobs import STATUSES, Job
from report.method import Network, Variant

Episodes = dict[tuple[int, ...], EpisodeRecord]  # by seed triple
Strata = dict[str, Episodes]  # by the policy file's SHA-256


@dataclass
class Reported:
    """What one policy earned under one method, by base seed of the environments: the α and the episodes."""

    by_seed: dict[int, tuple[float, Episodes]] = field(default_factory=dict)

    @property
    def episodes(self) -> Episodes:
        return {triple: episode for _, episodes in self.by_seed.values() for triple, episode in episodes.items()}

    @property
    def alphas(self) -> set[float]:
        return {alpha for alpha, _ in self.by_seed.values()}


@dataclass
class Evidence:
    """Everything that finished, and the jobs that didn't.

    `ann`: (obs, task) → strata. `reported`: (network, variant, task) → policy → what it earned. `curves`: (network,
    mode, stream, task) → α → strata, for every α that was played. `layers`: (network, task) → its spiking layers.
    `conflicts`: episodes that two results tell differently.
    """

    jobs: list[Job]
    ann: dict[tuple[str, str], Strata] = field(default_factory=lambda: defaultdict(dict))
    reported: dict[tuple[Network, Variant, str], dict[str, Reported]] = field(default_factory=lambda: defaultdict(dict))
    curves: dict[tuple[Network, str, str, str], dict[float, Strata]] = field(default_factory=lambda: defaultdict(dict))
    layers: dict[tuple[Network, str], list[LayerRecord]] = field(default_factory=dict)
    policies: dict[str, tuple[str, str, PolicyRecord]] = field(default_factory=dict)
    conflicts: int = 0

    def results(self) -> Iterator[Result]:
        """The finished results, the oldest first."""
        found = [job.result for job in self.jobs if job.status == "ok" and job.result is not None]
        return iter(sorted(found, key=lambda result: result.created))

    def tasks(self, obs: str) -> list[str]:
        """Every task that was finished or planned with this kind of observation."""
        found = {job.task for job in self.jobs if job.config and method.network(job.config).obs == obs}
        return sorted(found)

    def observations(self) -> list[str]:
        """The kinds of observation, pixels first."""
        return sorted({method.network(job.config).obs for job in self.jobs if job.config})

    def rows(self, obs: str) -> list[tuple[Network, Variant]]:
        """Every method that was finished or planned, in the order of the tables."""
        found = {
            (network, variant)
            for job in self.jobs
            if job.config and (network := method.network(job.config)).obs == obs
            for variant in method.variants(job.config)
        }
        return sorted(found, key=lambda row: (row[0].order, row[1].order))

    def networks(self, obs: str) -> list[Network]:
        return list(dict.fromkeys(network for network, _ in self.rows(obs)))

    def macs(self, obs: str, task: str) -> list[MacsRecord]:
        """The ANN's multiply-accumulates per layer; empty where no policy of the task finished."""
        return next((policy.macs for kind, name, policy in self.policies.values() if (kind, name) == (obs, task)), [])

    def unfinished(self, network: Network, variant: Variant, task: str) -> list[Job]:
        """The jobs that were to fill this place and came to nothing, unless another one did the same work; the one
        that tells most comes first."""
        mine = [
            job
            for job in self.jobs
            if job.config
            and job.task == task
            and method.network(job.config) == network
            and variant in method.variants(job.config)
        ]
        done = {_work(job.config) for job in mine if job.status == "ok"}
        lacking = [job for job in mine if job.status != "ok" and _work(job.config) not in done]
        return sorted(lacking, key=lambda job: STATUSES.index(job.status))


def gather(jobs: Iterable[Job]) -> Evidence:
    """Sorts the finished results' episodes by what they are evidence of."""
    evidence = Evidence(list(jobs))
    for result in evidence.results():
        _add(evidence, result)
    return evidence


def _add(evidence: Evidence, result: Result) -> None:
    assert result.policy and result.ann and result.alpha and result.conversion
    network, sha, task = method.network(result.config), result.policy.sha256, result.task
    evidence.policies[sha] = (result.obs, task, result.policy)
    evidence.layers[network, task] = result.conversion.layers
    evidence.conflicts += _merge(evidence.ann[result.obs, task].setdefault(sha, {}), result.ann)
    for rollouts in result.snn:
        assert rollouts.alpha is not None
        curve = evidence.curves[network, result.conversion.mode, rollouts.stream, task]
        evidence.conflicts += _merge(curve.setdefault(rollouts.alpha, {}).setdefault(sha, {}), rollouts)
    for variant in method.variants(result.config):
        alpha = 0.0 if variant.is_off else result.alpha.chosen
        rollouts = result.of(alpha)
        if rollouts is not None:
            by_seed = evidence.reported[network, variant, task].setdefault(sha, Reported()).by_seed
            seed = int(result.seeds["seed"])
            if by_seed.get(seed, (alpha,))[0] != alpha:
                # The newer result chose another α; the older one's episodes must not stay among its own.
                del by_seed[seed]
            _merge(by_seed.setdefault(seed, (alpha, {}))[1], rollouts)


def _merge(episodes: Episodes, rollouts: RolloutRecord) -> int:
    """Adds the episodes; returns how many were there already with another outcome."""
    conflicts = 0
    for episode in rollouts.episodes:
        known = episodes.get(tuple(episode.seed))
        conflicts += known is not None and known.reward_sum != episode.reward_sum
        episodes[tuple(episode.seed)] = episode
    return conflicts


def _work(config: dict[str, Any]) -> tuple:
    """What tells two jobs of one place in a table apart: the policy and the environments' seed."""
    return tuple(str(config.get(key)) for key in ("snapshot", "root", "run", "seed"))
