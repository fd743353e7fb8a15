"""The numbers of one place in a table, and of one row. Every statistic is `evaluation.statistics`'."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from evaluation import statistics
from report import energy, paper
from report.evidence import Episodes, Evidence, Strata
from report.method import ReportMethod

Returns = dict[Hashable, float]  # by seed triple


@dataclass(frozen=True)
class Cell:
    """One method on one task.

    `status` is "ok" where there are numbers, else a job's status (see `report.jobs`) and `reason` says why; with
    numbers, `reason` tells of policies that are missing among them. Returns are undiscounted sums of rewards:
    `mean` and `iqm` over all episodes, `half_std` with ddof 0. `sops`: synaptic operations per decision (None: the
    ANN). `ratio`: of the ANN's mean return, None where that is not positive; `gain`: over CRPI off on the same
    episodes, in returns. `between`: standard deviation of the policies' means (None: one policy only); `within`: over
    environment seeds.
    """

    status: str
    reason: str = ""
    policies: int = 0
    mean: statistics.Estimate = statistics.Estimate(0.0, None, 0)
    half_std: float = 0.0
    iqm: statistics.Estimate | None = None
    sops: float | None = None
    ratio: float | None = None
    gain: statistics.Estimate | None = None
    alphas: tuple[float, ...] = ()
    between: float | None = None
    within: float = 0.0


@dataclass(frozen=True)
class MethodRow:
    """One method over all tasks. `apr`, `iqm` (over all episodes, each relative to its task's ANN) and `gain` (of the
    APR over CRPI off, over the same episodes) are fractions of the ANN's return, over `counted`, the tasks that have
    numbers and an ANN whose mean return is positive; `improvement`: the probability that an episode earns more than one
    with CRPI off; `relative`: task → each episode's return relative to the ANN's mean, by policy."""

    method: ReportMethod
    cells: dict[str, Cell]
    counted: tuple[str, ...] = ()
    apr: statistics.Estimate | None = None
    iqm: statistics.Estimate | None = None
    gain: statistics.Estimate | None = None
    improvement: statistics.Estimate | None = None
    relative: dict[str, list[list[float]]] = field(default_factory=dict)

    @property
    def sops(self) -> float | None:
        """Synaptic operations per decision, mean over the same tasks."""
        counts = [sops for task in self.counted if (sops := self.cells[task].sops) is not None]
        return float(np.mean(counts)) if counts else None

    @property
    def lacking(self) -> tuple[str, ...]:
        return tuple(task for task in self.cells if task not in self.counted)

    @property
    def printed(self) -> paper.PaperRow | None:
        """The paper's row."""
        return paper.row(self.method)

    @property
    def printed_apr(self) -> float | None:
        """The paper's APR in percent over the same tasks."""
        return self.printed.apr_over(self.counted) if self.printed else None


def compare(rows: Iterable[MethodRow]) -> dict[tuple[ReportMethod, str], tuple[float, float]]:
    """(method, task) → the p of its gain, alone and with Holm's adjustment for all gains that could be tested. What was
    left at α = 0 is the same method and no comparison."""
    ps = {
        (row.method, task): cell.gain.p
        for row in rows
        for task, cell in row.cells.items()
        if cell.gain and cell.gain.p is not None and cell.alphas != (0.0,)
    }
    adjusted = statistics.holm([*ps.values()])
    return {place: (p, together) for (place, p), together in zip(ps.items(), adjusted) if together is not None}


def row(evidence: Evidence, method: ReportMethod, tasks: list[str]) -> MethodRow:
    """The row of one method, or of the ANN, over `tasks`. The ANN's ratio is 1 by definition, without an interval."""
    cells = {task: _cell(evidence, method, task) for task in tasks}
    counted = tuple(task for task, cell in cells.items() if cell.ratio is not None)
    snn = {task: _values(evidence.strata(method, task)) for task in counted}
    ann = {task: _values(_matching_ann(evidence, method, task)) for task in counted}
    levels = {task: float(np.mean(sum(values, []))) for task, values in ann.items()}
    relative = {task: [[value / levels[task] for value in values] for values in snn[task]] for task in counted}
    if not counted or method.is_ann:
        return MethodRow(
            method, cells, counted, statistics.Estimate(1.0, None, 0) if counted else None, relative=relative
        )
    pairs = {task: sides for task in counted if (sides := _pairs(evidence, method, task))}
    treated, control = ({task: sides[index] for task, sides in pairs.items()} for index in (0, 1))
    comparable = pairs.keys() == snn.keys()
    return MethodRow(
        method,
        cells,
        counted,
        apr=statistics.average_performance_ratio(snn, ann),
        iqm=statistics.interquartile_mean(sum(relative.values(), [])),
        gain=statistics.apr_gain(treated, control, ann) if comparable else None,
        improvement=statistics.probability_of_improvement(treated, control) if comparable else None,
        relative=relative,
    )


def _cell(evidence: Evidence, method: ReportMethod, task: str) -> Cell:
    unfinished = evidence.unfinished(method, task)
    strata = evidence.strata(method, task)
    if not strata:
        causes = [(job.status, job.reason) for job in unfinished]
        return Cell(*(causes or [("missing", "no job for it in these folders")])[0])
    values, pairs = _values(strata), _pairs(evidence, method, task)
    mean = statistics.mean(values)
    level = float(np.mean(sum(_values(_matching_ann(evidence, method, task)), [])))
    between, within = statistics.seed_spread(values)
    return Cell(
        "ok",
        "" if method.is_ann else "; ".join(f"{job.status}: {job.reason}" for job in unfinished),
        policies=len(values),
        mean=mean,
        half_std=statistics.half_std(sum(values, [])),
        iqm=statistics.interquartile_mean(values),
        sops=None if method.is_ann else energy.sops_per_decision(evidence.episodes(method, task)),
        ratio=mean.value / level if level > 0 else None,
        gain=statistics.gain(*pairs) if pairs else None,
        alphas=() if method.variant.is_off else tuple(evidence.alphas(method, task)),
        between=between if len(values) > 1 else None,
        within=within,
    )


def _pairs(evidence: Evidence, method: ReportMethod, task: str) -> tuple[list[Returns], list[Returns]] | None:
    """Per policy the returns with CRPI, and those of the same episodes without; None where one of the latter lacks."""
    if method.variant.is_off:
        return None
    plain, strata = evidence.strata(method.off, task), evidence.strata(method, task)
    if not all(episodes.keys() <= plain.get(sha, {}).keys() for sha, episodes in strata.items()):
        return None
    same = [_returns({triple: plain[sha][triple] for triple in episodes}) for sha, episodes in strata.items()]
    return [_returns(episodes) for episodes in strata.values()], same


def _matching_ann(evidence: Evidence, method: ReportMethod, task: str) -> Strata:
    """The ANN's episodes on the environment seeds of the method's own; all of them where it lacks some."""
    ann = evidence.strata(method.ann, task)
    return {
        sha: {triple: ann[sha][triple] for triple in episodes} if episodes.keys() <= ann[sha].keys() else ann[sha]
        for sha, episodes in evidence.strata(method, task).items()
    }


def _returns(episodes: Episodes) -> Returns:
    """Episodes that were cut short never get here: their jobs are not "ok"."""
    return {triple: episodes[triple].reward_sum for triple in sorted(episodes)}


def _values(strata: Mapping[str, Episodes]) -> list[list[float]]:
    return [list(_returns(episodes).values()) for episodes in strata.values()]
