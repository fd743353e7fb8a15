"""Statistics of returns: spread, interquartile mean, stratified bootstrap intervals, performance ratios, paired gains.

Episodes are never pooled blindly: a *stratum* is one (task, training seed), and the bootstrap draws anew within each
stratum (Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

# A statistic maps resampled strata, each [..., episodes], to values [...].
Statistic = Callable[[list[np.ndarray]], np.ndarray]


class Interval(NamedTuple):
    """A two-sided interval, in the statistic's own unit."""

    low: float
    high: float


def half_std(values: Sequence[float]) -> float:
    """Half the standard deviation with ddof 0: the ± of the paper's tables (our reading; see docs of the protocol).

    `values`: [episodes]. Raises ValueError where there are none.
    """
    return 0.5 * float(np.std(_finite(values)))


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the middle half along the last axis: [..., n] → [...].

    As scipy.stats.trim_mean(values, 0.25): floor(n / 4) values go at each end.
    """
    values = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    cut = values.shape[-1] // 4
    return values[..., cut : values.shape[-1] - cut].mean(axis=-1)


def pooled_mean(strata: list[np.ndarray]) -> np.ndarray:
    """Mean over all episodes of all strata."""
    return np.concatenate(strata, axis=-1).mean(axis=-1)


def pooled_iqm(strata: list[np.ndarray]) -> np.ndarray:
    """Interquartile mean over all episodes of all strata."""
    return interquartile_mean(np.concatenate(strata, axis=-1))


def bootstrap(
    strata: Sequence[Sequence[float]],
    statistic: Statistic = pooled_mean,
    *,
    level: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of `statistic`, stratified: every stratum is drawn anew from itself.

    `strata`: one sequence of returns per (task, training seed), each with at least one episode.
    `level`: coverage in (0, 1). The same `seed` gives the same interval.
    Raises ValueError for no stratum, an empty one, or a value that is not finite.
    """
    if not strata:
        raise ValueError("a bootstrap needs at least one stratum")
    generator = np.random.default_rng(seed)
    drawn = [_redraw(_finite(values), resamples, generator) for values in strata]
    return _percentiles(statistic(drawn), level)


def average_performance_ratio(snn: Mapping[str, Sequence[float]], ann: Mapping[str, Sequence[float]]) -> float:
    """APR: the mean over tasks of (mean SNN return / mean ANN return), as a fraction (the paper prints percent).

    Both map a task's name to its returns. Raises ValueError where the tasks differ, there are none, or an ANN's
    mean return is not positive, for which the ratio says nothing.
    """
    if not snn or snn.keys() != ann.keys():
        raise ValueError(f"SNN and ANN must cover the same tasks, found {sorted(snn)} and {sorted(ann)}")
    return float(np.mean([np.mean(_finite(snn[task])) / _positive_mean(task, ann[task]) for task in sorted(snn)]))


def apr_interval(
    snn: Mapping[str, Sequence[Sequence[float]]],
    ann: Mapping[str, Sequence[Sequence[float]]],
    *,
    level: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of the APR; both map a task to its strata (one per training seed).

    SNN and ANN episodes of a stratum share their environment seeds, so where both have as many episodes the
    same draw serves both; otherwise each is drawn by itself. The ANN's returns are drawn too: the denominator
    is an estimate as much as the numerator. Raises ValueError as `average_performance_ratio` does.
    """
    average_performance_ratio(
        {t: np.concatenate(s) for t, s in snn.items()}, {t: np.concatenate(s) for t, s in ann.items()}
    )
    generator = np.random.default_rng(seed)
    ratios = []
    for task in sorted(snn):
        numerators, denominators = [], []
        for above, below in zip(snn[task], ann[task], strict=True):
            above, below = _finite(above), _finite(below)
            if len(above) == len(below):
                pairs = generator.integers(len(above), size=(resamples, len(above)))
                numerators.append(above[pairs])
                denominators.append(below[pairs])
            else:
                numerators.append(_redraw(above, resamples, generator))
                denominators.append(_redraw(below, resamples, generator))
        ratios.append(pooled_mean(numerators) / pooled_mean(denominators))
    return _percentiles(np.mean(ratios, axis=0), level)


def paired_gain(
    treated: Sequence[Mapping[object, float]],
    control: Sequence[Mapping[object, float]],
    *,
    level: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> tuple[float, Interval]:
    """Mean difference treated − control over the same episodes, with its stratified bootstrap interval.

    One mapping episode → return per stratum; only pairs count. Raises ValueError where a stratum's episodes differ:
    dropping the odd ones would quietly compare different sets.
    """
    if len(treated) != len(control):
        raise ValueError(f"{len(treated)} and {len(control)} strata cannot be paired")
    differences = []
    for one, other in zip(treated, control):
        if one.keys() != other.keys():
            raise ValueError("the two methods were not run on the same episodes")
        differences.append([one[episode] - other[episode] for episode in one])
    if not differences:
        raise ValueError("no episodes to pair")
    mean = float(pooled_mean([_finite(values) for values in differences]))
    return mean, bootstrap(differences, level=level, resamples=resamples, seed=seed)


def seed_spread(strata: Sequence[Sequence[float]]) -> tuple[float, float]:
    """(between, within): the standard deviation (ddof 0) of the training seeds' means, and the root mean square of
    the standard deviations over environment seeds within each training seed. One stratum per training seed."""
    values = [_finite(stratum) for stratum in strata]
    between = float(np.std([stratum.mean() for stratum in values]))
    within = float(np.sqrt(np.mean([stratum.var() for stratum in values])))
    return between, within


def _redraw(values: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    return values[generator.integers(len(values), size=(resamples, len(values)))]


def _percentiles(values: np.ndarray, level: float) -> Interval:
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return Interval(float(low), float(high))


def _finite(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError("statistics need a sequence of at least one return")
    if not np.isfinite(array).all():
        raise ValueError("a return is not finite; capped and failed episodes have no return and must stay out")
    return array


def _positive_mean(task: str, values: Sequence[float]) -> float:
    mean = float(np.mean(_finite(values)))
    if mean <= 0:
        raise ValueError(f"{task}: the ANN's mean return is {mean:g}, a ratio to it says nothing")
    return mean
