"""Return against α: a curve per task, and one α for all tasks beside one for each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from evaluation import statistics
from evaluation.statistics import Interval
from report.evidence import Evidence, Strata
from report.method import Network


@dataclass(frozen=True)
class Point:
    """Return at one α relative to the ANN's mean return, with its 95 % interval (the ANN's mean taken as known)."""

    alpha: float
    ratio: float
    interval: Interval
    episodes: int


@dataclass(frozen=True)
class Curves:
    """Of one network: task → points by ascending α, all over the `stream` "report" (every α on the reported episodes)
    or "selection" (on the episodes that α was chosen on)."""

    network: Network
    mode: str
    stream: str
    tasks: dict[str, list[Point]]


@dataclass(frozen=True)
class OneAlpha:
    """The best α for all tasks together and the best one of each, all on the episodes of `curves`; APRs are fractions.

    Each is the best of several on these very episodes, so that each APR is optimistic, the second more so.
    """

    curves: Curves
    alpha: float
    apr: float
    per_task: dict[str, float]
    apr_per_task: float
    apr_off: float | None


def of_network(evidence: Evidence, network: Network, mode: str) -> Curves | None:
    """The curves of a network, over the report episodes where three α or more played them for every task that has a
    curve at all, else over the selection episodes; None where there is no curve."""
    found = {stream: _tasks(evidence, network, mode, stream) for stream in ("report", "selection")}
    covered = found["report"].keys() | found["selection"].keys()
    for stream, tasks in found.items():
        if tasks and tasks.keys() == covered:
            return Curves(network, mode, stream, tasks)
    # Some tasks have one kind and some the other: the kind with more tasks, never both in one figure.
    stream = max(found, key=lambda name: len(found[name]))
    return Curves(network, mode, stream, found[stream]) if found[stream] else None


def one_alpha(curves: Curves) -> OneAlpha | None:
    """The choice over the α that every task has; None where they share none."""
    ratios = {task: {point.alpha: point.ratio for point in points} for task, points in curves.tasks.items()}
    shared = sorted(set.intersection(*(set(values) for values in ratios.values())))
    if not shared:
        return None
    apr = {alpha: float(np.mean([values[alpha] for values in ratios.values()])) for alpha in shared}
    per_task = {task: _best({alpha: values[alpha] for alpha in shared}) for task, values in ratios.items()}
    alpha = _best(apr)
    apr_per_task = float(np.mean([ratios[task][best] for task, best in per_task.items()]))
    return OneAlpha(curves, alpha, apr[alpha], per_task, apr_per_task, apr.get(0.0))


def _best(values: dict[float, float]) -> float:
    # Of equals the smallest, which departs least from plain conversion, as evaluation chooses too.
    return min(values, key=lambda alpha: (-values[alpha], alpha))


def _tasks(evidence: Evidence, network: Network, mode: str, stream: str) -> dict[str, list[Point]]:
    curves = {}
    for (other, of_mode, of_stream, task), by_alpha in sorted(evidence.curves.items(), key=lambda item: item[0][3]):
        if (other, of_mode, of_stream) != (network, mode, stream):
            continue
        shared = _shared(by_alpha)
        level = _level(evidence, network, task)
        points = [_point(alpha, strata, level) for alpha, strata in sorted(shared.items())]
        if level > 0 and len(points) >= 3:
            curves[task] = points
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
    strata = evidence.ann[network.obs, task].values()
    return float(np.mean([episode.return_ for episodes in strata for episode in episodes.values()]))


def _point(alpha: float, strata: Strata, level: float) -> Point:
    values = [[episode.return_ / level for episode in episodes.values()] for episodes in strata.values()]
    flat = np.concatenate(values)
    return Point(alpha, float(flat.mean()), statistics.bootstrap(values), len(flat))


def reported_ratio(evidence: Evidence, network: Network, mode: str, alpha: float, tasks: list[str]) -> float | None:
    """APR of one α over the report episodes, or None where a task has one that only α = 0 played."""
    ratios = []
    for task in tasks:
        by_alpha = evidence.curves.get((network, mode, "report", task), {})
        wanted, found = by_alpha.get(0.0, {}), by_alpha.get(alpha, {})
        if not wanted or not all(episodes.keys() <= found.get(sha, {}).keys() for sha, episodes in wanted.items()):
            return None
        values = [found[sha][triple].return_ for sha, episodes in wanted.items() for triple in episodes]
        ratios.append(np.mean(values) / _level(evidence, network, task))
    return float(np.mean(ratios))
