"""From records to numbers: what one method did on the report episodes, beside the ANN on the same ones.

A quantity has one value per episode; its mean and its interval are over episodes. How far apart two trajectories from
the same initial state are is told decision by decision.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.cosines import NAMES, Cosines, of_episode, of_shadow
from analysis.document import Chaos, Cosine, Curve, EpisodeMean, Erring, LayerErrors, Map, MethodRecord
from analysis.layers import PARTS
from analysis.trial import TrialRecord
from evaluation import statistics

_VISITED = 600  # states per policy in the map
# A coordinate that the ANN's episodes hardly move would blow up whatever moves it.
_STILL = 1e-6

# One record per report episode, in their order.
Episodes = Sequence[TrialRecord]


def method(
    alpha: float,
    led: Episodes,
    shadowed: Episodes,
    disturbed: Mapping[str, Episodes],
    names: Sequence[str],
    unit: np.ndarray,
    windows: list[list[int]],
) -> MethodRecord:
    """`led`: the converted network leads and the ANN is its shadow; `shadowed`: the other way round; `disturbed`: by
    kind; `names` of the spiking layers; `unit` of each coordinate."""
    erring, ann = _erring(led, shadowed, unit), reward_sums(shadowed)
    own = erring["reward_sum"]
    ann_on_snn, snn_on_ann = (reward_sums(episodes, "branch_rewards") for episodes in (led, shadowed))
    return MethodRecord(
        **erring,
        alpha=alpha,
        ann_on_snn=ann_on_snn,
        snn_on_ann=snn_on_ann,
        loss=paired(ann, own),
        state=paired(ann, ann_on_snn),
        action=paired(ann_on_snn, own),
        state_other=paired(snn_on_ann, own),
        action_other=paired(ann, snn_on_ann),
        consistency_on_ann=cosine([of_shadow(record) for record in shadowed]),
        error_on_ann=sizes(shadowed),
        bias=required([_bias(record.errors) for record in led]),
        growth=per_window(distances(led, shadowed, unit), windows),
        action_error=curve([np.linalg.norm(record.errors, axis=1) for record in led]),
        reward=curve([record.rewards for record in led]),
        layers=[_layer(index, name, led) for index, name in enumerate(names)],
        disturbed={kind: Erring(**_erring(episodes, shadowed, unit)) for kind, episodes in disturbed.items()},
    )


def _erring(episodes: Episodes, ann: Episodes, unit: np.ndarray) -> dict[str, Any]:
    """The fields of `Erring`."""
    return {
        "reward_sum": reward_sums(episodes),
        "error": sizes(episodes),
        "cosines": cosines(episodes),
        "distance": curve(distances(episodes, ann, unit)),
    }


def chaos(moved: Episodes, ann: Episodes, unit: np.ndarray, windows: list[list[int]]) -> Chaos:
    """`moved`: the ANN with its actions moved by one ulp."""
    apart = distances(moved, ann, unit)
    return Chaos(
        reward_sum=reward_sums(moved),
        distance=curve(apart),
        growth=per_window(apart, windows),
        unrelated=rounded(unrelated([record.coordinates for record in ann], unit)),
    )


def state_map(policies: Mapping[str, Episodes], unit: np.ndarray) -> Map:
    """`policies`: by name, the one called "ANN" among them; the trajectories are those of the first report episode."""
    states = {name: np.concatenate([record.coordinates for record in of_one]) for name, of_one in policies.items()}
    centre, axes, shares = principal_axes(states["ANN"], unit)

    def project(points: np.ndarray) -> list:
        return np.round((points - centre) / unit @ axes.T, 3).tolist()

    drawn = {name: np.linspace(0, len(some) - 1, min(_VISITED, len(some))).astype(int) for name, some in states.items()}
    return Map(
        shares=rounded(shares),
        trajectories={name: project(episodes[0].coordinates) for name, episodes in policies.items()},
        visited={name: project(states[name][places]) for name, places in drawn.items()},
    )


def reward_sums(episodes: Episodes, of: str = "rewards") -> EpisodeMean:
    """`of` "branch_rewards": for the shadow's actions in the leader's states."""
    return required([getattr(record, of).sum() for record in episodes])


def sizes(episodes: Episodes) -> EpisodeMean:
    """Root mean square of ‖δ_k‖ per episode."""
    return required([np.sqrt((record.errors**2).sum(axis=1).mean()) for record in episodes])


def distances(some: Episodes, others: Episodes, unit: np.ndarray) -> list[np.ndarray]:
    return [distance(one.coordinates, other.coordinates, unit) for one, other in zip(some, others, strict=True)]


def per_window(apart: Sequence[np.ndarray], windows: list[list[int]]) -> list[EpisodeMean]:
    """Mean distance per window; of episodes that end before it, the last distance."""
    return [
        required([float(np.mean(distance[min(first, len(distance)) - 1 : last])) for distance in apart])
        for first, last in windows
    ]


def _bias(errors: np.ndarray) -> float:
    square = float((errors**2).sum(axis=1).mean())
    return float((errors.mean(axis=0) ** 2).sum()) / square if square > 0 else 0.0


def _layer(index: int, name: str, led: Episodes) -> LayerErrors:
    neighbours = [record.residual_cosines[:, index] for record in led]
    means = [float(np.nanmean(values)) if np.isfinite(values).any() else None for values in neighbours]
    taken = [record.layers[:, index].mean(axis=0) for record in led if len(record.layers)]
    # Sizes relative to the ReLU's answer, from `analysis.layers`' numbers.
    sizes = [np.sqrt(numbers[1 : 3 + len(PARTS)] / numbers[0]) for numbers in taken if numbers[0] > 0]
    shares = [numbers[3 + len(PARTS) :] / numbers[1] for numbers in taken if numbers[0] > 0 and numbers[1] > 0]
    error, inherited, *parts = map(required, zip(*sizes)) if sizes else (None, None)
    return LayerErrors(
        name=name,
        residuals=estimate(means),
        error=error,
        inherited=inherited,
        sizes=dict(zip(PARTS, parts)),
        shares=dict(zip(PARTS, map(required, zip(*shares)))),
    )


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
    """By decision, over the decisions that all episodes [K] have."""
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


def rounded(values: np.ndarray) -> list[float]:
    """To six significant digits, for the file's sake."""
    return [float(f"{value:.6g}") for value in values]


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


def windows_of(decisions: int) -> list[list[int]]:
    """[first, last] decision of the windows that growth is summed up in, counted from 1: the first ten, on to a fifth,
    to a half and to the end of an episode of `decisions`; fewer where it is short."""
    places = (10, decisions // 5, decisions // 2, decisions)
    ends = sorted({end for end in places if min(10, decisions) <= end <= decisions})
    return [[start + 1, end] for start, end in zip([0, *ends], ends)]


def principal_axes(states: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(centre [S], axes [2, S], shares [2]): the two directions in which `states` [n, S] vary most, in their units.

    `shares`: of the variance. For a point: ((x − centre) / unit) @ axes.T. Where fewer than two coordinates move the
    missing axes are zero.
    """
    centre = states.mean(axis=0)
    _, lengths, axes = np.linalg.svd((states - centre) / unit, full_matrices=False)
    shares = np.append(lengths**2, 0.0)[:2] / max(float((lengths**2).sum()), 1e-30)
    axes = np.vstack([axes, np.zeros_like(axes)])[:2]
    # A sign is arbitrary; this one makes pictures of repeated runs agree.
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return centre, axes * np.where(largest < 0, -1.0, 1.0), shares
