"""Return against α: a curve per task, and one α for all tasks beside one for each."""

from __future__ import annotations

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
        level = np.mean([e.return_ for episodes in evidence.ann[network.obs, task].values() for e in episodes.values()])
        # An α that only some of the policies played (each its own chosen one) has no place on a common curve.
        everyone = max(map(_plays, by_alpha.values()))
        points = [_point(alpha, by_alpha[alpha], level) for alpha in sorted(by_alpha) if _plays(by_alpha[alpha]) == everyone]
        if level > 0 and len(points) >= 3:
            curves[task] = points
    return curves


def _plays(strata: Strata) -> int:
    return sum(len(episodes) for episodes in strata.values())


def _point(alpha: float, strata: Strata, level: float) -> Point:
    values = [[episode.return_ / level for episode in episodes.values()] for episodes in strata.values()]
    flat = np.concatenate(values)
    return Point(alpha, float(flat.mean()), statistics.bootstrap(values), len(flat))


def reported_ratio(evidence: Evidence, network: Network, mode: str, alpha: float, tasks: list[str]) -> float | None:
    """APR of one α over the report episodes, or None where a task didn't play as many with it as with α = 0."""
    ratios = []
    for task in tasks:
        by_alpha = evidence.curves.get((network, mode, "report", task), {})
        if not _plays(by_alpha.get(alpha, {})) or _plays(by_alpha[alpha]) < max(map(_plays, by_alpha.values())):
            return None
        values = [episode.return_ for episodes in by_alpha[alpha].values() for episode in episodes.values()]
        level = np.mean([e.return_ for episodes in evidence.ann[network.obs, task].values() for e in episodes.values()])
        ratios.append(np.mean(values) / level)
    return float(np.mean(ratios))
