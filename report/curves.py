"""Return against α: a curve per task, and one α for all tasks beside one for each."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from evaluation import alpha_selection, statistics
from report.evidence import Evidence, Strata
from report.method import Network, ann


@dataclass(frozen=True)
class AlphaCurves:
    """Of one network: task → α, ascending → return relative to the ANN's mean (taken as known), all over the `stream`
    "report" (every α on the reported episodes) or "selection" (on the episodes that α was chosen on)."""

    network: Network
    mode: str
    stream: str
    tasks: dict[str, dict[float, statistics.Estimate]]

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


def of_observation(evidence: Evidence, obs: str) -> list[AlphaCurves]:
    """The curves of every network and mode that has any."""
    modes = {(network, mode) for network, mode, _ in evidence.curves if network.obs == obs}
    ordered = sorted(modes, key=lambda key: (key[0].order, key[1]))
    return [curves for network, mode in ordered if (curves := of_network(evidence, network, mode)).tasks]


def of_network(evidence: Evidence, network: Network, mode: str) -> AlphaCurves:
    """The curves of a network, over the report episodes where three α or more played them for every task that has a
    curve at all, else over the selection episodes; of no task where there is no curve."""
    streams = {stream: _tasks(evidence, network, mode, stream) for stream in ("report", "selection")}
    # Where some tasks have one kind and some the other: the kind with more tasks, never both in one figure.
    stream = max(streams, key=lambda name: len(streams[name]))
    return AlphaCurves(network, mode, stream, streams[stream])


def one_alpha(curves: AlphaCurves) -> OneAlpha | None:
    """The choice over the α that every task has; None where they share none."""
    ratios = {task: {alpha: of_one.value for alpha, of_one in points.items()} for task, points in curves.tasks.items()}
    shared = sorted(set.intersection(*map(set, ratios.values())))
    if not shared:
        return None
    apr = {alpha: float(np.mean([values[alpha] for values in ratios.values()])) for alpha in shared}
    per_task = {task: alpha_selection.best({a: values[a] for a in shared}) for task, values in ratios.items()}
    alpha = alpha_selection.best(apr)
    apr_per_task = float(np.mean([ratios[task][best] for task, best in per_task.items()]))
    return OneAlpha(alpha, apr[alpha], per_task, apr_per_task, apr.get(0.0))


def reported_ratio(evidence: Evidence, curves: AlphaCurves, alpha: float) -> float | None:
    """APR of one α over the report episodes, or None where a task has episodes that only α = 0 played."""
    ratios = []
    for task in curves.tasks:
        by_alpha = evidence.curves[curves.network, curves.mode, "report"].get(task, {})
        wanted, played = by_alpha.get(0.0, {}), by_alpha.get(alpha, {})
        if not wanted or not all(episodes.keys() <= played.get(sha, {}).keys() for sha, episodes in wanted.items()):
            return None
        values = [played[sha][triple].reward_sum for sha, episodes in wanted.items() for triple in episodes]
        ratios.append(np.mean(values) / _ann_return(evidence, curves.network, task))
    return float(np.mean(ratios))


def _tasks(evidence: Evidence, network: Network, mode: str, stream: str) -> dict[str, dict[float, statistics.Estimate]]:
    curves = {}
    for task, by_alpha in sorted(evidence.curves[network, mode, stream].items()):
        level = _ann_return(evidence, network, task)
        # A task whose ANN earns nothing has no ratio, and no place here.
        if level > 0 and len(shared := _shared(by_alpha)) >= 3:
            curves[task] = {
                alpha: statistics.mean(
                    [[episode.reward_sum / level for episode in episodes.values()] for episodes in strata.values()]
                )
                for alpha, strata in sorted(shared.items())
            }
    return curves


def _shared(by_alpha: dict[float, Strata]) -> dict[float, Strata]:
    """The curve's α with the same episodes each: per policy those that most α played, and the α that played them all.

    An α that only some policies played (each its own chosen one), or on fewer episodes, has no place on the curve.
    """
    core: dict[str, list[tuple[int, ...]]] = {}
    for sha in sorted({sha for strata in by_alpha.values() for sha in strata}):
        times = Counter(triple for strata in by_alpha.values() for triple in strata.get(sha, {}))
        core[sha] = sorted(triple for triple, count in times.items() if count == max(times.values()))
    return {
        alpha: {sha: {triple: strata[sha][triple] for triple in triples} for sha, triples in core.items()}
        for alpha, strata in by_alpha.items()
        if all(strata.get(sha, {}).keys() >= set(triples) for sha, triples in core.items())
    }


def _ann_return(evidence: Evidence, network: Network, task: str) -> float:
    """Its mean."""
    return float(np.mean([episode.reward_sum for episode in evidence.episodes(ann(network.obs), task)]))
