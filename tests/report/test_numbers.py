"""What a job is about, and the numbers of tables and curves against sums by hand; gaps stay gaps."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from report import curves, method, numbers
from report.jobs import Job
from report.method import OFF, ReportMethod, Variant
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


# ---- what a configuration is about, however wrong it is ----


@pytest.mark.parametrize(
    "changes, label",
    [
        (dict(SNN_ts=32), "IF, T=32"),
        (dict(neuron="dc"), "DC, T=2"),
        (dict(neuron={"name": "mt", "rule": "mt", "coding": "rate", "n_thresholds": 6}), "MT, T=2, n=6"),
        (
            dict(neuron={"name": "snm", "rule": "snm", "coding": "differential"}),
            "SNM, T=2, snm rule, differential coding",
        ),
        (dict(calibration={"steps": 500, "percentile": 99.9}), "IF, T=2, θ over 500 decisions, θ at 99.9 %"),
        (dict(hybrid=True, dtype="bfloat16"), "IF, T=2, hybrid, bfloat16"),
    ],
)
def test_labels(changes, label):
    assert network(**changes).label == label


@pytest.mark.parametrize(
    "changes, expected",
    [
        (dict(alpha=0), [OFF]),
        (dict(alpha=[0.0]), [OFF]),
        (dict(alpha=0.5, mode="carry"), [OFF, Variant("carry", "given", 0.5)]),
        (dict(alpha="grid"), [OFF, Variant("residual", "honest")]),
        (dict(alpha=[0.2, 0.4]), [OFF, Variant("residual", "honest")]),
        (dict(alpha=[0.2, 0.4], select="paper"), [OFF, Variant("residual", "paper")]),
        (dict(alpha=[0, 0.4], select="paper"), [OFF, Variant("residual", "paper")]),
    ],
)
def test_what_a_job_reports(changes, expected):
    assert [one.variant for one in method.of_config(config(**changes))] == expected


anything = st.sampled_from(
    [None, True, 0, -1, 2.0, 2.5, 1e300, "", "grid", "x|*", [], [None], ["a", 1], {}, {"name": None}, {"a": []}]
)


@given(
    st.dictionaries(st.sampled_from(sorted(config())), anything),
    st.dictionaries(st.sampled_from(["alpha", "mode", "select"]), anything),
)
def test_no_value_that_a_user_can_type_breaks_a_report(values, crpi):
    methods = method.of_config(config() | values)
    methods += method.of_config(config() | {"crpi": config()["crpi"] | crpi})
    assert all(one.label and one.carried for one in methods)
    assert sorted({*methods, method.ann("pixels"), *method.of_config(config())}, key=lambda one: one.order)


def test_a_finished_job_is_what_was_computed_and_not_what_its_configuration_says():
    done = result([1.0], {0.0: [1.0], 0.5: [2.0]}, alpha=[0.0, 0.5], neuron="mt", SNN_ts=4, mode="carry")
    told = method.of_result(done)
    assert told == method.of_config(done.config)
    done.config = config(obs="state", alpha=0.0)
    assert method.of_result(done) == told


# ---- curves over α, and the one α for all tasks ----


GRID = [0.0, 0.5, 1.0]


def selected(task, ann, means, chosen):
    """Honest selection: `means` on the selection episodes, other values on the report episodes."""
    selection = {alpha: [mean - 1, mean + 1] for alpha, mean in zip(GRID, means)}
    report = {0.0: [3.0] * 3, chosen: [4.0] * 3}
    return result([ann] * 3, report, selection=selection, alpha=GRID, chosen=chosen, env_name=task, sha=task)


def papers_way(episodes=1, **changes):
    """Every α on the reported episodes, a tenth of whose number is its ratio."""
    values = {alpha: [10 * alpha] * episodes for alpha in GRID}
    return result([10.0] * episodes, values, alpha=GRID, select="paper", chosen=1.0, **changes)


def of(*results):
    return curves.of_network(evidence(*results), network(), "residual")


def points(found, task):
    return [(alpha, ratio.value, ratio.n) for alpha, ratio in found.tasks[task].items()]


def test_selection_curve_relative_to_the_ann():
    found = of(selected("cheetah_run", 10.0, [5.0, 8.0, 6.0], 0.5))
    assert found.stream == "selection" and list(found.tasks) == ["cheetah_run"]
    assert points(found, "cheetah_run") == [(0.0, 0.5, 2), (0.5, 0.8, 2), (1.0, 0.6, 2)]
    assert found.tasks["cheetah_run"][0.0].interval is None, "none holds over two episodes"


def test_reported_curves_are_preferred_where_every_task_has_one():
    reported = papers_way(env_name="cheetah_run", sha="cheetah_run")
    both = [selected(task, 10.0, [5.0, 8.0, 6.0], 0.5) for task in ("cheetah_run", "finger_spin")]
    assert of(reported, both[0]).stream == "report"
    mixed = of(reported, *both)
    assert mixed.stream == "selection", "never both kinds in one figure"
    assert list(mixed.tasks) == ["cheetah_run", "finger_spin"]


def test_a_curve_is_over_episodes_that_every_alpha_of_it_played():
    # Two episodes of every α, and a third of two of them from another sweep, which would shift just these.
    longer = result([10.0] * 3, {0.0: [0.0, 0.0, 900.0], 0.5: [5.0, 5.0, 900.0]}, alpha=[0.0, 0.5], chosen=0.5)
    found = of(papers_way(episodes=2), longer)
    assert points(found, "cartpole_swingup") == [(0.0, 0.0, 2), (0.5, 0.5, 2), (1.0, 1.0, 2)]


def test_off_and_a_chosen_alpha_are_no_curve():
    assert of(result([10.0], {0.0: [1.0], 0.5: [2.0]}, alpha=[0.0, 0.5], chosen=0.5)).tasks == {}


def test_one_alpha_is_the_best_mean_ratio_and_not_the_best_mean_return():
    # In returns α=1 wins by cheetah alone; in ratios α=0.5 does.
    both = selected("cheetah_run", 1000.0, [500.0, 600.0, 700.0], 1.0), selected("finger_spin", 10.0, [5, 9, 2], 0.5)
    found = curves.one_alpha(of(*both))
    ratios = np.array([[0.5, 0.6, 0.7], [0.5, 0.9, 0.2]])
    assert found.alpha == 0.5 and found.apr == pytest.approx(ratios.mean(0).max())
    assert found.per_task == {"cheetah_run": 1.0, "finger_spin": 0.5}
    assert found.apr_per_task == pytest.approx(ratios.max(1).mean()) and found.apr_off == pytest.approx(0.5)


def test_reported_ratio_needs_every_task():
    one, other = selected("cheetah_run", 10.0, [5, 8, 6], 0.5), selected("finger_spin", 10.0, [5, 8, 9], 1.0)
    for results, ratios in (((one,), {0.5: 0.4, 0.0: 0.3}), ((one, other), {0.5: None, 0.0: 0.3})):
        for alpha, ratio in ratios.items():
            found = curves.reported_ratio(evidence(*results), of(*results), alpha)
            assert found == (ratio and pytest.approx(ratio))
