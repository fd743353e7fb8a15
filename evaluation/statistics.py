"""Statistics of returns: means, gains over the same initial states, performance ratios, each with an interval that
holds.

docs/report.md says which interval stands where, and why. All are of 95 %. Episodes are never pooled
blindly: a *stratum* is one (task, training seed), whose episodes vary around a mean of their own.
"""

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.stats

LEVEL = 0.95
# Below SMALLEST episodes there is no interval; below ENOUGH it is marked, since a failure that one episode in ten has
# may well not be among them.
SMALLEST, ENOUGH = 3, 10
FEW, BIMODAL = "few", "bimodal"

# Returns per stratum, or by episode per stratum, so that they can be paired. `ByTask`: the strata of each task.
Strata = Sequence[Sequence[float]]
PairedStrata = Sequence[Mapping[Hashable, float]]
ByTask = Mapping[str, Strata]
_Part = tuple[float, int]  # what a stratum adds to a statistic's variance, and on how many degrees of freedom it rests


class Interval(NamedTuple):
    """A two-sided interval, in the statistic's own unit."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A number over episodes with its 95 % interval.

    interval  None where none holds: below `SMALLEST` episodes, or below `ENOUGH` where the returns are bimodal
    n         episodes; of a number over tasks, those of the task with the fewest
    mark      "bimodal": some episodes earn less than half of the mean, so that the interval hangs on how many of them
              there happen to be; "few": below `ENOUGH` episodes; "" otherwise
    p         two-sided, that nothing differs, for what compares two methods; None where there is no interval
    """

    value: float
    interval: Interval | None
    n: int
    mark: str = ""
    p: float | None = None


def half_std(values: Sequence[float]) -> float:
    """Half the standard deviation with ddof 0: the ± of the paper's tables (our reading).

    `values`: [episodes]. Raises ValueError where there are none.
    """
    return 0.5 * float(np.std(_finite(values)))


def mean(strata: Strata) -> Estimate:
    """Mean over all episodes of all strata. Raises ValueError for no episodes or a return that is not finite.

    Few returns that are skewed, as those near a task's highest are, seldom show their tail: of the t interval and
    Hall's (1992), which corrects it for the skewness seen, each end is the outer one.
    """
    arrays = _pooled([_finite(values) for values in strata])
    estimate = _estimate(float(np.concatenate(arrays).mean()), _parts(arrays), [arrays])
    error = float(np.sqrt(sum(variance for variance, _ in _parts(arrays))))
    if estimate.interval is None or error == 0 or min(map(len, arrays)) < SMALLEST:
        return estimate
    # Hall's cubic has the skewness of the mean.
    skewness = float(sum(len(a) * scipy.stats.kstat(a, 3) for a in arrays)) / (sum(map(len, arrays)) * error) ** 3
    if skewness == 0:
        return estimate

    def hall(quantile: float) -> float:
        root = float(np.cbrt(1 + skewness * (quantile - skewness / 6)))
        return estimate.value - error * 3 / skewness * (root - 1)

    low, high = estimate.interval
    quantile = (high - low) / 2 / error
    return replace(estimate, interval=Interval(min(low, hall(quantile)), max(high, hall(-quantile))))


def interquartile_mean(strata: Strata) -> Estimate:
    """Mean of the middle half of all episodes of all strata, floor(n / 4) cut off at each end (Agarwal et al. 2021).

    The interval is Tukey and McLaughlin's (1963), from the winsorised variance. Strata are pooled for it, which can
    only make it wider.
    """
    arrays = [_finite(values) for values in strata]
    values = np.sort(np.concatenate(arrays))
    cut = len(values) // 4
    kept = len(values) - 2 * cut
    winsorised = np.clip(values, values[cut], values[-1 - cut])
    variance = float(((winsorised - winsorised.mean()) ** 2).sum()) / (kept * max(kept - 1, 1))
    return _estimate(float(scipy.stats.trim_mean(values, 0.25)), [(variance, kept - 1)], [arrays])


def difference(values: Sequence[float]) -> Estimate:
    """Mean of one value per episode that is no return, such as a difference or a cosine, tested against 0."""
    array = _finite(values)
    return _interval(float(array.mean()), _parts([array]), len(array), FEW if len(array) < ENOUGH else "", 0.0)


def half_width(values: np.ndarray) -> np.ndarray:
    """[...]: half of the t interval of the mean over the first axis of [n, ...]; 0 below `SMALLEST`."""
    n = len(values)
    if n < SMALLEST:
        return np.zeros(values.shape[1:])
    return scipy.stats.t.ppf(0.5 + LEVEL / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)


def bimodal(returns: Sequence[float] | np.ndarray) -> bool:
    """Whether some episodes earn less than half of the mean."""
    values = np.asarray(returns)
    return bool(values.mean() > 0 and (values < values.mean() / 2).any())


def gain(treated: PairedStrata, control: PairedStrata) -> Estimate:
    """Mean difference treated − control over the same episodes: a paired t test, stratified.

    Raises ValueError where a stratum's episodes differ: dropping the odd ones would quietly compare different sets.
    """
    pairs = _pairs(treated, control)
    differences = [one - other for one, other in pairs]
    return _estimate(float(np.concatenate(differences).mean()), _parts(differences), list(zip(*pairs)), null=0.0)


def average_performance_ratio(snn: ByTask, ann: ByTask) -> Estimate | None:
    """APR: the mean over tasks of (mean SNN return / mean ANN return), as a fraction (the paper prints percent).

    Over the tasks whose ANN's mean return is positive, None where there is none: a ratio to 0 says nothing. The
    interval is the delta method's with Satterthwaite's degrees of freedom. SNN and ANN episodes of a stratum are paired
    where there are as many of both. Raises ValueError where the two are not of the same tasks.
    """
    returns = {task: [_finite(values) for values in strata] for task, strata in snn.items()}
    return _ratio(returns, {task: [strata] for task, strata in returns.items()}, ann)


def apr_gain(treated: Mapping[str, PairedStrata], control: Mapping[str, PairedStrata], ann: ByTask) -> Estimate | None:
    """The difference of two methods' APRs, over the same episodes. Raises as `gain` and `average_performance_ratio`
    do."""
    pairs = {task: _pairs(strata, control[task]) for task, strata in treated.items()}
    differences = {task: [one - other for one, other in strata] for task, strata in pairs.items()}
    return _ratio(differences, {task: list(zip(*strata)) for task, strata in pairs.items()}, ann, null=0.0)


def _ratio(
    numerators: Mapping[str, list[np.ndarray]],
    returns: Mapping[str, Sequence[Sequence[np.ndarray]]],
    ann: ByTask,
    null: float | None = None,
) -> Estimate | None:
    """Mean over tasks of mean numerator / mean ANN return; `returns`: those that the numerators are of."""
    if numerators.keys() != ann.keys():
        raise ValueError(f"SNN and ANN must cover the same tasks, found {sorted(numerators)} and {sorted(ann)}")
    denominators = {task: [_finite(values) for values in ann[task]] for task in sorted(ann)}
    tasks = [task for task, below in denominators.items() if np.concatenate(below).mean() > 0]
    ratios, parts, samples = [], [], []
    for task in tasks:
        above, below = numerators[task], denominators[task]
        level = float(np.concatenate(below).mean())
        ratio = float(np.concatenate(above).mean()) / level
        if [len(values) for values in above] == [len(values) for values in below]:
            parts += _parts([(one - ratio * other) / level for one, other in zip(above, below)], len(tasks))
        else:
            parts += _parts([one / level for one in above], len(tasks))
            parts += _parts([ratio * other / level for other in below], len(tasks))
        ratios.append(ratio)
        samples += [*returns[task], below]
    return _estimate(float(np.mean(ratios)), parts, samples, null) if tasks else None


def probability_of_improvement(treated: Mapping[str, PairedStrata], control: Mapping[str, PairedStrata]) -> Estimate:
    """Mean over tasks of the probability that an episode of `treated` earns more than one of `control`, equal returns
    counting half (Agarwal et al. 2021). The interval is DeLong's (1988), over the same episodes; there is none where
    one method always earns more. `p`: that the probability is 1/2.
    """
    values, parts, samples = [], [], []
    for task, strata in treated.items():
        pairs, placements = _pairs(strata, control[task]), []
        for one, other in pairs:
            wins = (one[:, None] > other) + 0.5 * (one[:, None] == other)
            # An episode's own part in the mean of all wins: as the treated one and as the control.
            placements.append(wins.mean(axis=1) + wins.mean(axis=0) - wins.mean())
        values.append(np.concatenate(placements).mean())
        parts += _parts(placements, len(treated))
        samples += list(zip(*pairs))
    estimate = _estimate(float(np.mean(values)), parts, samples, null=0.5)
    low, high = estimate.interval or (0.0, 0.0)
    if low == high:
        return replace(estimate, interval=None, p=None)
    return replace(estimate, interval=Interval(max(low, 0.0), min(high, 1.0)))


def performance_profile(relative: ByTask, thresholds: Sequence[float]) -> np.ndarray:
    """[len(thresholds)]: mean over tasks of the share of episodes whose relative return is above each threshold."""
    tasks = [np.concatenate([_finite(values) for values in strata]) for strata in relative.values()]
    return np.mean([(values[:, None] > np.asarray(thresholds)).mean(axis=0) for values in tasks], axis=0)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) adjustment of several p for their number, in their order; what is None stays so and doesn't
    count."""
    ascending = sorted(p for p in ps if p is not None)
    times = [min(1.0, (len(ascending) - place) * p) for place, p in enumerate(ascending)]
    adjusted = dict(zip(ascending, itertools.accumulate(times, max)))
    return [None if p is None else adjusted[p] for p in ps]


def seed_spread(strata: Strata) -> tuple[float, float]:
    """(between, within): the standard deviation (ddof 0) of the training seeds' means, and the root mean square of
    the standard deviations over environment seeds within each training seed. One stratum per training seed."""
    values = [_finite(stratum) for stratum in strata]
    between = float(np.std([stratum.mean() for stratum in values]))
    return between, float(np.sqrt(np.mean([stratum.var() for stratum in values])))


def _pairs(treated: PairedStrata, control: PairedStrata) -> list[tuple[np.ndarray, np.ndarray]]:
    """By stratum, the returns of both over the same episodes."""
    if [one.keys() for one in treated] != [other.keys() for other in control]:
        raise ValueError("the two methods were not run on the same episodes")
    pairs = zip(treated, control)
    return [(_finite(list(one.values())), _finite([other[episode] for episode in one])) for one, other in pairs]


def _pooled(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """As one stratum, where one alone is too short to vary."""
    return [np.concatenate(arrays)] if min(map(len, arrays)) < 2 else arrays


def _parts(arrays: Sequence[np.ndarray], tasks: int = 1) -> list[_Part]:
    """Of the mean over all episodes of several strata, as one of so many tasks' means."""
    arrays = _pooled(arrays)
    total = sum(map(len, arrays)) * tasks
    return [(len(a) * float(a.var(ddof=1)) / total**2, len(a) - 1) for a in arrays if len(a) > 1]


def _estimate(
    value: float, parts: Sequence[_Part], samples: Sequence[Sequence[np.ndarray]], null: float | None = None
) -> Estimate:
    """`samples`: the returns behind it, the strata of each method and task."""
    n = min(sum(map(len, strata)) for strata in samples)
    fails = any(bimodal(returns) for strata in samples for returns in strata)
    mark = BIMODAL if fails else FEW if n < ENOUGH else ""
    return _interval(value, parts, n, mark, null)


def _interval(value: float, parts: Sequence[_Part], n: int, mark: str, null: float | None) -> Estimate:
    if n < SMALLEST or (mark == BIMODAL and n < ENOUGH):
        return Estimate(value, None, n, mark)
    variance = sum(part for part, _ in parts)
    if variance == 0:
        p = None if null is None else float(value == null)
        return Estimate(value, Interval(value, value), n, mark, p)
    # Of shares, since the squares of tiny variances are 0.
    freedom = 1 / sum((part / variance) ** 2 / of_part for part, of_part in parts)
    error = float(np.sqrt(variance))
    half = float(scipy.stats.t.ppf(0.5 + LEVEL / 2, freedom)) * error
    p = None if null is None else float(2 * scipy.stats.t.sf(abs(value - null) / error, freedom))
    return Estimate(value, Interval(value - half, value + half), n, mark, p)


def _finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError("statistics need a sequence of at least one return")
    if not np.isfinite(array).all():
        raise ValueError("a return is not finite; capped and failed episodes have no return and must stay out")
    return array
