"""Means over episodes, with intervals over episodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from analysis.cosines import NAMES, Cosines, of_episode
from analysis.document import Cosine, Curve, EpisodeMean
from analysis.trial import TrialRecord
from evaluation import statistics


def estimate(values: Sequence[float | None]) -> EpisodeMean | None:
    """Mean and 95 % t interval of one value per episode; episodes without one (None) are left out, and there is no
    estimate where none is left."""
    kept = [value for value in values if value is not None]
    return required(kept) if kept else None


def required(values: Sequence[float]) -> EpisodeMean:
    """`estimate` of values that every episode has."""
    kept = [float(value) for value in values]
    low, high = statistics.difference(kept).interval or (None, None)
    return EpisodeMean(mean=float(np.mean(kept)), low=low, high=high, values=kept)


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


def cosines(episodes: Sequence[TrialRecord]) -> dict[str, Cosine]:
    """By name, of leaders that err and a shadow that is the ANN."""
    by_episode = [of_episode(record) for record in episodes]
    return {name: cosine([found[name] for found in by_episode]) for name in NAMES}


def paired(
    one: EpisodeMean, other: EpisodeMean, combine: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.subtract
) -> EpisodeMean:
    """Of `combine`, by default the difference one − other, episode by episode. Both must have all episodes."""
    return required(combine(np.array(one.values), np.array(other.values)).tolist())


def rounded(values: np.ndarray, digits: int = 6) -> list:
    """As nested lists, each number to so many significant digits."""
    values = np.asarray(values, np.float64)
    with np.errstate(divide="ignore"):
        magnitude = np.where(values == 0, 0, np.floor(np.log10(np.abs(values))))
    factor = 10.0 ** (digits - 1 - magnitude)
    return (np.round(values * factor) / factor).tolist()
