"""Curves over α and the one α for all tasks, against a search by hand."""

import numpy as np
import pytest

from report import curves
from report.evidence import gather
from report.jobs import Job
from tests.report.factories import network, result

GRID = [0.0, 0.5, 1.0]


def ok(*found):
    return gather([Job(f"/{index}", "ok", "", one.config, one) for index, one in enumerate(found)])


def selected(task, ann, means, chosen, **changes):
    """Honest selection: `means` on the selection episodes, other values on the report episodes."""
    selection = {alpha: [mean - 1, mean + 1] for alpha, mean in zip(GRID, means)}
    report = {0.0: [3.0] * 3, chosen: [4.0] * 3}
    return result([ann] * 3, report, selection=selection, alpha=GRID, chosen=chosen, env_name=task, sha=task, **changes)


def of(evidence, **changes):
    return curves.of_network(evidence, network(**changes), "residual")


def test_selection_curve_relative_to_the_ann():
    found = of(ok(selected("cheetah_run", 10.0, [5.0, 8.0, 6.0], 0.5)))
    assert found.stream == "selection" and list(found.tasks) == ["cheetah_run"]
    points = found.tasks["cheetah_run"]
    assert [(p.alpha, p.ratio, p.episodes) for p in points] == [(0.0, 0.5, 2), (0.5, 0.8, 2), (1.0, 0.6, 2)]
    assert points[0].interval is None, "none holds over two episodes"


def test_reported_curves_are_preferred_where_every_task_has_one():
    values = {alpha: [10 * alpha] for alpha in GRID}
    papers_way = result(
        [10.0], values, alpha=GRID, select="paper", chosen=1.0, env_name="cheetah_run", sha="cheetah_run"
    )
    assert of(ok(papers_way, selected("cheetah_run", 10.0, [5.0, 8.0, 6.0], 0.5))).stream == "report"
    mixed = of(
        ok(papers_way, selected("cheetah_run", 10, [5.0, 8, 6], 0.5), selected("finger_spin", 10, [5.0, 8, 6], 0.5))
    )
    assert mixed.stream == "selection" and list(mixed.tasks) == ["cheetah_run", "finger_spin"], (
        "never both kinds in one figure"
    )


def test_a_curve_is_over_episodes_that_every_alpha_of_it_played():
    # Two episodes of every α, and a third of two of them from another sweep, which would shift just these.
    papers_way = result([10.0] * 2, {alpha: [10 * alpha] * 2 for alpha in GRID}, alpha=GRID, select="paper", chosen=1.0)
    longer = result([10.0] * 3, {0.0: [0.0, 0.0, 900.0], 0.5: [5.0, 5.0, 900.0]}, alpha=[0.0, 0.5], chosen=0.5)
    points = of(ok(papers_way, longer)).tasks["cartpole_swingup"]
    assert [(p.alpha, p.ratio, p.episodes) for p in points] == [(0.0, 0.0, 2), (0.5, 0.5, 2), (1.0, 1.0, 2)]


def test_off_and_a_chosen_alpha_are_no_curve():
    assert of(ok(result([10.0], {0.0: [1.0], 0.5: [2.0]}, alpha=[0.0, 0.5], chosen=0.5))) is None


def test_one_alpha_is_the_best_mean_ratio_and_not_the_best_mean_return():
    # In returns α=1 wins by cheetah alone; in ratios α=0.5 does.
    evidence = ok(
        selected("cheetah_run", 1000.0, [500.0, 600.0, 700.0], 1.0), selected("finger_spin", 10.0, [5.0, 9.0, 2.0], 0.5)
    )
    found = curves.one_alpha(of(evidence))
    ratios = np.array([[0.5, 0.6, 0.7], [0.5, 0.9, 0.2]])
    assert found.alpha == 0.5 and found.apr == pytest.approx(ratios.mean(0).max())
    assert found.per_task == {"cheetah_run": 1.0, "finger_spin": 0.5}
    assert found.apr_per_task == pytest.approx(ratios.max(1).mean()) and found.apr_off == pytest.approx(0.5)


def test_equals_go_to_the_smaller_alpha():
    assert curves.one_alpha(of(ok(selected("cheetah_run", 10.0, [5.0, 5.0, 5.0], 0.0)))).alpha == 0.0


def test_reported_ratio_needs_every_task():
    evidence = ok(
        selected("cheetah_run", 10.0, [5.0, 8.0, 6.0], 0.5), selected("finger_spin", 10.0, [5.0, 8.0, 9.0], 1.0)
    )
    both = ["cheetah_run", "finger_spin"]
    assert curves.reported_ratio(evidence, of(evidence), 0.5, ["cheetah_run"]) == pytest.approx(0.4)
    assert curves.reported_ratio(evidence, of(evidence), 0.5, both) is None
    assert curves.reported_ratio(evidence, of(evidence), 0.0, both) == pytest.approx(0.3)
