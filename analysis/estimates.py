"""Means over episodes, with intervals over episodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from analysis.cosines import Cosines
from analysis.document import Cosine, Curve, Estimate
from evaluation import statistics


def estimate(values: Sequence[float | None]) -> Estimate | None:
    """Mean and 95 % t interval of one value per episode; episodes without one (None) are left out, and there is no
    estimate where none is left."""
    kept = [float(value) for value in values if value is not None]
    if not kept:
        return None
    low, high = statistics.difference(kept).interval or (None, None)
    return Estimate(mean=float(np.mean(kept)), low=low, high=high, values=kept)


def required(values: Sequence[float]) -> Estimate:
    """`estimate` of values that every episode has."""
    estimated = estimate(values)
    assert estimated is not None
    return estimated


def curve(episodes: Sequence[np.ndarray]) -> Curve:
    """By decision, over the decisions that all episodes [K] have. Rounded to six digits, for the file's sake."""
    count = min(map(len, episodes))
    values = np.stack([episode[:count] for episode in episodes])
    mean, half = values.mean(axis=0), statistics.half_width(values)
    return Curve(mean=rounded(mean), low=rounded(mean - half), high=rounded(mean + half))


def cosine(episodes: Sequence[Cosines]) -> Cosine:
    """Of all episodes together."""
    return Cosine(
        mean=estimate([episode.mean for episode in episodes]),
        weighted=estimate([episode.weighted for episode in episodes]),
        pairs=sum(episode.pairs for episode in episodes),
        skipped=sum(episode.skipped for episode in episodes),
    )


def cosines(episodes: Sequence[dict[str, Cosines]]) -> dict[str, Cosine]:
    """By name."""
    return {name: cosine([episode[name] for episode in episodes]) for name in episodes[0]}


def paired(
    one: Estimate, other: Estimate, combine: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.subtract
) -> Estimate:
    """Of `combine`, by default the difference one − other, episode by episode. Both must have all episodes."""
    return required(combine(np.array(one.values), np.array(other.values)).tolist())


def rounded(values: np.ndarray, digits: int = 6) -> list:
    """As nested lists, each number to so many significant digits."""
    values = np.asarray(values, np.float64)
    with np.errstate(divide="ignore"):
        magnitude = np.where(values == 0, 0, np.floor(np.log10(np.abs(values))))
    factor = 10.0 ** (digits - 1 - magnitude)
    return (np.round(values * factor) / factor).tolist()
