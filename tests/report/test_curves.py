"""Curves over α and the one α for all tasks, against a search by hand."""

import numpy as np
import pytest

from report import curves
from tests.report.factories import evidence, network, result

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
