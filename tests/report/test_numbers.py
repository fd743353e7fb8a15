"""Numbers of tables against sums by hand; gaps that stay gaps."""

import numpy as np
import pytest
import scipy.stats

from report import numbers
from report.evidence import gather
from report.jobs import Job
from report.method import OFF, Method, Variant, ann
from tests.report.factories import config, network, result

HONEST, PAPERS_WAY = Variant("residual", "honest"), Variant("residual", "paper")
GIVEN = Variant("residual", "given", 0.5)


def ok(*found):
    return gather([Job(f"/{index}", "ok", "", one.config, one) for index, one in enumerate(found)])


def job(status, **changes):
    return Job("/x", status, f"because {status}", config(**changes))


def row(evidence, variant=HONEST, tasks=("cartpole_swingup",), **changes):
    return numbers.row(evidence, Method(network(**changes), variant), list(tasks))


def honest(ann, off, on, **changes):
    return result(ann, {0.0: off, 0.4: on}, alpha=[0.0, 0.4], chosen=0.4, **changes)


def test_one_policy():
    evidence = ok(honest([100.0, 300.0], [50.0, 70.0], [90.0, 150.0]))
    cell = row(evidence).cells["cartpole_swingup"]
    assert (cell.status, cell.mean.n, cell.policies, cell.alphas) == ("ok", 2, 1, (0.4,))
    assert (cell.mean.value, cell.half_std, cell.ratio) == (120.0, 15.0, 0.6)
    assert cell.gain.value == pytest.approx(60.0)
    assert cell.between is None and cell.within == 30.0
    off = row(evidence, OFF).cells["cartpole_swingup"]
    assert (off.mean.value, off.gain, off.alphas) == (60.0, None, ())


def test_training_seeds_are_strata():
    evidence = ok(
        honest([100.0] * 2, [0.0] * 2, [60.0, 60.0], sha="a", training_seed=1),
        honest([100.0] * 2, [0.0] * 2, [90.0, 90.0], sha="b", training_seed=2),
    )
    cell = row(evidence).cells["cartpole_swingup"]
    assert (cell.mean.n, cell.policies, cell.mean.value, cell.half_std) == (4, 2, 75.0, 7.5)
    assert (cell.between, cell.within) == (15.0, 0.0)
    # Within each policy there is nothing that varies.
    assert tuple(cell.mean.interval) == (75.0, 75.0) and tuple(cell.gain.interval) == (75.0, 75.0)


def test_apr_is_the_mean_of_ratios_and_not_the_ratio_of_means():
    tasks = ("cartpole_swingup", "cheetah_run")
    evidence = ok(
        honest([1000.0], [10.0], [500.0], sha="a"), honest([10.0], [1.0], [9.0], sha="b", env_name="cheetah_run")
    )
    found = row(evidence, tasks=tasks)
    assert found.apr.value == pytest.approx(0.7)
    assert found.gain.value == pytest.approx(np.mean([0.49, 0.8]))
    assert found.counted == tasks and found.printed_apr is None


def test_intervals_of_a_row_shrink_to_the_ratio_when_episodes_share_their_luck():
    luck = np.array([400.0, 500.0, 900.0, 600.0])
    found = row(ok(honest(luck, luck / 4, luck / 2)))
    assert tuple(found.apr.interval) == pytest.approx((0.5, 0.5))
    assert tuple(found.gain.interval) == pytest.approx((0.25, 0.25))


def test_alpha_zero_is_shared_by_all_modes_and_by_single_numbers():
    evidence = ok(
        result([100.0], {0.0: [20.0]}, alpha=0.0),
        result([100.0], {0.5: [50.0]}, alpha=0.5),
        result([100.0], {0.5: [30.0]}, alpha=0.5, mode="random"),
    )
    assert row(evidence, GIVEN).cells["cartpole_swingup"].gain.value == pytest.approx(30.0)
    assert row(evidence, Variant("random", "given", 0.5)).cells["cartpole_swingup"].gain.value == pytest.approx(10.0)


def test_no_gain_over_other_episodes():
    evidence = ok(
        result([100.0, 100.0], {0.0: [20.0]}, alpha=0.0), result([100.0, 100.0], {0.5: [50.0, 60.0]}, alpha=0.5)
    )
    found = row(evidence, GIVEN)
    assert found.cells["cartpole_swingup"].gain is None and found.gain is None


def test_two_sweeps_with_the_same_episodes_count_once():
    one = honest([100.0, 300.0], [50.0, 70.0], [90.0, 150.0])
    evidence = ok(one, one)
    assert row(evidence).cells["cartpole_swingup"].mean.n == 2 and evidence.conflicts == 0


def test_the_newer_choice_of_alpha_replaces_the_older_with_its_episodes():
    old = result([100.0] * 3, {0.0: [0.0] * 3, 0.8: [80.0] * 3}, alpha=[0.0, 0.8], chosen=0.8, created="2026-01-01")
    new = result([100.0] * 2, {0.0: [0.0] * 2, 0.2: [20.0] * 2}, alpha=[0.0, 0.2], chosen=0.2, created="2026-02-01")
    for order in ((old, new), (new, old)):
        cell = row(ok(*order)).cells["cartpole_swingup"]
        assert (cell.mean.value, cell.mean.n, cell.alphas) == (20.0, 2, (0.2,))


def test_another_base_seed_adds_episodes():
    evidence = ok(honest([100.0], [0.0], [10.0], seed=1), honest([100.0], [0.0], [30.0], seed=2))
    cell = row(evidence).cells["cartpole_swingup"]
    assert (cell.mean.value, cell.mean.n, cell.policies) == (20.0, 2, 1)


def test_different_outcomes_of_one_episode_are_told():
    evidence = ok(honest([100.0], [0.0], [10.0]), honest([100.0], [0.0], [11.0], created="2026-02-01"))
    assert evidence.conflicts == 1 and row(evidence).cells["cartpole_swingup"].mean.value == 11.0


def test_the_papers_way_is_a_row_of_its_own():
    values = {alpha / 10: [float(alpha)] for alpha in range(11)}
    evidence = ok(result([10.0], values, alpha="grid", select="paper", chosen=1.0), honest([10.0], [0.0], [4.0]))
    assert row(evidence, PAPERS_WAY).cells["cartpole_swingup"].mean.value == 10.0
    assert row(evidence, HONEST).cells["cartpole_swingup"].mean.value == 4.0


@pytest.mark.parametrize("status", ["failed", "damaged", "missing", "skipped", "cut short"])
def test_a_gap_is_a_gap_and_no_zero(status):
    tasks = ("cartpole_swingup", "cheetah_run")
    done = honest([100.0], [0.0], [50.0])
    lacking = job(status, env_name="cheetah_run", alpha=[0.0, 0.4])
    evidence = gather([Job("/0", "ok", "", done.config, done), lacking])
    found = row(evidence, tasks=tasks)
    assert found.cells["cheetah_run"].status == status and found.cells["cheetah_run"].reason == f"because {status}"
    assert found.apr.value == pytest.approx(0.5), "the mean over the tasks that have numbers"
    assert (found.counted, found.lacking) == (("cartpole_swingup",), ("cheetah_run",))
    assert numbers.row(evidence, ann("pixels"), list(tasks)).cells["cheetah_run"].status == status


def test_a_finished_job_speaks_for_a_failed_one_of_the_same_work():
    done = honest([100.0], [0.0], [50.0])
    evidence = gather([job("failed", alpha=[0.0, 0.4]), Job("/0", "ok", "", done.config, done)])
    assert row(evidence).cells["cartpole_swingup"].reason == ""


def test_a_policy_that_failed_beside_one_that_finished_is_told():
    done = honest([100.0], [0.0], [50.0], run="pixels_seed1")
    evidence = gather([job("failed", alpha=[0.0, 0.4], run="pixels_seed2"), Job("/0", "ok", "", done.config, done)])
    cell = row(evidence).cells["cartpole_swingup"]
    assert (cell.status, cell.reason) == ("ok", "failed: because failed")


def test_no_ratio_to_an_ann_that_earns_nothing():
    """Such a task has differences only, and no part in an APR over several."""
    nothing = honest([0.0] * 4, [1.0, 1.2, 1.0, 1.2], [50.0, 52.0, 51.0, 50.0])
    some = honest([100.0] * 4, [40.0] * 4, [50.0] * 4, env_name="cheetah_run", sha="b")
    alone, both = row(ok(nothing)), row(ok(nothing, some), tasks=("cartpole_swingup", "cheetah_run"))
    assert alone.apr is None and alone.gain is None and alone.counted == ()
    for found in (alone, both):
        cell = found.cells["cartpole_swingup"]
        assert cell.ratio is None and (cell.mean.value, cell.gain.value) == (50.75, pytest.approx(49.65))
        assert cell.gain.interval.low > 48
    assert both.counted == both.apr.tasks == ("cheetah_run",) and both.apr.value == 0.5


def test_gains_are_compared_together():
    """One clear gain, one within chance, one that is α = 0 itself and no comparison, one without an interval."""
    base = np.arange(500.0, 512.0)
    noise = np.tile([1.0, -1.1, 0.5], 4)
    results = [
        honest([600.0] * 12, base, base + 30 + noise, sha="a"),
        honest([600.0] * 12, base, base + noise, env_name="cheetah_run", sha="b"),
        result([600.0] * 12, {0.0: base}, alpha=[0.0, 0.4], chosen=0.0, env_name="finger_spin", sha="c"),
        honest([600.0] * 2, base[:2], base[:2] + 30, env_name="reacher_easy", sha="d"),
    ]
    tasks = ("cartpole_swingup", "cheetah_run", "finger_spin", "reacher_easy")
    found = row(ok(*results), tasks=tasks)
    compared = numbers.compare([found])
    own = {task: found.cells[task].gain.p for task in tasks}
    assert (compared.number, own["reacher_easy"]) == (2, None)
    assert [task for _, task in compared.apart] == [task for _, task in compared.surviving] == ["cartpole_swingup"]
    assert compared.adjusted[found.method, "cartpole_swingup"] == pytest.approx(2 * own["cartpole_swingup"])
    assert compared.adjusted[found.method, "cheetah_run"] == pytest.approx(own["cheetah_run"])
    assert own["cheetah_run"] == pytest.approx(scipy.stats.ttest_1samp(noise, 0).pvalue)


def test_methods_of_jobs_that_never_ran_are_rows_too():
    evidence = gather([job("missing", neuron="dc", SNN_ts=2, alpha=[0.0, 0.5])])
    assert [(one.network.label, one.carried) for one in evidence.methods("pixels")] == [
        ("DC, T=2", "no"),
        ("DC, T=2", "yes, α chosen"),
    ]
