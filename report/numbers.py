"""The numbers of one place in a table, and of one row. Every statistic is `evaluation.statistics`'."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation import statistics
from evaluation.statistics import Interval
from report import energy, paper
from report.evidence import Episodes, Evidence, Strata
from report.method import Method
from report.paper import PaperRow


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, None where it is exact."""

    mean: float
    interval: Interval | None


@dataclass(frozen=True)
class Cell:
    """One method on one task.

    `status` is "ok" where there are numbers, else a job's status (see `report.jobs`) and `reason` says why; with
    numbers, `reason` tells of policies that are lacking among them. Returns are undiscounted sums of rewards:
    `mean`, `half_std` (ddof 0, over all episodes), `interval` and `iqm` (95 %, stratified by policy).
    `sops`: synaptic operations per decision (None: the ANN). `ratio`: of the ANN's mean return; `gain`: over CRPI off
    on the same episodes, in returns. `between`: standard deviation of the policies' means (None: one policy only);
    `within`: over environment seeds.
    """

    status: str
    reason: str = ""
    episodes: int = 0
    policies: int = 0
    mean: float = 0.0
    half_std: float = 0.0
    interval: Interval | None = None
    iqm: Estimate | None = None
    sops: float | None = None
    ratio: float | None = None
    gain: Estimate | None = None
    alphas: tuple[float, ...] = ()
    between: float | None = None
    within: float = 0.0


@dataclass(frozen=True)
class Row:
    """One method over all tasks. `apr`, `iqm` (over all episodes, each relative to its task's ANN) and `gain` (of CRPI,
    over the same episodes) are fractions of the ANN's return, over `counted`, the tasks that have numbers and an
    ANN whose mean return is positive; `lacking`: the other tasks."""

    method: Method
    cells: dict[str, Cell]
    counted: tuple[str, ...] = ()
    apr: Estimate | None = None
    iqm: Estimate | None = None
    gain: Estimate | None = None

    @property
    def sops(self) -> float | None:
        """Synaptic operations per decision, mean over the same tasks."""
        counts = [sops for task in self.counted if (sops := self.cells[task].sops) is not None]
        return float(np.mean(counts)) if counts else None

    @property
    def lacking(self) -> tuple[str, ...]:
        return tuple(task for task in self.cells if task not in self.counted)

    @property
    def printed(self) -> PaperRow | None:
        """The paper's row."""
        return paper.row(self.method)

    @property
    def printed_apr(self) -> float | None:
        """The paper's APR in percent over the same tasks."""
        return self.printed.apr_over(self.counted) if self.printed else None


def row(evidence: Evidence, method: Method, tasks: list[str]) -> Row:
    """The row of one method, or of the ANN, over `tasks`. The ANN's ratio is 1 by definition, without an interval."""
    cells = {task: _cell(evidence, method, task) for task in tasks}
    counted = tuple(task for task, cell in cells.items() if cell.ratio is not None)
    if not counted or method.is_ann:
        exact = Estimate(1.0, None) if counted else None
        return Row(method, cells, counted, apr=exact)
    snn, ann, relative, gains = {}, {}, [], []
    for task in counted:
        strata, base = evidence.strata(method, task), _matching_ann(evidence, method, task)
        snn[task], ann[task] = _values(strata), _values(base)
        level = float(np.mean(np.concatenate(ann[task])))
        relative += [[value / level for value in values] for values in snn[task]]
        pairs = _pairs(evidence, method, task)
        gains.append(pairs and [(_scaled(one, level), _scaled(other, level)) for one, other in pairs])
    return Row(
        method,
        cells,
        counted,
        apr=_estimate(statistics.average_performance_ratio(snn, ann)),
        iqm=_iqm(relative),
        gain=None if None in gains else _gain([pair for pairs in gains for pair in pairs or ()]),
    )


def _cell(evidence: Evidence, method: Method, task: str) -> Cell:
    unfinished = evidence.unfinished(method, task)
    strata = evidence.strata(method, task)
    if not strata:
        told = [(job.status, job.reason) for job in unfinished]
        return Cell(*(told or [("missing", "no job for it in these folders")])[0])
    values = _values(strata)
    flat = sum(values, [])
    mean = float(np.mean(flat))
    level = float(np.concatenate(_values(_matching_ann(evidence, method, task))).mean())
    between, within = statistics.seed_spread(values)
    alphas = {alpha for one in evidence.reported[method, task].values() for alpha in one.alphas}
    return Cell(
        "ok",
        "" if method.is_ann else "; ".join(f"{job.status}: {job.reason}" for job in unfinished),
        episodes=len(flat),
        policies=len(values),
        mean=mean,
        half_std=statistics.half_std(flat),
        interval=statistics.mean(values).interval,
        iqm=_iqm(values),
        sops=None if method.is_ann else energy.sops_per_decision(evidence.episodes(method, task)),
        ratio=mean / level if level > 0 else None,
        gain=_gain(_pairs(evidence, method, task)),
        alphas=() if method.variant.is_off else tuple(sorted(alphas)),
        between=between if len(values) > 1 else None,
        within=within,
    )


def _iqm(values: list[list[float]]) -> Estimate:
    found = statistics.interquartile_mean(values)
    return Estimate(found.value, found.interval)


def _estimate(found: statistics.Estimate | None) -> Estimate | None:
    return None if found is None else Estimate(found.value, found.interval)


Pairs = list[tuple[dict[tuple[int, ...], float], dict[tuple[int, ...], float]]]


def _gain(pairs: Pairs | None) -> Estimate | None:
    return _estimate(statistics.gain(*zip(*pairs, strict=True))) if pairs else None


def _pairs(evidence: Evidence, method: Method, task: str) -> Pairs | None:
    """Per policy (episode → return with CRPI, the same without); None where the latter lacks one of the episodes."""
    if method.variant.is_off:
        return None
    plain = evidence.strata(method.off, task)
    strata = evidence.strata(method, task)
    if not all(episodes.keys() <= plain.get(sha, {}).keys() for sha, episodes in strata.items()):
        return None
    return [
        (_returns(episodes), _returns({triple: plain[sha][triple] for triple in episodes}))
        for sha, episodes in strata.items()
    ]


def _matching_ann(evidence: Evidence, method: Method, task: str) -> Strata:
    """The ANN's episodes on the environment seeds of the method's own; all of them where it lacks some."""
    ann = evidence.strata(method.ann, task)
    return {
        sha: {triple: ann[sha][triple] for triple in episodes} if episodes.keys() <= ann[sha].keys() else ann[sha]
        for sha, episodes in evidence.strata(method, task).items()
    }


def _returns(episodes: Episodes) -> dict[tuple[int, ...], float]:
    """By seed triple. Episodes that were cut short never get here: their jobs are not "ok"."""
    return {triple: value for triple in sorted(episodes) if (value := episodes[triple].return_) is not None}


def _scaled(returns: dict[tuple[int, ...], float], level: float) -> dict[tuple[int, ...], float]:
    return {triple: value / level for triple, value in returns.items()}


def _values(strata: Strata) -> list[list[float]]:
    return [list(_returns(episodes).values()) for episodes in strata.values()]
