"""Statistics against scipy, closed forms, the paper's own table, and a simulation of what the intervals cover."""

import numpy as np
import pytest
import scipy.stats

from evaluation import statistics
from evaluation.statistics import BIMODAL, FEW


def by_episode(values):
    return dict(enumerate(values))


def test_half_std_has_no_degrees_of_freedom_taken_off():
    assert statistics.half_std([1.0, 3.0]) == 0.5
    assert statistics.half_std([7.0]) == 0.0


def test_the_interquartile_means_interval_is_yuens():
    # Yuen's test of one trimmed mean against a constant: scipy has it for two samples, of which one may not vary.
    values = np.random.default_rng(2).normal(800, 90, 13)
    found = statistics.interquartile_mean([values]).interval
    constant = np.full(10_000, found.low) + 1e-9 * np.arange(10_000)
    assert scipy.stats.ttest_ind(values, constant, equal_var=False, trim=0.25).pvalue == pytest.approx(0.05, rel=1e-3)


def test_means_and_gains_are_scipys_t_tests():
    generator = np.random.default_rng(3)
    control, treated = generator.normal(700, 50, 12), generator.normal(720, 50, 12)
    expected = scipy.stats.ttest_rel(treated, control)
    found = statistics.gain([by_episode(treated)], [by_episode(control)])
    assert found.interval == pytest.approx(expected.confidence_interval(0.95))
    assert found.p == pytest.approx(expected.pvalue)
    expected = scipy.stats.ttest_1samp(control, 0).confidence_interval(0.95)
    assert statistics.half_width(control) == pytest.approx((expected.high - expected.low) / 2)


def test_a_means_interval_is_the_outer_one_of_students_and_halls():
    for values in ([700.0, 880, 900, 905, 910], [700.0, 705, 710, 730, 910], [700.0, 800, 900], [800.0] * 4):
        for strata in ([values], [values, [value + 400 for value in values]]):
            n, spread = len(values) * len(strata), np.std(values, ddof=1)
            mean, error, student = np.mean(strata), spread / np.sqrt(n), scipy.stats.t.ppf(0.975, n - len(strata))
            # Hall (1992, section 3): t + g t²/3 + g² t³/27 + g/6 has no skewness; the ends are where it meets ± t.
            g = scipy.stats.kstat(values, 3) / max(spread, 1e-9) ** 3 / np.sqrt(n)
            roots = [np.roots([g**2 / 27, g / 3, 1, g / 6 - t]) for t in (student, -student)]
            above, below = (float(each[np.abs(each.imag).argmin()].real) for each in roots)
            low, high = statistics.mean(strata).interval
            assert low == pytest.approx(mean - error * max(above, student))
            assert high == pytest.approx(mean - error * min(below, -student))
            assert g == 0 or (above > student) == (g < 0)


def test_two_strata_are_welchs():
    # The mean of two strata of equal size is half of a difference, one of them turned round: Welch's test.
    generator = np.random.default_rng(4)
    first, second = generator.normal(500, 10, 8), generator.normal(700, 60, 8)
    expected = scipy.stats.ttest_ind(first, -second, equal_var=False).confidence_interval(0.95)
    control = [by_episode(np.zeros(8))] * 2
    found = statistics.gain([by_episode(first), by_episode(second)], control).interval
    assert found == pytest.approx((expected.low / 2, expected.high / 2))


def test_strata_vary_around_means_of_their_own_and_those_of_one_episode_are_pooled():
    # Over both at once the interval would be hundreds wide; within each there is nothing to vary.
    assert statistics.mean([[100.0] * 5, [1000.0] * 5]).interval == (550.0, 550.0)
    values = [600.0, 640.0, 655.0, 610.0]
    assert statistics.mean([[value] for value in values]) == statistics.mean([values])


def test_a_ratio_pairs_episodes():
    # The SNN earns exactly half of what the ANN earns on every episode: no other episodes can show any other ratio.
    ann = np.random.default_rng(1).uniform(600, 900, size=(2, 8))
    paired = statistics.average_performance_ratio({"t": list(ann / 2)}, {"t": list(ann)})
    assert paired.interval == pytest.approx((0.5, 0.5))
    assert np.ptp(statistics.average_performance_ratio({"t": list(ann[:, :7] / 2)}, {"t": list(ann)}).interval) > 0.01


def test_a_gain_of_apr_is_the_difference_of_the_aprs():
    generator = np.random.default_rng(5)
    plain, crpi, ann = ({task: [generator.uniform(500, 900, 6)] for task in "ab"} for _ in range(3))
    apr = [statistics.average_performance_ratio(snn, ann).value for snn in (crpi, plain)]
    keyed = [{task: [by_episode(values[0])] for task, values in snn.items()} for snn in (crpi, plain)]
    found = statistics.apr_gain(*keyed, ann)
    assert found.value == pytest.approx(apr[0] - apr[1]) and found.n == 6 and 0 < found.p < 1
    # One task alone: the paired t test in units of the ANN, whose own spread the delta method adds.
    one = [{"a": snn["a"]} for snn in keyed]
    gain = statistics.gain(*(snn["a"] for snn in keyed))
    level = ann["a"][0].mean()
    assert statistics.apr_gain(*one, {"a": ann["a"]}).value == pytest.approx(gain.value / level)
    constant = {"a": [np.full(6, level)]}
    assert np.array(statistics.apr_gain(*one, constant).interval) * level == pytest.approx(gain.interval)


def test_tasks_whose_ann_earns_nothing_have_no_ratio_and_the_others_do():
    snn, ann = {"a": [[5.0] * 4], "b": [[0.0] * 4]}, {"a": [[10.0] * 4], "b": [[0.0] * 4]}
    assert statistics.average_performance_ratio(snn, ann).value == 0.5
    assert statistics.average_performance_ratio({"b": snn["b"]}, {"b": ann["b"]}) is None
    keyed = {task: [by_episode(values[0])] for task, values in snn.items()}
    assert statistics.apr_gain({"b": keyed["b"]}, {"b": keyed["b"]}, {"b": ann["b"]}) is None
    sometimes = statistics.average_performance_ratio({"a": [[5.0, 0, 6, 4]]}, {"a": [[10.0, 0, 12, 8]]})
    assert sometimes.value == 0.5 and sometimes.interval is None and sometimes.mark == BIMODAL
    assert statistics.gain([by_episode([0.0] * 4)], [by_episode([0.0] * 4)]).p == 1.0
    with pytest.raises(ValueError, match="same tasks"):
        statistics.average_performance_ratio({"a": [[1.0]]}, {"b": [[1.0]]})


def test_a_gain_is_blind_to_what_both_share_and_refuses_other_episodes():
    control = by_episode(np.random.default_rng(5).uniform(0, 1000, 50))
    found = statistics.gain([{episode: value + 10.0 for episode, value in control.items()}], [control])
    assert found.value == pytest.approx(10.0) and found.interval == pytest.approx((10.0, 10.0))
    with pytest.raises(ValueError, match="same episodes"):
        statistics.gain([{1: 0.0}], [{2: 0.0}])


def test_probability_of_improvement_is_mann_and_whitneys():
    generator = np.random.default_rng(6)
    treated, control = generator.integers(0, 20, 9) + 4.0, generator.integers(0, 20, 9).astype(float)
    found = statistics.probability_of_improvement({"a": [by_episode(treated)]}, {"a": [by_episode(control)]})
    assert found.value == pytest.approx(scipy.stats.mannwhitneyu(treated, control).statistic / 81)
    apart = statistics.probability_of_improvement({"a": [by_episode(control + 100)]}, {"a": [by_episode(control)]})
    assert (apart.value, apart.interval, apart.p) == (1.0, None, None), "five of five is no certainty"


def test_a_performance_profile_is_the_share_above_each_threshold():
    profile = statistics.performance_profile({"a": [[0.2, 0.6], [1.0, 1.0]], "b": [[0.5]]}, [0.0, 0.5, 0.9, 1.0])
    np.testing.assert_allclose(profile, [1.0, 0.375, 0.25, 0.0])


def test_holms_adjustment():
    # Holm (1979): the smallest times how many there are, the next times one fewer, never falling.
    assert statistics.holm([0.01, None, 0.04, 0.03, 0.005]) == pytest.approx([0.03, None, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0] and statistics.holm([None]) == [None]


@pytest.mark.parametrize(
    "values, interval, mark",
    [
        ([800.0], False, FEW),
        ([800.0, 810.0], False, FEW),
        ([800.0, 810.0, 820.0], True, FEW),
        ([800.0, 810.0] * 5, True, ""),
        ([992.0, 992.0, 0.0, 992.0, 992.0], False, BIMODAL),
        ([0.0, 0.0, 992.0, 0.0, 0.0], False, BIMODAL),
        ([992.0, 0.0] * 5, True, BIMODAL),
        ([0.0] * 5, True, FEW),
    ],
)
def test_what_no_interval_of_so_few_can_say_is_not_said(values, interval, mark):
    others = np.array(values) + 1
    estimates = [
        statistics.mean([values]),
        statistics.interquartile_mean([values]),
        statistics.gain([by_episode(values)], [by_episode(others)]),
        statistics.average_performance_ratio({"a": [values]}, {"a": [others]}),
    ]
    for found in estimates:
        assert (found.interval is not None, found.mark, found.n) == (interval, mark, len(values))
    assert (estimates[2].p is not None) == interval


def normal(generator, *shape):
    return generator.normal(800, 60, shape)


def left_skewed(generator, *shape):
    return 950 - generator.gamma(2, 60, shape)


def _estimates(generator, draw, n):
    """(name, estimate, truth) on episodes of six tasks, on which nothing differs."""
    ann, one, other = (draw(generator, 6, n) for _ in range(3))
    keyed = [{task: [by_episode(values)] for task, values in enumerate(some)} for some in (one, other)]
    halves, level = dict(enumerate(one[:, None] / 2)), dict(enumerate(ann[:, None]))
    return [
        ("gain", statistics.gain(keyed[0][0], keyed[1][0]), 0),
        ("APR", statistics.average_performance_ratio(halves, level), 0.5),
        ("gain of APR", statistics.apr_gain(*keyed, level), 0),
        ("probability of improvement", statistics.probability_of_improvement(*keyed), 0.5),
        ("IQM", statistics.interquartile_mean([one[0]]), _IQM[draw]),
    ]


_IQM = {
    draw: float(scipy.stats.trim_mean(draw(np.random.default_rng(0), 2_000_000), 0.25))
    for draw in (normal, left_skewed)
}


@pytest.mark.parametrize("draw", [normal, left_skewed])
@pytest.mark.parametrize("n", [5, 10, 50])
def test_intervals_cover_what_they_say(draw, n):
    generator = np.random.default_rng(n)
    covered = {}
    for _ in range(600):
        for name, found, truth in _estimates(generator, draw, n):
            if found.interval is not None:
                covered.setdefault(name, []).append(found.interval.low <= truth <= found.interval.high)
    for name, hits in covered.items():
        assert np.mean(hits) >= 0.92 and len(hits) > 500, (name, np.mean(hits), len(hits))


@pytest.mark.parametrize("draw, truth", [(normal, 800), (left_skewed, 830)])
@pytest.mark.parametrize("n", [3, 5, 10, 50])
def test_a_means_interval_covers_skewed_returns(draw, truth, n):
    # Student's alone covers 91 to 92 % of the skewed ones at n = 3, 5 and 10.
    found = [statistics.mean([values]).interval for values in draw(np.random.default_rng(n), 3000, n)]
    hits = [interval.low <= truth <= interval.high for interval in found if interval is not None]
    assert np.mean(hits) >= 0.935 and len(hits) > 2950


def test_a_failure_of_either_side_marks_a_gain():
    steady, failing = [{0: 850.0, 1: 851.0, 2: last, 3: 849.0, 4: 853.0} for last in (852.0, 3.0)]
    for treated, control in ((steady, failing), (failing, steady)):
        found = statistics.gain([treated], [control])
        assert (found.mark, found.interval) == (BIMODAL, None)
    assert statistics.gain([steady], [steady]).mark == FEW


def test_spread_between_training_seeds_is_told_from_spread_within():
    assert statistics.seed_spread([[10.0, 10.0], [30.0, 30.0]]) == (10.0, 0.0)
    assert statistics.seed_spread([[10.0, 30.0], [30.0, 10.0]]) == (0.0, 10.0)


@pytest.mark.parametrize("values", [[], [float("nan")], [float("inf"), 1.0]])
def test_nothing_is_averaged_over_missing_or_infinite_returns(values):
    for statistic in (statistics.half_std, statistics.difference, lambda v: statistics.mean([v])):
        with pytest.raises(ValueError):
            statistic(values)
