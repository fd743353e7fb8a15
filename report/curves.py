"""Return against α: a curve per task, and one α for all tasks beside one for each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from evaluation import alpha_selection, statistics
from evaluation.statistics import Interval
from report.evidence import Evidence, Strata
from report.method import Network, ann


@dataclass(frozen=True)
class Point:
    """Return at one α relative to the ANN's mean return, with its 95 % interval, None where none holds (the ANN's mean
    taken as known)."""

    alpha: float
    ratio: float
    interval: Interval | None
    episodes: int


@dataclass(frozen=True)
class Curves:
    """Of one network: task → points by ascending α, all over the `stream` "report" (every α on the reported episodes)
    or "selection" (on the episodes that α was chosen on)."""

    network: Network
    mode: str
    stream: str
    tasks: dict[str, list[Point]]

    @property
    def label(self) -> str:
        return self.network.label + ("" if self.mode == "residual" else f", {self.mode}")

    @property
    def which(self) -> str:
        """Which episodes the curves are over."""
        return "reported episodes" if self.stream == "report" else "selection episodes"


@dataclass(frozen=True)
class OneAlpha:
    """The best α for all tasks together and the best one of each, all on the episodes of `curves`; APRs are fractions.

    Each is the best of several on these very episodes, so that each APR is optimistic, the second more so.
    """

    alpha: float
    apr: float
    per_task: dict[str, float]
    apr_per_task: float
    apr_off: float | None


def of_observation(evidence: Evidence, obs: str) -> list[Curves]:
    """The curves of every network and mode that has any."""
    modes = {(network, mode) for network, mode, _, _ in evidence.curves if network.obs == obs}
    ordered = sorted(modes, key=lambda key: (key[0].order, key[1]))
    return [curves for network, mode in ordered if (curves := of_network(evidence, network, mode))]


def of_network(evidence: Evidence, network: Network, mode: str) -> Curves | None:
    """The curves of a network, over the report episodes where three α or more played them for every task that has a
    curve at all, else over the selection episodes; None where there is no curve."""
    streams = {stream: _tasks(evidence, network, mode, stream) for stream in ("report", "selection")}
    # Where some tasks have one kind and some the other: the kind with more tasks, never both in one figure.
    stream = max(streams, key=lambda name: len(streams[name]))
    return Curves(network, mode, stream, streams[stream]) if streams[stream] else None


def one_alpha(curves: Curves) -> OneAlpha | None:
    """The choice over the α that every task has; None where they share none."""
    ratios = {task: {point.alpha: point.ratio for point in points} for task, points in curves.tasks.items()}
    shared = sorted(set.intersection(*(set(values) for values in ratios.values())))
    if not shared:
        return None
    apr = {alpha: float(np.mean([values[alpha] for values in ratios.values()])) for alpha in shared}
    per_task = {task: alpha_selection.best({a: values[a] for a in shared}) for task, values in ratios.items()}
    alpha = alpha_selection.best(apr)
    apr_per_task = float(np.mean([ratios[task][best] for task, best in per_task.items()]))
    return OneAlpha(alpha, apr[alpha], per_task, apr_per_task, apr.get(0.0))


def reported_ratio(evidence: Evidence, curves: Curves, alpha: float, tasks: list[str]) -> float | None:
    """APR of one α over the report episodes, or None where a task has episodes that only α = 0 played."""
    ratios = []
    for task in tasks:
        by_alpha = evidence.curves.get((curves.network, curves.mode, "report", task), {})
        wanted, played = by_alpha.get(0.0, {}), by_alpha.get(alpha, {})
        if not wanted or not all(episodes.keys() <= played.get(sha, {}).keys() for sha, episodes in wanted.items()):
            return None
        values = [played[sha][triple].reward_sum for sha, episodes in wanted.items() for triple in episodes]
        ratios.append(np.mean(values) / _level(evidence, curves.network, task))
    return float(np.mean(ratios))


def _tasks(evidence: Evidence, network: Network, mode: str, stream: str) -> dict[str, list[Point]]:
    curves = {}
    for (other, of_mode, of_stream, task), by_alpha in sorted(evidence.curves.items(), key=lambda item: item[0][3]):
        level = _level(evidence, network, task) if (other, of_mode, of_stream) == (network, mode, stream) else 0.0
        # A task whose ANN earns nothing has no ratio, and no place here.
        if level > 0 and len(shared := _shared(by_alpha)) >= 3:
            curves[task] = [_point(alpha, strata, level) for alpha, strata in sorted(shared.items())]
    return curves


def _shared(by_alpha: dict[float, Strata]) -> dict[float, Strata]:
    """The curve's α with the same episodes each: per policy those that most α played, and the α that played them all.

    An α that only some policies played (each its own chosen one), or on fewer episodes, has no place on the curve.
    """
    core: dict[str, set[tuple[int, ...]]] = {}
    for sha in sorted({sha for strata in by_alpha.values() for sha in strata}):
        times = Counter(triple for strata in by_alpha.values() for triple in strata.get(sha, {}))
        core[sha] = {triple for triple, count in times.items() if count == max(times.values())}
    return {
        alpha: {sha: {triple: strata[sha][triple] for triple in sorted(triples)} for sha, triples in core.items()}
        for alpha, strata in by_alpha.items()
        if all(triples <= strata.get(sha, {}).keys() for sha, triples in core.items())
    }


def _level(evidence: Evidence, network: Network, task: str) -> float:
    """The ANN's mean return."""
    return float(np.mean([episode.reward_sum for episode in evidence.episodes(ann(network.obs), task)]))


def _point(alpha: float, strata: Strata, level: float) -> Point:
    values = [[episode.reward_sum / level for episode in episodes.values()] for episodes in strata.values()]
    mean = statistics.mean(values)
    return Point(alpha, mean.value, mean.interval, mean.n)
