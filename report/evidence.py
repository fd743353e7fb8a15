"""Episodes from many results, put together by what they are evidence of.

A *stratum* is one policy (one training seed of one task). An episode is named by its seed triple, so that what two
sweeps computed twice counts once, and so that methods can be paired; of two results the newer one speaks.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from evaluation.result import EpisodeRecord, LayerRecord, PolicyRecord, Result, RolloutRecord
from report import method
from report.jobs import STATUSES, Job
from report.method import Network, ReportMethod

Episodes = dict[tuple[int, ...], EpisodeRecord]  # by seed triple
Strata = dict[str, Episodes]  # by the policy file's SHA-256


@dataclass
class Evidence:
    """Everything that finished, and the jobs that didn't.

    `reported`: (method, task) → (policy, base seed of the environments) → the α and the episodes.
    `curves`: (network, mode, stream) → task → α → strata, for every α that was played. `layers`: (network, task) →
    policy → its spiking layers. `conflicts`: episodes that two results tell differently.
    """

    jobs: list[Job]
    reported: dict[tuple[ReportMethod, str], dict[tuple[str, int], tuple[float, Episodes]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    curves: dict[tuple[Network, str, str], dict[str, dict[float, Strata]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    layers: dict[tuple[Network, str], dict[str, list[LayerRecord]]] = field(default_factory=lambda: defaultdict(dict))
    policies: dict[str, tuple[str, str, PolicyRecord]] = field(default_factory=dict)
    conflicts: int = 0

    def tasks(self, obs: str) -> list[str]:
        """Every task that was finished or planned with this kind of observation."""
        return sorted({job.task for job in self.jobs if job.methods and job.obs == obs})

    def observations(self) -> list[str]:
        """The kinds of observation, pixels first."""
        return sorted({job.obs for job in self.jobs if job.methods})

    def methods(self, obs: str) -> list[ReportMethod]:
        """Every method that was finished or planned, in the order of the tables; the ANN is not among them."""
        return sorted(
            {method for job in self.jobs for method in job.methods if job.obs == obs}, key=lambda method: method.order
        )

    def strata(self, method: ReportMethod, task: str) -> Strata:
        """The report episodes of a method, by policy."""
        strata: Strata = defaultdict(dict)
        for (sha, _), (_, episodes) in sorted(self.reported[method, task].items(), key=lambda item: item[0][0]):
            strata[sha] |= episodes
        return strata

    def alphas(self, method: ReportMethod, task: str) -> list[float]:
        """The α that these episodes were played with."""
        return sorted({alpha for alpha, _ in self.reported[method, task].values()})

    def episodes(self, method: ReportMethod, task: str) -> list[EpisodeRecord]:
        """The same, of all policies together."""
        return [episode for episodes in self.strata(method, task).values() for episode in episodes.values()]

    def unfinished(self, method: ReportMethod, task: str) -> list[Job]:
        """The failed jobs that were to fill this place, unless another one did the same work; the most telling one
        first."""
        mine = [
            job
            for job in self.jobs
            if job.task == task and (job.obs == method.network.obs if method.is_ann else method in job.methods)
        ]
        done = {_work(job.config) for job in mine if job.status == "ok"}
        lacking = [job for job in mine if job.status != "ok" and _work(job.config) not in done]
        return sorted(lacking, key=lambda job: list(STATUSES).index(job.status))


def gather(jobs: Iterable[Job]) -> Evidence:
    """Sorts the finished results' episodes by what they are evidence of; the oldest result first."""
    evidence = Evidence([job for job in jobs if job.status != "foreign"])
    finished = [(job, job.result) for job in evidence.jobs if job.status == "ok" and job.result]
    for job, result in sorted(finished, key=lambda pair: pair[1].created):
        _add(evidence, job, result)
    return evidence


def _add(evidence: Evidence, job: Job, result: Result) -> None:
    assert result.policy and result.ann and result.alpha and result.conversion
    sha, task, network = result.policy.sha256, job.task, job.methods[0].network
    evidence.policies[sha] = (result.obs, task, result.policy)
    evidence.layers[network, task][sha] = result.conversion.layers
    for rollouts in result.snn:
        assert rollouts.alpha is not None
        by_alpha = evidence.curves[network, result.conversion.mode, rollouts.stream].setdefault(task, {})
        evidence.conflicts += _merge(by_alpha.setdefault(rollouts.alpha, {}).setdefault(sha, {}), rollouts)
    place = sha, int(result.seeds["seed"])
    for entry in [method.ann(result.obs), *job.methods]:
        alpha = 0.0 if entry.variant.is_off else result.alpha.chosen
        reported = result.ann if entry.is_ann else result.of(alpha)
        if reported is None:
            continue
        known = evidence.reported[entry, task]
        if known.get(place, (alpha,))[0] != alpha:
            # The newer result chose another α; the older one's episodes must not stay among its own.
            del known[place]
        conflicts = _merge(known.setdefault(place, (alpha, {}))[1], reported)
        evidence.conflicts += conflicts if entry.is_ann else 0  # the others' were counted with their curves


def _merge(episodes: Episodes, rollouts: RolloutRecord) -> int:
    """Adds the episodes; returns how many were there already with another outcome."""
    newer = {tuple(episode.seed): episode for episode in rollouts.episodes}
    conflicts = sum(episodes[triple].reward_sum != newer[triple].reward_sum for triple in episodes.keys() & newer)
    episodes |= newer
    return conflicts


def _work(config: dict[str, Any]) -> tuple[str, ...]:
    """What tells two jobs of one place in a table apart: the policy and the environments' seed."""
    return tuple(str(config.get(key)) for key in ("snapshot", "root", "run", "seed"))
