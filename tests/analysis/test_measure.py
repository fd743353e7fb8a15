"""From records to numbers, on records made up so that the answers are known."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st

from analysis import claims, cosines, measure
from analysis.document import EpisodeMean
from analysis.layers import NUMBERS, PARTS
from analysis.measure import curve, estimate, paired, rounded
from analysis.trial import FLIPPED, RECORDED
from tests.analysis.factories import record

GENERATOR = np.random.default_rng(3)
WALKS = [GENERATOR.normal(size=(40, 3)).cumsum(axis=0) * [1.0, 100.0, 0.0] + [0, 0, 7.0] for _ in range(4)]

UNIT = np.ones(3)
WINDOWS = [[1, 2], [3, 6]]


def episodes(**given):
    return [record(seed=seed, **given) for seed in range(4)]


def earning(reward, other):
    """Episodes whose leader earns `reward` a decision, where the shadow would have earned `other`."""
    return episodes(rewards=np.full(6, reward), branch_rewards=np.full(6, other))


def means(*values):
    """As an analysis' file has them, whatever their interval."""
    return EpisodeMean(mean=0, low=0, high=0, values=list(values))


CHAOS = measure.chaos(
    episodes(coordinates=np.zeros((6, 3))), episodes(coordinates=np.full((6, 3), 1e-9)), UNIT, WINDOWS
)


def method(alpha=0.0, led=None, **disturbed):
    """The SNN leads and earns 3 a decision where the ANN would have earned 4; the ANN leads and earns 6 where the SNN
    would have earned 5."""
    kinds = {kind: earning(disturbed.get(kind, 3.5), 4.0) for kind in (*RECORDED, FLIPPED)}
    names = ["first", "second"]
    return measure.method(alpha, led or earning(3.0, 4.0), earning(6.0, 5.0), kinds, names, UNIT, WINDOWS)


def test_the_loss_is_split_in_both_orders():
    found = method()
    names = ("reward_sum", "ann_on_snn", "snn_on_ann", "loss", "state", "action", "state_other", "action_other")
    assert [getattr(found, name).mean for name in names] == [18, 24, 30, 18, 12, 6, 12, 6]
    assert found.loss.values == [18.0] * 4


def test_sizes_and_bias():
    errors = np.array([[0.5, 0.0], [0.5, 0.0], [-0.25, 0.0], [0.25, 0.0]], np.float32)
    erring = [record(4, actions=errors, reference=np.zeros_like(errors))] * 2
    found = measure.method(0.0, erring, erring, {}, [], UNIT, WINDOWS)
    assert found.error.mean == pytest.approx(np.sqrt((0.25 + 0.25 + 0.0625 + 0.0625) / 4))
    assert found.bias.mean == pytest.approx(0.25**2 / (0.625 / 4))


def test_layers_are_sizes_relative_to_the_relu_and_shares_of_the_squared_error():
    numbers = np.zeros((1, 2, NUMBERS))
    # relu², error², inherited², four squared parts, four products with the error.
    numbers[0, 0] = [4.0, 1.0, 0.25, 0.01, 0.25, 0.0, 0.64, 0.1, 0.2, 0.0, 0.7]
    cosines = np.full((6, 2), np.nan, np.float32)
    cosines[[1, 2], 0] = [0.5, 0.25]
    layer, silent = method(led=episodes(layers=numbers, residual_cosines=cosines)).layers
    assert (layer.error.mean, layer.inherited.mean) == (0.5, 0.25)
    for found, expected in ((layer.sizes, (0.05, 0.25, 0.0, 0.4)), (layer.shares, (0.1, 0.2, 0.0, 0.7))):
        assert {name: one.mean for name, one in found.items()} == pytest.approx(dict(zip(PARTS, expected)))
    assert layer.residuals.mean == pytest.approx(0.375)
    assert (silent.error, silent.residuals, silent.sizes, silent.shares) == (None, None, {}, {})


@pytest.mark.parametrize(
    "apart, expected",
    [
        ([np.arange(1.0, 7.0), 2 * np.arange(1.0, 7.0)], [[1.5, 3.0], [4.5, 9.0]]),
        ([np.array([1.0, 2.0])], [[1.5], [2.0]]),  # an episode that has ended stays where it was
    ],
)
def test_growth_is_the_mean_distance_per_window(apart, expected):
    assert [one.values for one in measure.per_window(apart, WINDOWS)] == expected


def test_a_map_keeps_distances_in_its_plane():
    flat = [dataclasses.replace(one, coordinates=one.coordinates * [3, 2, 0]) for one in episodes()]
    found = measure.state_map({"ANN": flat, "0": flat[::-1]}, UNIT)
    assert sum(found.shares) == pytest.approx(1)
    points, states = np.array(found.trajectories["ANN"]), flat[0].coordinates
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
    assert paired(found, means(1.0, 1.0, 1.0, 1.0)).values == [0.0, 1.0, 3.0, 8.0]


def test_a_curve_is_a_mean_within_its_interval():
    runs = [np.random.default_rng(seed).normal(size=9) + np.arange(9) for seed in range(6)]
    found = curve([*runs[:5], runs[5][:7]])
    assert len(found.mean) == 7
    np.testing.assert_allclose(found.mean, np.mean([run[:7] for run in runs], axis=0), rtol=1e-5)
    expected = estimate([run[3] for run in runs])
    assert (found.low[3], found.high[3]) == pytest.approx((expected.low, expected.high), rel=1e-5)
    short = curve(runs[:2])
    assert short.low == short.mean == short.high


def test_rounding_keeps_significant_digits():
    assert rounded(np.array([0.0, 123456.789, -1.23456789e-7])) == [0.0, 123457.0, -1.23457e-07]


def claim(values):
    """Of the ANN's correction, whose opposite must be positive."""
    some = method()
    cosine = some.cosines["correction"].model_copy(update={"mean": estimate([v and -v for v in values])})
    changed = some.model_copy(update={"cosines": some.cosines | {"correction": cosine}})
    told = claims.of_method(changed, changed, CHAOS, "return")
    return next(one for one in told if one.name == "counter-correction")


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
    # It is no other way round: what the network is compared with fails.
    told = {one.name: one for one in claims.of_method(method(0.5), method(led=failing), CHAOS, "return")}
    assert told["CRPI raises return"].p is None and told["loss"].p is not None
    noisy = method()
    noisy.disturbed[FLIPPED].reward_sum = method(led=failing).reward_sum
    told = {one.name: one for one in claims.of_method(noisy, noisy, CHAOS, "return")}
    assert told["not magnitude: flipped"].p is None and told["not magnitude: shuffled"].p is not None


def test_cosines_of_different_episodes_are_not_subtracted():
    """The first episode has none on one side, the last on the other: as many values, but of other episodes."""
    plain, better = method(), method(0.5)
    plain.cosines["drift"].mean, better.cosines["drift"].mean = (
        estimate(values) for values in ([None, 0.1, 0.5, 0.9], [0.1, 0.5, 0.9, None])
    )
    told = {one.name: one.value for one in claims.of_method(better, plain, CHAOS, "return")}
    assert told["CRPI lowers drift"] is None and told["CRPI lowers consistency"] is not None


def test_claims_of_a_loss_that_is_the_states():
    plain = method(shuffled=5.0, flipped=2.0)
    better = method(0.5, led=earning(7.0, 4.0))
    of_plain, of_crpi = (
        {claim.name: (claim.verdict, claim.value.mean) for claim in told if claim.value}
        for told in (
            claims.of_analysis([plain], CHAOS, "return"),
            claims.judged(claims.of_method(better, plain, CHAOS, "return")),
        )
    )
    assert of_plain["loss"] == ("holds", 18)
    assert of_plain["state-dominated, states first"] == of_plain["state-dominated, actions first"] == ("holds", 6)
    assert of_plain["not magnitude: shuffled"] == ("holds", 12)
    assert of_plain["not magnitude: flipped"] == ("contrary", -6)
    assert of_crpi["CRPI raises return"] == ("holds", 24)
    assert of_crpi["CRPI helps by order"][1] == 42 - 21
    assert of_crpi["loss"][0] == "contrary" and of_crpi["state-dominated, states first"][0] == "moot"
    assert "CRPI raises return" not in of_plain and "positive drift" not in of_crpi


@pytest.mark.parametrize("first, last, expected", [((1e-3, 1e-2), (1.0, 1.0), [3.0, 2.0]), ((0.0,), (0.0,), [0.0])])
def test_drift_claims_compare_first_and_last_window(first, last, expected):
    some = method().model_copy(update={"growth": [means(*first), means(*last)]})
    unmoved = CHAOS.model_copy(update={"growth": [means(*last)]})
    told = {one.name: one.value for one in claims.of_method(some, some, unmoved, "return")}
    assert told["growing drift"].values == pytest.approx(expected)


def test_a_distance_is_counted_in_the_spread_of_each_coordinate_that_moves():
    unit = measure.scale(WALKS)
    spread = np.concatenate(WALKS).std(axis=0)
    one, other = WALKS[0].copy(), WALKS[1][:30].copy()
    other[:, 2] = 9.0  # stands still in all that the unit was taken from
    found = measure.distance(one, other, unit)
    assert found.shape == (30,)
    for k in range(30):
        squares = [((one[k, s] - other[k, s]) / spread[s]) ** 2 for s in (0, 1)]
        assert found[k] == pytest.approx(np.sqrt(np.mean(squares)))
    assert (measure.distance(one, one, unit) == 0).all()


def test_where_nothing_moves_nothing_is_apart():
    still = np.ones((5, 2))
    assert (measure.distance(still, still + 1, measure.scale([still])) == 0).all()


def test_unrelated_episodes_are_as_far_apart_as_their_pairs_on_average():
    unit = measure.scale(WALKS)
    pairs = [measure.distance(WALKS[i], WALKS[j], unit) for i in range(4) for j in range(i)]
    np.testing.assert_allclose(measure.unrelated(WALKS, unit), np.mean(pairs, axis=0))


@given(st.integers(1, 1200))
@example(500)
def test_windows_cover_an_episode_without_gap_or_overlap(decisions):
    windows = measure.windows_of(decisions)
    covered = [k for first, last in windows for k in range(first, last + 1)]
    assert covered == list(range(1, decisions + 1)) and windows[0][1] == min(10, decisions) and len(windows) <= 4
    assert decisions != 500 or windows == [[1, 10], [11, 100], [101, 250], [251, 500]]


def test_principal_axes_are_the_covariances_eigenvectors():
    states = np.concatenate(WALKS)[:, :2] @ np.array([[1.0, 0.3, 2.0], [0.0, 1.0, -1.0]])
    unit = np.array([1.0, 2.0, 5.0])
    centre, axes, shares = measure.principal_axes(states, unit)
    values, vectors = np.linalg.eigh(np.cov(((states - states.mean(axis=0)) / unit).T))
    np.testing.assert_allclose(np.abs(axes @ vectors[:, [2, 1]]), np.eye(2), atol=1e-9)
    np.testing.assert_allclose(shares, values[[2, 1]] / values.sum(), atol=1e-9)
    assert (np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1) > 0).all()


def test_a_single_coordinate_has_one_axis():
    _, axes, shares = measure.principal_axes(np.arange(5.0)[:, None], np.ones(1))
    np.testing.assert_allclose(axes, [[1], [0]])
    np.testing.assert_allclose(shares, [1, 0])


# ---- Table 1's quantities against their definitions ----


def by_hand(some):
    """Eqs. 31-33, one pair at a time."""
    found = {name: [] for name in cosines.NAMES}
    actions, reference, after = (np.array(a, float) for a in (some.actions, some.reference, some.after))
    for k in range(len(actions) - 1):
        delta, counterfactual = actions[k] - reference[k], reference[k + 1]
        others = (counterfactual - after[k], actions[k + 1] - counterfactual, actions[k + 1] - after[k])
        for name, other in zip(cosines.NAMES, others):
            sizes = np.sqrt(sum(delta**2)), np.sqrt(sum(other**2))
            if min(sizes) >= 1e-8 and (name == "consistency" or some.branched[k]):
                product, norms = sum(delta * other), sizes[0] * sizes[1]
                found[name].append((product / norms, product, norms))
    return found


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 9))
def test_against_the_definitions(seed, actions, decisions):
    some = record(decisions, actions, seed=seed)
    found = cosines.of_episode(some)
    for name, pairs in by_hand(some).items():
        assert found[name].mean == pytest.approx(np.mean([pair[0] for pair in pairs]))
        assert found[name].weighted == pytest.approx(sum(pair[1] for pair in pairs) / sum(pair[2] for pair in pairs))
        assert (found[name].pairs, found[name].skipped) == (decisions - 1, 0)


def test_pairs_without_a_direction_or_a_branch_are_skipped_and_counted():
    some = record(6, branched=np.array([True, True, True, False, True, True]))
    some.reference[2] = some.actions[2]  # no error at decision 2: it is the first of one pair, the second of another
    found = cosines.of_episode(some)
    assert {(found[name].pairs, found[name].skipped) for name in ("consistency", "drift")} == {(5, 2)}
    for name, pairs in by_hand(some).items():
        assert found[name].mean == pytest.approx(np.mean([pair[0] for pair in pairs]))
    some.reference[:] = some.actions
    assert cosines.of_episode(some)["drift"] == cosines.Cosines(None, None, 5, 5), "where nothing errs there is none"


@pytest.mark.parametrize("sign", [1, -1])
def test_errors_that_repeat_are_consistent_and_errors_that_alternate_are_not(sign):
    reference = np.zeros((8, 2), np.float32)
    actions = np.array([[0.25, -0.5]], np.float32) * np.float32(sign) ** np.arange(8)[:, None]
    some = record(8, reference=reference, actions=actions, after=reference)
    found = cosines.of_episode(some)
    assert found["consistency"].mean == pytest.approx(sign) and found["drift"].mean == pytest.approx(sign)
    assert found["correction"].mean is None
    # The same errors as a shadow's: what leads and what is led changes no sign.
    swapped = dataclasses.replace(some, actions=reference, reference=actions)
    assert cosines.of_shadow(swapped).mean == pytest.approx(sign)
