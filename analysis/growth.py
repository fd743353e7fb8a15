"""How far apart two trajectories from the same initial state are, decision by decision."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

# A coordinate that the ANN's episodes hardly move would blow up whatever moves it.
_STILL = 1e-6


def scale(trajectories: Sequence[np.ndarray]) -> np.ndarray:
    """The unit of each coordinate: its standard deviation over all states of the trajectories [K, S]; infinite for
    coordinates that stand still, which then count for nothing."""
    spread = np.concatenate(trajectories).std(axis=0)
    return np.where(spread > _STILL, spread, np.inf)


def distance(one: np.ndarray, other: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """[min K]: root mean square difference of the coordinates that move, in their units, at equal decision index."""
    count = min(len(one), len(other))
    moving = np.isfinite(unit)
    if not moving.any():
        return np.zeros(count)
    difference = (one[:count, moving] - other[:count, moving]) / unit[moving]
    return np.sqrt((difference**2).mean(axis=1))


def unrelated(trajectories: Sequence[np.ndarray], unit: np.ndarray) -> np.ndarray:
    """[min K]: mean distance of trajectories from different initial states: about as far apart as two can be."""
    pairs = [distance(one, other, unit) for one, other in itertools.combinations(trajectories, 2)]
    count = min(map(len, pairs))
    return np.mean([pair[:count] for pair in pairs], axis=0)


def windows(decisions: int) -> list[tuple[int, int]]:
    """(first, last) decision of the windows that growth is summed up in, counted from 1: the first ten, on to a fifth,
    to a half and to the end of an episode of `decisions`; fewer where it is short."""
    ends = sorted({min(10, decisions), decisions // 5, decisions // 2, decisions})
    ends = [end for end in ends if end >= min(10, decisions)]
    return [(start + 1, end) for start, end in zip([0, *ends], ends)]


def principal_axes(states: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(centre [S], axes [2, S], shares [2]): the two directions in which `states` [n, S] vary most, in their units.

    `shares`: of the variance. For a point: ((x − centre) / unit) @ axes.T. Where fewer than two coordinates move the
    missing axes are zero.
    """
    centre = states.mean(axis=0)
    _, lengths, axes = np.linalg.svd((states - centre) / unit, full_matrices=False)
    shares = lengths**2 / max(float((lengths**2).sum()), 1e-30)
    kept, part = np.zeros((2, states.shape[1])), np.zeros(2)
    count = min(2, len(lengths))
    kept[:count], part[:count] = axes[:count], shares[:count]
    # A sign is arbitrary; this one makes pictures of repeated runs agree.
    largest = np.take_along_axis(kept, np.abs(kept).argmax(axis=1)[:, None], axis=1)
    return centre, kept * np.where(largest < 0, -1.0, 1.0), part
