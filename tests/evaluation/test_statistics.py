"""Statistics against scipy, closed forms and the paper's own table."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evaluation import statistics

finite = st.floats(-1e3, 1e3, allow_nan=False)


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=30), elements=finite))
def test_interquartile_mean_is_scipys_trimmed_mean(values):
    expected = scipy.stats.trim_mean(values, 0.25, axis=-1)
    np.testing.assert_allclose(statistics.interquartile_mean(values), expected, rtol=1e-9, atol=1e-9)


def test_half_std_has_no_degrees_of_freedom_taken_off():
    assert statistics.half_std([1.0, 3.0]) == 0.5
    assert statistics.half_std([7.0]) == 0.0


@pytest.mark.parametrize(
    "statistic, oracle",
    [
        (statistics.pooled_mean, np.mean),
        (statistics.pooled_iqm, lambda x, axis: scipy.stats.trim_mean(x, 0.25, axis=axis)),
    ],
)
def test_interval_of_one_stratum_is_scipys_percentile_bootstrap(statistic, oracle):
    values = np.random.default_rng(3).gamma(2.0, 100.0, size=40)
    ours = statistics.bootstrap([values], statistic, resamples=20000, seed=1)
    theirs = scipy.stats.bootstrap(
        (values,), oracle, method="percentile", n_resamples=20000, random_state=2, vectorized=True
    )
    np.testing.assert_allclose(ours, theirs.confidence_interval, rtol=0.02)


def test_strata_are_drawn_from_themselves():
    # Drawing over both strata at once would move the mean by hundreds; within each there is nothing to vary.
    assert statistics.bootstrap([[0.0] * 5, [1000.0] * 5]) == (500.0, 500.0)


def test_interval_of_strata_has_the_variance_of_a_stratified_mean():
    generator = np.random.default_rng(0)
    strata = [generator.normal(0, 1, 200), generator.normal(500, 30, 100)]
    weights = [200 / 300, 100 / 300]
    error = np.sqrt(sum(w**2 * s.var() / len(s) for w, s in zip(weights, strata)))
    low, high = statistics.bootstrap(strata, resamples=20000)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.03)


# Table 3 of Xu et al. 2026: the ANN's row, and mean returns with the printed APR.
_ANN = [225, 880, 733, 976, 751, 929]
_ROWS = [
    ([57, 563, 240, 606, 295, 197], 40.77),
    ([167, 823, 411, 831, 752, 334], 74.19),
    ([93, 843, 494, 896, 643, 331], 69.60),
    ([223, 867, 642, 940, 774, 617], 91.84),
    ([216, 853, 612, 913, 772, 551], 88.72),
    ([248, 853, 637, 933, 774, 787], 96.27),
    ([217, 879, 714, 963, 758, 907], 98.50),
    ([237, 879, 728, 972, 781, 933], 101.41),
    ([210, 878, 558, 952, 752, 947], 94.85),
    ([244, 878, 701, 954, 783, 947], 101.30),
    ([215, 877, 620, 969, 749, 899], 95.97),
    ([248, 877, 660, 969, 768, 939], 100.43),
    (_ANN, 100.0),
]


@pytest.mark.parametrize("returns, printed", _ROWS)
def test_average_performance_ratio_of_the_papers_rows(returns, printed):
    snn = {str(task): [value] for task, value in enumerate(returns)}
    ann = {str(task): [value] for task, value in enumerate(_ANN)}
    assert 100 * statistics.average_performance_ratio(snn, ann) == pytest.approx(printed, abs=0.05)


def test_ratio_needs_the_same_tasks_and_a_positive_denominator():
    with pytest.raises(ValueError, match="same tasks"):
        statistics.average_performance_ratio({"a": [1.0]}, {"b": [1.0]})
    with pytest.raises(ValueError, match="says nothing"):
        statistics.average_performance_ratio({"a": [1.0]}, {"a": [0.0]})


def test_ratio_interval_pairs_episodes():
    # The SNN earns exactly half of what the ANN earns on every episode: no resample can show any other ratio.
    ann = np.random.default_rng(1).uniform(100, 900, size=(2, 8))
    interval = statistics.apr_interval({"t": list(ann / 2)}, {"t": list(ann)})
    np.testing.assert_allclose(interval, [0.5, 0.5])
    assert np.ptp(statistics.apr_interval({"t": list(ann[:, :7] / 2)}, {"t": list(ann)})) > 0.01


def test_paired_gain_is_blind_to_what_both_share():
    generator = np.random.default_rng(5)
    shared = generator.uniform(0, 1000, 50)
    control = dict(enumerate(shared))
    treated = {episode: value + 10.0 for episode, value in control.items()}
    mean, interval = statistics.paired_gain([treated], [control])
    assert mean == pytest.approx(10.0)
    np.testing.assert_allclose(interval, [10.0, 10.0])


def test_paired_gain_refuses_other_episodes():
    with pytest.raises(ValueError, match="same episodes"):
        statistics.paired_gain([{1: 0.0}], [{2: 0.0}])


def test_spread_between_training_seeds_is_told_from_spread_within():
    between, within = statistics.seed_spread([[10.0, 10.0], [30.0, 30.0]])
    assert (between, within) == (10.0, 0.0)
    between, within = statistics.seed_spread([[10.0, 30.0], [30.0, 10.0]])
    assert (between, within) == (0.0, 10.0)


@pytest.mark.parametrize("values", [[], [float("nan")], [float("inf"), 1.0]])
def test_nothing_is_averaged_over_missing_or_infinite_returns(values):
    with pytest.raises(ValueError):
        statistics.half_std(values)
    with pytest.raises(ValueError):
        statistics.bootstrap([values])


@settings(max_examples=25)
@given(st.lists(st.lists(finite, min_size=1, max_size=6), min_size=1, max_size=4), st.integers(0, 5))
def test_interval_lies_within_the_data_and_repeats(strata, seed):
    low, high = statistics.bootstrap(strata, resamples=200, seed=seed)
    flat = np.concatenate(strata)
    assert flat.min() - 1e-9 <= low <= high <= flat.max() + 1e-9
    assert (low, high) == statistics.bootstrap(strata, resamples=200, seed=seed)
