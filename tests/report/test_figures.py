"""What the axes of figures show: every point, and no interval without bound."""

import pytest

from evaluation.statistics import Estimate, Interval
from report import figures, plot
from report.curves import AlphaCurves
from report.method import OFF, ReportMethod, Variant
from report.numbers import MethodRow
from tests.report.factories import network


@pytest.fixture
def drawn(monkeypatch) -> list:
    """The figures that were drawn and closed."""
    figures, close = [], plot.plt.close
    monkeypatch.setattr(plot.plt, "close", lambda figure: (figures.append(figure), close(figure)))
    return figures


@pytest.mark.parametrize("high, reaches, says", [(1.1, 1.1, False), (170.0, 2.0, True)])
def test_an_interval_without_bound_does_not_set_the_scale(tmp_path, drawn, high, reaches, says):
    rows = [
        MethodRow(ReportMethod(network(SNN_ts=steps), variant), {}, ("a",), apr=Estimate(0.8, Interval(0.6, high), 10))
        for steps in (8, 32)
        for variant in (OFF, Variant("residual", "given", 0.5))
    ]
    pictures = figures.timesteps(rows, tmp_path, "t"), figures.ratios(rows, tmp_path, "r", "state")
    first, second = (figure.axes[0] for figure in drawn)
    for picture, top in zip(pictures, (first.get_ylim()[1], second.get_xlim()[1])):
        assert 100 * reaches <= top <= 200
        assert ("goes on beyond it" in picture.caption) == says


def test_a_line_joins_networks_that_differ_in_their_steps_alone(tmp_path, drawn):
    """As of +paper=thresholds: thresholds as the maximum and at a percentile, each at two T."""
    settings = [{"steps": 5000, "percentile": percentile} for percentile in (None, 99.0)]
    rows = [
        MethodRow(ReportMethod(network(SNN_ts=steps, calibration=calibration)), {}, ("a",), apr=Estimate(0.8, None, 10))
        for steps in (4, 8)
        for calibration in settings
    ]
    figures.timesteps(rows, tmp_path, "t")
    _, labels = drawn[0].axes[0].get_legend_handles_labels()
    assert labels == ["IF, CRPI off", "IF, θ at 99 %, CRPI off"]
    lines = [line for line in drawn[0].axes[0].lines if line.get_marker() in "os"]
    assert [list(line.get_xdata()) for line in lines] == [[4.0, 8.0]] * 2
    assert len({line.get_color() for line in lines}) == 2


@pytest.mark.parametrize("ratios", [(0.5, 1.9), (1.9, 0.5)])
def test_no_point_against_alpha_is_cut_off(tmp_path, drawn, ratios):
    """Panels share their axis; the first one's points once set it for all."""
    points = [Estimate(ratio, Interval(0.9 * ratio, 1.1 * ratio), 2) for ratio in ratios]
    curves = [AlphaCurves(network(), "residual", "report", {"a": {0.0: point}}) for point in points]
    figures.alphas(curves, tmp_path, "a")
    for axes in drawn[0].axes:
        bottom, top = axes.get_ylim()
        assert bottom == 0 and 209 <= top <= 300


def test_no_return_below_zero_is_cut_off(tmp_path, drawn):
    """As of Gymnasium's tasks, where a policy that fails may earn less than nothing."""
    points = [Estimate(ratio, None, 10) for ratio in (-0.5, 0.9)]
    rows = [
        MethodRow(ReportMethod(network(SNN_ts=steps)), {}, ("a",), apr=point) for steps, point in zip((4, 8), points)
    ]
    figures.timesteps(rows, tmp_path, "t")
    figures.alphas([AlphaCurves(network(), "residual", "report", {"a": dict(zip((0.0, 1.0), points))})], tmp_path, "a")
    assert all(figure.axes[0].get_ylim()[0] < -50 for figure in drawn)
