"""From records to numbers, on records made up so that the answers are known."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from analysis import claims, growth, measure
from analysis.document import Estimate
from analysis.estimates import curve, estimate, paired, rounded
from analysis.layers import NUMBERS, PARTS
from analysis.trial import FLIPPED, RECORDED
from tests.analysis.factories import record

UNIT = np.ones(3)
WINDOWS = [[1, 2], [3, 6]]


def episodes(count=4, **given):
    return [record(seed=seed, **given) for seed in range(count)]


def led_and_shadowed():
    """SNN-led episodes that earn 3 a decision where the ANN would have earned 4; ANN-led ones that earn 6 where the SNN
    would have earned 5."""
    led = episodes(rewards=np.full(6, 3.0), branch_rewards=np.full(6, 4.0))
    shadowed = episodes(rewards=np.full(6, 6.0), branch_rewards=np.full(6, 5.0))
    return led, shadowed


CHAOS = measure.chaos(
    episodes(coordinates=np.zeros((6, 3))), episodes(coordinates=np.full((6, 3), 1e-9)), UNIT, WINDOWS
)


def method(alpha=0.0, led=None, **disturbed):
    own, shadowed = led_and_shadowed()
    kinds = {kind: episodes(rewards=np.full(6, disturbed.get(kind, 3.5))) for kind in (*RECORDED, FLIPPED)}
    return measure.method(alpha, led or own, shadowed, kinds, ["first", "second"], UNIT, WINDOWS)


def test_the_loss_is_split_in_both_orders():
    found = method()
    means = {
        name: getattr(found, name).mean
        for name in ("reward_sum", "ann_on_snn", "snn_on_ann", "loss", "state", "action", "state_other", "action_other")
    }
    assert means == {
        "reward_sum": 18,
        "ann_on_snn": 24,
        "snn_on_ann": 30,
        "loss": 18,
        "state": 12,
        "action": 6,
        "state_other": 12,
        "action_other": 6,
    }
    assert found.loss.values == [18.0] * 4


def test_sizes_and_bias():
    errors = np.array([[0.5, 0.0], [0.5, 0.0], [-0.25, 0.0], [0.25, 0.0]], np.float32)
    some = record(4, actions=errors, reference=np.zeros_like(errors))
    assert measure.sizes([some]).mean == pytest.approx(np.sqrt((0.25 + 0.25 + 0.0625 + 0.0625) / 4))
    assert measure._bias(some.errors) == pytest.approx(0.25**2 / (0.625 / 4))


def test_layers_are_sizes_relative_to_the_relu_and_shares_of_the_squared_error():
    numbers = np.zeros((1, 2, NUMBERS))
    # relu², error², inherited², four squared parts, four products with the error.
    numbers[0, 0] = [4.0, 1.0, 0.25, 0.01, 0.25, 0.0, 0.64, 0.1, 0.2, 0.0, 0.7]
    some = record(
        layers=numbers, residual_cosines=np.array([[np.nan, np.nan], [0.5, np.nan], [0.25, np.nan]], np.float32)
    )
    layer, silent = measure._layer(0, "first", [some]), measure._layer(1, "second", [some])
    assert (layer.error.mean, layer.inherited.mean) == (0.5, 0.25)
    assert {name: one.mean for name, one in layer.sizes.items()} == pytest.approx(
        dict(zip(PARTS, (0.05, 0.25, 0.0, 0.4)))
    )
    assert {name: one.mean for name, one in layer.shares.items()} == pytest.approx(
        dict(zip(PARTS, (0.1, 0.2, 0.0, 0.7)))
    )
    assert layer.residuals.mean == pytest.approx(0.375)
    assert (silent.error, silent.residuals, silent.sizes, silent.shares) == (None, None, {}, {})


def test_growth_is_the_mean_distance_per_window():
    apart = [np.arange(1.0, 7.0), 2 * np.arange(1.0, 7.0)]
    assert [one.values for one in measure.per_window(apart, WINDOWS)] == [[1.5, 3.0], [4.5, 9.0]]
    short = [np.array([1.0, 2.0])]
    assert [one.values for one in measure.per_window(short, WINDOWS)] == [[1.5], [2.0]], (
        "an episode that has ended stays where it was"
    )


def test_a_map_keeps_distances_in_its_plane():
    flat = [dataclasses.replace(one, coordinates=one.coordinates * [3, 2, 0]) for one in episodes()]
    found = measure.state_map({"ANN": flat, "0": flat[::-1]}, UNIT)
    assert sum(found.shares) == pytest.approx(1)
    points = np.array(found.trajectories["ANN"])
    states = flat[0].coordinates
    for k in range(1, 6):
        assert np.linalg.norm(points[k] - points[0]) == pytest.approx(np.linalg.norm(states[k] - states[0]), abs=2e-3)
    assert found.trajectories["0"] != found.trajectories["ANN"] and len(found.visited["0"]) == 24


def test_estimates_are_t_intervals_of_the_episodes_that_have_a_value():
    values = [1.0, 2.0, 4.0, 9.0]
    found = estimate([1.0, None, 2.0, 4.0, 9.0])
    expected = scipy.stats.t.interval(0.95, 3, loc=4, scale=scipy.stats.sem(values))
    assert found.interval == pytest.approx(expected) and found.values == values and found.mean == 4
    assert estimate([1.0, 2.0]).interval is None
    assert estimate([None]) is None
    assert paired(found, Estimate(mean=0, low=0, high=0, values=[1.0, 1.0, 1.0, 1.0])).values == [0.0, 1.0, 3.0, 8.0]


def test_a_curve_is_a_mean_within_its_interval():
    generator = np.random.default_rng(0)
    runs = [generator.normal(size=9) + np.arange(9) for _ in range(6)]
    found = curve([*runs[:5], runs[5][:7]])
    assert len(found.mean) == 7
    np.testing.assert_allclose(found.mean, np.mean([run[:7] for run in runs], axis=0), rtol=1e-5)
    expected = estimate([run[3] for run in runs])
    assert (found.low[3], found.high[3]) == pytest.approx((expected.low, expected.high), rel=1e-5)
    short = curve(runs[:2])
    assert short.low == short.mean == short.high


def test_rounding_keeps_significant_digits():
    assert rounded(np.array([0.0, 123456.789, -1.23456789e-7])) == [0.0, 123457.0, -1.23457e-07]


def claim(values, name="beyond chaos", alpha=0.0, unit="cosine"):
    return claims._claim(method(alpha), name, "", estimate(values), unit)


@pytest.mark.parametrize(
    "values, verdict",
    [
        ([10, 11, 12], "holds"),
        ([-10, -11, -12], "contrary"),
        ([-1, 2, 0], "open"),
        ([1, 2, 3], "open"),
        ([10, 11], "open"),
        ([5], "open"),
        ([None], "open"),
    ],
)
def test_a_verdict_follows_the_t_test_from_three_episodes_on(values, verdict):
    assert claims.judged([claim(values)])[0].verdict == verdict


def test_verdicts_allow_for_how_many_claims_are_tried():
    values = [0.5, 1.5, 1.0, 2.0, 0.4]  # p = 0.018
    assert claims.judged([claim(values)])[0].verdict == "holds"
    [first, *others] = claims.judged([claim(values), *(claim([-1, 2, 0]) for _ in range(4)), claim([None])])
    assert first.verdict == "open" and first.adjusted == pytest.approx(5 * first.p)
    assert [one.adjusted for one in others[:-1]] == [1.0] * 4 and others[-1].adjusted is None


def test_where_some_episodes_fail_no_difference_of_returns_is_judged_by_a_few():
    failing = [record(rewards=np.full(6, reward), seed=seed) for seed, reward in enumerate((4.0, 0.1, 4.0, 4.1))]
    told = {one.name: one for one in claims.of_method(method(led=failing), method(), CHAOS, "return")}
    assert told["loss"].p is None and told["growing drift"].p is not None
    assert claims.judged([told["loss"]])[0].verdict == "open"


def test_claims_of_a_loss_that_is_the_states():
    plain = method(shuffled=5.0, flipped=2.0)
    found = {claim.name: claim for claim in claims.of_analysis([plain], CHAOS, "return")}
    assert found["loss"].verdict == "holds" and found["loss"].value.mean == 18
    for order in ("states first", "actions first"):
        assert (
            found[f"state-dominated, {order}"].verdict == "holds" and found[f"state-dominated, {order}"].value.mean == 6
        )
    assert found["not magnitude: shuffled"].value.mean == 12 and found["not magnitude: shuffled"].verdict == "holds"
    assert found["not magnitude: flipped"].verdict == "contrary" and found["not magnitude: flipped"].value.mean == -6
    assert "CRPI raises return" not in found
    better = method(0.5, led=episodes(rewards=np.full(6, 7.0), branch_rewards=np.full(6, 4.0)))
    found = {claim.name: claim for claim in claims.judged(claims.of_method(better, plain, CHAOS, "return"))}
    assert found["CRPI raises return"].value.mean == 24 and found["CRPI raises return"].verdict == "holds"
    assert found["CRPI helps by order"].value.mean == 42 - 21 and "positive drift" not in found
    assert found["loss"].verdict == "contrary" and found["state-dominated, states first"].verdict == "moot"


def test_drift_claims_compare_first_and_last_window():
    windows = [Estimate(mean=0, low=0, high=0, values=[1e-3, 1e-2]), Estimate(mean=0, low=0, high=0, values=[1.0, 1.0])]
    assert claims.growing(windows).values == pytest.approx([3.0, 2.0])
    assert claims.growing(
        [Estimate(mean=0, low=0, high=0, values=[0.0]), Estimate(mean=0, low=0, high=0, values=[0.0])]
    ).values == [0.0]


def test_trajectories_of_different_length_are_compared_while_both_last():
    assert len(growth.distance(np.zeros((4, 3)), np.ones((6, 3)), UNIT)) == 4
