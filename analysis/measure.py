"""From records to numbers: what one method did on the report episodes, beside the ANN on the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis import growth
from analysis.cosines import of_shadow
from analysis.document import Chaos, Disturbed, EpisodeMean, LayerErrors, Map, MethodRecord
from analysis.estimates import cosine, cosines, curve, estimate, paired, required, rounded
from analysis.layers import PARTS
from analysis.trial import TrialRecord

_VISITED = 600  # states per policy in the map

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
    own, ann = reward_sums(led), reward_sums(shadowed)
    ann_on_snn, snn_on_ann = branch_sums(led), branch_sums(shadowed)
    apart = distances(led, shadowed, unit)
    return MethodRecord(
        alpha=alpha,
        reward_sum=own,
        ann_on_snn=ann_on_snn,
        snn_on_ann=snn_on_ann,
        loss=paired(ann, own),
        state=paired(ann, ann_on_snn),
        action=paired(ann_on_snn, own),
        state_other=paired(snn_on_ann, own),
        action_other=paired(ann, snn_on_ann),
        cosines=cosines(led),
        consistency_on_ann=cosine([of_shadow(record) for record in shadowed]),
        error=sizes(led),
        error_on_ann=sizes(shadowed),
        bias=required([_bias(record.errors) for record in led]),
        distance=curve(apart),
        growth=per_window(apart, windows),
        action_error=curve([np.linalg.norm(record.errors, axis=1) for record in led]),
        reward=curve([record.rewards for record in led]),
        layers=[_layer(index, name, led) for index, name in enumerate(names)],
        disturbed={kind: _disturbed(episodes, shadowed, unit) for kind, episodes in disturbed.items()},
    )


def chaos(moved: Episodes, ann: Episodes, unit: np.ndarray, windows: list[list[int]]) -> Chaos:
    """`moved`: the ANN with its actions moved by one ulp."""
    apart = distances(moved, ann, unit)
    return Chaos(
        reward_sum=reward_sums(moved),
        distance=curve(apart),
        growth=per_window(apart, windows),
        unrelated=rounded(growth.unrelated([record.coordinates for record in ann], unit)),
    )


def state_map(policies: Mapping[str, Episodes], unit: np.ndarray) -> Map:
    """`policies`: by name, the one called "ANN" among them; the trajectories are those of the first report episode."""
    centre, axes, shares = growth.principal_axes(
        np.concatenate([record.coordinates for record in policies["ANN"]]), unit
    )

    def project(states: np.ndarray) -> list:
        return np.round((states - centre) / unit @ axes.T, 3).tolist()

    visited = {}
    for name, episodes in policies.items():
        states = np.concatenate([record.coordinates for record in episodes])
        visited[name] = project(states[np.linspace(0, len(states) - 1, min(_VISITED, len(states))).astype(int)])
    trajectories = {name: project(episodes[0].coordinates) for name, episodes in policies.items()}
    return Map(shares=rounded(shares), trajectories=trajectories, visited=visited)


def reward_sums(episodes: Episodes) -> EpisodeMean:
    return required([float(record.rewards.sum()) for record in episodes])


def branch_sums(episodes: Episodes) -> EpisodeMean:
    """Sums of rewards for the shadow's actions in the leader's states."""
    return required([float(record.branch_rewards.sum()) for record in episodes])


def sizes(episodes: Episodes) -> EpisodeMean:
    """Root mean square of ‖δ_k‖ per episode."""
    return required([float(np.sqrt((record.errors**2).sum(axis=1).mean())) for record in episodes])


def distances(some: Episodes, others: Episodes, unit: np.ndarray) -> list[np.ndarray]:
    return [growth.distance(one.coordinates, other.coordinates, unit) for one, other in zip(some, others, strict=True)]


def per_window(apart: Sequence[np.ndarray], windows: list[list[int]]) -> list[EpisodeMean]:
    """Mean distance per window; of episodes that end before it, the last distance."""
    return [
        required([float(np.mean(distance[min(first, len(distance)) - 1 : last])) for distance in apart])
        for first, last in windows
    ]


def _bias(errors: np.ndarray) -> float:
    square = float((errors**2).sum(axis=1).mean())
    return float((errors.mean(axis=0) ** 2).sum()) / square if square > 0 else 0.0


def _disturbed(episodes: Episodes, ann: Episodes, unit: np.ndarray) -> Disturbed:
    return Disturbed(
        reward_sum=reward_sums(episodes),
        error=sizes(episodes),
        cosines=cosines(episodes),
        distance=curve(distances(episodes, ann, unit)),
    )


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
