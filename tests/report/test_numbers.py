"""Numbers of tables against sums by hand; gaps that stay gaps."""

import numpy as np
import pytest
import scipy.stats

from report import numbers
from report.jobs import Job
from report.method import OFF, ReportMethod, Variant, ann
from tests.report.factories import config, evidence, honest, network, result

HONEST, PAPERS_WAY = Variant("residual", "honest"), Variant("residual", "paper")
GIVEN = Variant("residual", "given", 0.5)
CARTPOLE, CHEETAH = "cartpole_swingup", "cheetah_run"


def job(status, **changes):
    return Job("/x", status, f"because {status}", config(**changes))


def row(found, variant=HONEST, tasks=(CARTPOLE,)):
    return numbers.row(found, ReportMethod(network(), variant), list(tasks))


def cell(*results, variant=HONEST):
    return row(evidence(*results), variant).cells[CARTPOLE]


ONE = honest([100.0, 300.0], [50.0, 70.0], [90.0, 150.0])
CHANGED = honest([100.0, 300.0], [50.0, 70.0], [90.0, 151.0], created="2026-02-01")
OLD = result([100.0] * 3, {0.0: [0.0] * 3, 0.8: [80.0] * 3}, alpha=[0.0, 0.8], chosen=0.8, created="2026-01-01")
NEW = result([100.0] * 2, {0.0: [0.0] * 2, 0.2: [20.0] * 2}, alpha=[0.0, 0.2], chosen=0.2, created="2026-02-01")
SEEDS = [honest([100.0], [0.0], [mean], seed=seed) for seed, mean in ((1, 10.0), (2, 30.0))]


def test_one_policy():
    on, off = cell(ONE), cell(ONE, variant=OFF)
    assert (on.status, on.mean.n, on.policies, on.alphas) == ("ok", 2, 1, (0.4,))
    assert (on.mean.value, on.half_std, on.ratio) == (120.0, 15.0, 0.6)
    assert on.gain.value == pytest.approx(60.0)
    assert on.between is None and on.within == 30.0
    assert (off.mean.value, off.gain, off.alphas) == (60.0, None, ())


def test_training_seeds_are_strata():
    both = [
        honest([100.0] * 2, [0.0] * 2, [mean] * 2, sha=sha, training_seed=seed)
        for mean, sha, seed in ((60.0, "a", 1), (90.0, "b", 2))
    ]
    found = cell(*both)
    assert (found.mean.n, found.policies, found.mean.value, found.half_std) == (4, 2, 75.0, 7.5)
    assert (found.between, found.within) == (15.0, 0.0)
    # Within each policy there is nothing that varies.
    assert tuple(found.mean.interval) == tuple(found.gain.interval) == (75.0, 75.0)


def test_apr_is_the_mean_of_ratios_and_not_the_ratio_of_means():
    tasks = (CARTPOLE, CHEETAH)
    one, other = honest([1000.0], [10.0], [500.0]), honest([10.0], [1.0], [9.0], sha="b", env_name=CHEETAH)
    found = row(evidence(one, other), tasks=tasks)
    assert found.apr.value == pytest.approx(0.7)
    assert found.gain.value == pytest.approx(np.mean([0.49, 0.8]))
    assert found.counted == tasks and found.printed_apr is None


def test_intervals_of_a_row_shrink_to_the_ratio_when_episodes_share_their_luck():
    luck = np.array([400.0, 500.0, 900.0, 600.0])
    found = row(evidence(honest(luck, luck / 4, luck / 2)))
    assert tuple(found.apr.interval) == pytest.approx((0.5, 0.5))
    assert tuple(found.gain.interval) == pytest.approx((0.25, 0.25))


def test_alpha_zero_is_shared_by_all_modes_and_by_single_numbers():
    results = [
        result([100.0], {0.0: [20.0]}, alpha=0.0),
        result([100.0], {0.5: [50.0]}, alpha=0.5),
        result([100.0], {0.5: [30.0]}, alpha=0.5, mode="random"),
    ]
    for variant, gain in ((GIVEN, 30.0), (Variant("random", "given", 0.5), 10.0)):
        assert cell(*results, variant=variant).gain.value == pytest.approx(gain)


def test_no_gain_over_other_episodes():
    off = result([100.0, 100.0], {0.0: [20.0]}, alpha=0.0)
    found = row(evidence(off, result([100.0, 100.0], {0.5: [50.0, 60.0]}, alpha=0.5)), GIVEN)
    assert found.cells[CARTPOLE].gain is None and found.gain is None


@pytest.mark.parametrize(
    "results, conflicts, mean, alpha",
    [
        ((ONE, ONE), 0, 120.0, 0.4),  # what two hold counts once
        ((ONE, CHANGED), 1, 120.5, 0.4),  # of two outcomes the newer
        ((CHANGED, ONE), 1, 120.5, 0.4),
        ((OLD, NEW), 0, 20.0, 0.2),  # the newer choice of α replaces the older with its episodes
        ((NEW, OLD), 0, 20.0, 0.2),
        (SEEDS, 0, 20.0, 0.4),  # another base seed adds episodes
    ],
)
def test_several_results_of_one_policy(results, conflicts, mean, alpha):
    found = cell(*results)
    assert (found.mean.value, found.mean.n, found.policies, found.alphas) == (mean, 2, 1, (alpha,))
    assert evidence(*results).conflicts == conflicts


def test_the_papers_way_is_a_row_of_its_own():
    values = {alpha / 10: [float(alpha)] for alpha in range(11)}
    both = result([10.0], values, alpha="grid", select="paper", chosen=1.0), honest([10.0], [0.0], [4.0])
    assert [cell(*both, variant=variant).mean.value for variant in (PAPERS_WAY, HONEST)] == [10.0, 4.0]


@pytest.mark.parametrize("status", ["failed", "damaged", "missing", "skipped", "cut short"])
def test_a_gap_is_a_gap_and_no_zero(status):
    tasks = (CARTPOLE, CHEETAH)
    some = evidence(honest([100.0], [0.0], [50.0]), job(status, env_name=CHEETAH, alpha=[0.0, 0.4]))
    found = row(some, tasks=tasks)
    assert (found.cells[CHEETAH].status, found.cells[CHEETAH].reason) == (status, f"because {status}")
    assert found.apr.value == pytest.approx(0.5), "the mean over the tasks that have numbers"
    assert (found.counted, found.lacking) == ((CARTPOLE,), (CHEETAH,))
    assert numbers.row(some, ann("pixels"), list(tasks)).cells[CHEETAH].status == status


@pytest.mark.parametrize("changes, told", [({}, ""), ({"run": "pixels_seed2"}, "failed: because failed")])
def test_a_finished_job_speaks_for_a_failed_one_of_the_same_work_alone(changes, told):
    found = cell(job("failed", alpha=[0.0, 0.4], **changes), honest([100.0], [0.0], [50.0]))
    assert (found.status, found.reason) == ("ok", told)


def test_no_ratio_to_an_ann_that_earns_nothing():
    """Such a task has differences only, and no part in an APR over several."""
    nothing = honest([0.0] * 4, [1.0, 1.2, 1.0, 1.2], [50.0, 52.0, 51.0, 50.0])
    some = honest([100.0] * 4, [40.0] * 4, [50.0] * 4, env_name=CHEETAH, sha="b")
    alone, both = row(evidence(nothing)), row(evidence(nothing, some), tasks=(CARTPOLE, CHEETAH))
    assert alone.apr is None and alone.gain is None and alone.counted == ()
    for found in (alone.cells[CARTPOLE], both.cells[CARTPOLE]):
        assert (found.ratio, found.mean.value, found.gain.value) == (None, 50.75, pytest.approx(49.65))
        assert found.gain.interval.low > 48
    assert both.counted == (CHEETAH,) and both.apr.value == 0.5


def test_gains_are_compared_together():
    """One clear gain, one within chance, one that is α = 0 itself and no comparison, one without an interval."""
    base = np.arange(500.0, 512.0)
    noise = np.tile([1.0, -1.1, 0.5], 4)
    results = [
        honest([600.0] * 12, base, base + 30 + noise, sha="a"),
        honest([600.0] * 12, base, base + noise, env_name=CHEETAH, sha="b"),
        result([600.0] * 12, {0.0: base}, alpha=[0.0, 0.4], chosen=0.0, env_name="finger_spin", sha="c"),
        honest([600.0] * 2, base[:2], base[:2] + 30, env_name="reacher_easy", sha="d"),
    ]
    found = row(evidence(*results), tasks=(CARTPOLE, CHEETAH, "finger_spin", "reacher_easy"))
    clear, chance = scipy.stats.ttest_1samp(30 + noise, 0).pvalue, scipy.stats.ttest_1samp(noise, 0).pvalue
    expected = {(found.method, CARTPOLE): (clear, 2 * clear), (found.method, CHEETAH): (chance, chance)}
    compared = numbers.compare([found])
    assert compared.keys() == expected.keys() and clear < 0.025 and chance > 0.05
    for place, ps in expected.items():
        assert compared[place] == pytest.approx(ps)


def test_methods_of_jobs_that_never_ran_are_rows_too():
    methods = evidence(job("missing", neuron="dc", SNN_ts=2, alpha=[0.0, 0.5])).methods("pixels")
    assert [(one.network.label, one.carried) for one in methods] == [("DC, T=2", "no"), ("DC, T=2", "yes, α chosen")]
