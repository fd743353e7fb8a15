"""The numbers of one place in a table, and of one row. Every statistic is `evaluation.statistics`'."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from evaluation import statistics
from evaluation.statistics import Interval
from report import method, paper
from report.evidence import Episodes, Evidence, Strata
from report.jobs import STATUSES
from report.method import OFF, Network, Variant


@dataclass(frozen=True)
class Cell:
    """One method on one task.

    `status` is "ok" where there are numbers, else a job's status (see `report.jobs`) and `reason` says why; with
    numbers, `reason` tells of policies that are lacking among them. Returns are undiscounted sums of rewards:
    `mean`, `half_std` (ddof 0, over all episodes), `interval` and `iqm_interval` (95 %, stratified by policy).
    `ratio`: of the ANN's mean return; `gain`: over CRPI off on the same episodes, in returns. `between`: standard
    deviation of the policies' means (None: one policy only); `within`: over environment seeds.
    """

    status: str
    reason: str = ""
    episodes: int = 0
    policies: int = 0
    mean: float = 0.0
    half_std: float = 0.0
    interval: Interval | None = None
    iqm: float = 0.0
    iqm_interval: Interval | None = None
    ratio: float | None = None
    gain: tuple[float, Interval] | None = None
    alphas: tuple[float, ...] = ()
    between: float | None = None
    within: float = 0.0


@dataclass(frozen=True)
class Row:
    """One method over all tasks. `apr`, `iqm` (over all episodes, each relative to its task's ANN) and `gain` (of CRPI,
    over the same episodes) are fractions of the ANN's return, over `counted`, the tasks that have numbers and an
    ANN whose mean return is positive. `paper`: the paper's row; `paper_apr`: its APR in percent over the same tasks."""

    network: Network | None
    variant: Variant
    cells: dict[str, Cell]
    counted: tuple[str, ...] = ()
    apr: float | None = None
    apr_interval: Interval | None = None
    iqm: float | None = None
    iqm_interval: Interval | None = None
    gain: tuple[float, Interval] | None = None
    paper: paper.Row | None = None
    paper_apr: float | None = None
    lacking: tuple[str, ...] = field(default=())


def ann_row(evidence: Evidence, obs: str, tasks: list[str]) -> Row:
    """The ANN's row: its ratios are 1 by definition."""
    cells = {}
    for task in tasks:
        strata = evidence.ann.get((obs, task), {})
        cells[task] = _cell(_values(strata), 1.0, None, ()) if strata else _no_ann(evidence, obs, task)
    counted = tuple(task for task, cell in cells.items() if cell.status == "ok" and cell.mean > 0)
    return Row(
        None,
        OFF,
        cells,
        counted=counted,
        apr=1.0 if counted else None,
        paper=paper.ann(),
        paper_apr=paper.ann().apr_over(counted),
        lacking=tuple(task for task in tasks if task not in counted),
    )


def row(evidence: Evidence, network: Network, variant: Variant, tasks: list[str]) -> Row:
    """The row of one method over `tasks`."""
    cells = {task: _method_cell(evidence, network, variant, task) for task in tasks}
    counted = tuple(task for task in tasks if cells[task].ratio is not None)
    known = paper.row(network, variant)
    if not counted:
        return Row(network, variant, cells, paper=known, lacking=tuple(tasks))
    snn, ann, relative, gains = {}, {}, [], []
    for task in counted:
        strata, base = _strata(evidence, network, variant, task), _matching_ann(evidence, network, variant, task)
        snn[task], ann[task] = _values(strata), _values(base)
        level = float(np.mean(np.concatenate(ann[task])))
        relative += [[value / level for value in values] for values in snn[task]]
        pairs = _pairs(strata, _off(evidence, network, variant, task))
        gains.append(None if pairs is None else [[_scaled(one, level), _scaled(two, level)] for one, two in pairs])
    paired = None if None in gains else [pair for pairs in gains for pair in pairs or []]
    return Row(
        network,
        variant,
        cells,
        counted=counted,
        apr=statistics.average_performance_ratio(_pooled(snn), _pooled(ann)),
        apr_interval=statistics.apr_interval(snn, ann),
        iqm=float(statistics.pooled_iqm([np.array(values) for values in relative])),
        iqm_interval=statistics.bootstrap(relative, statistics.pooled_iqm),
        gain=statistics.paired_gain([one for one, _ in paired], [two for _, two in paired]) if paired else None,
        paper=known,
        paper_apr=known.apr_over(counted) if known else None,
        lacking=tuple(task for task in tasks if task not in counted),
    )


def _method_cell(evidence: Evidence, network: Network, variant: Variant, task: str) -> Cell:
    unfinished = evidence.unfinished(network, variant, task)
    strata = _strata(evidence, network, variant, task)
    if not strata:
        if unfinished:
            return Cell(unfinished[0].status, unfinished[0].reason)
        return Cell("missing", "no job for it in these folders")
    base = np.concatenate(_values(_matching_ann(evidence, network, variant, task)))
    ratio = float(np.mean(np.concatenate(_values(strata))) / base.mean()) if base.mean() > 0 else None
    pairs = _pairs(strata, _off(evidence, network, variant, task))
    gain = statistics.paired_gain([one for one, _ in pairs], [two for _, two in pairs]) if pairs else None
    alphas = {alpha for reported in evidence.reported[network, variant, task].values() for alpha in reported.alphas}
    reason = "; ".join(f"{job.status}: {job.reason}" for job in unfinished)
    return _cell(_values(strata), ratio, gain, () if variant.is_off else tuple(sorted(alphas)), reason)


def _cell(
    values: list[list[float]],
    ratio: float | None,
    gain: tuple[float, Interval] | None,
    alphas: tuple[float, ...],
    reason: str = "",
) -> Cell:
    flat = np.concatenate(values)
    between, within = statistics.seed_spread(values)
    return Cell(
        "ok",
        reason,
        episodes=len(flat),
        policies=len(values),
        mean=float(flat.mean()),
        half_std=statistics.half_std(flat),
        interval=statistics.bootstrap(values),
        iqm=float(statistics.interquartile_mean(flat)),
        iqm_interval=statistics.bootstrap(values, statistics.pooled_iqm),
        ratio=ratio,
        gain=gain,
        alphas=alphas,
        between=between if len(values) > 1 else None,
        within=within,
    )


def _strata(evidence: Evidence, network: Network, variant: Variant, task: str) -> Strata:
    found = evidence.reported.get((network, variant, task), {})
    return {sha: reported.episodes for sha, reported in sorted(found.items())}


def _off(evidence: Evidence, network: Network, variant: Variant, task: str) -> Strata | None:
    return None if variant.is_off else _strata(evidence, network, OFF, task)


def _matching_ann(evidence: Evidence, network: Network, variant: Variant, task: str) -> Strata:
    """The ANN's episodes on the environment seeds of the method's own; all of them where it lacks some."""
    ann = evidence.ann[network.obs, task]
    chosen = {}
    for sha, episodes in _strata(evidence, network, variant, task).items():
        shared = episodes.keys() <= ann[sha].keys()
        chosen[sha] = {triple: ann[sha][triple] for triple in episodes} if shared else ann[sha]
    return chosen


def _pairs(strata: Strata, control: Strata | None) -> list[tuple[dict, dict]] | None:
    """Per policy (episode → return with CRPI, the same without); None where the control lacks one of the episodes."""
    if control is None:
        return None
    pairs = []
    for sha, episodes in strata.items():
        if not episodes.keys() <= control.get(sha, {}).keys():
            return None
        plain = _returns(control[sha])
        pairs.append((_returns(episodes), {triple: plain[triple] for triple in episodes}))
    return pairs


def _returns(episodes: Episodes) -> dict[tuple[int, ...], float]:
    found = {}
    for triple in sorted(episodes):
        value = episodes[triple].return_
        assert value is not None, "episodes cut short never get here: their jobs are not 'ok'"
        found[triple] = value
    return found


def _values(strata: Strata) -> list[list[float]]:
    return [list(_returns(episodes).values()) for episodes in strata.values()]


def _pooled(by_task: dict[str, list[list[float]]]) -> dict[str, list[float]]:
    return {task: [value for values in strata for value in values] for task, strata in by_task.items()}


def _scaled(values: dict, level: float) -> dict:
    return {key: value / level for key, value in values.items()}


def _no_ann(evidence: Evidence, obs: str, task: str) -> Cell:
    jobs = [job for job in evidence.jobs if job.task == task and method.network(job.config).obs == obs]
    if not jobs:
        return Cell("missing", "no job for it in these folders")
    telling = min(jobs, key=lambda job: STATUSES.index(job.status))
    return Cell(telling.status, telling.reason)
