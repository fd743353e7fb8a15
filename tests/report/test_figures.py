"""How numbers are written and drawn: every point, and no interval without bound."""

import pytest

from evaluation.statistics import Estimate, Interval
from report import figures, plot
from report.curves import AlphaCurves
from report.formats import compact, ends, fixed, interval, percent, plain, probability
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


# ---- numbers as text ----


@pytest.mark.parametrize(
    "written, text",
    [
        (plain(823.4), "823"),
        (plain(12.36), "12.4"),
        (plain(-0.567), "−0.57"),
        (plain(0.03124), "0.031"),
        (plain(-4.21e-5), "−4.2e−05"),
        (plain(-3e-11), "0.00"),
        (plain(-0.0), "0.00"),
        # What rounds to zero has no sign.
        (fixed(-0.04, 1), "0.0"),
        (fixed(-0.04, 1, sign=True), "0.0"),
        (percent(-0.0004, sign=True), "0.0"),
        (percent(-0.0006, sign=True), "−0.1"),
        (percent(0.25, 2, sign=True), "+25.00"),
        # Counts of operations.
        (compact(2.12e8), "212M"),
        (compact(47.88e6), "47.9M"),
        (compact(3100), "3.10k"),
        (compact(49.9), "49.9"),
        (probability(0.0421), "0.042"),
        (probability(0.0001), "< 0.001"),
        (probability(1.0), "1.000"),
        (interval(None), "no interval"),
        (interval((-3.2, 14.14), sign=True), "[−3.20, +14.1]"),
        (interval((0.977, 1.003), percent), "[97.7, 100.3]"),
        (ends(Estimate(5, Interval(3.0, 7.0), 12, "bimodal")), "[3.00, 7.00]; n=12, bimodal"),
        (ends(Estimate(5, None, 4, "few")), "no interval; n=4"),
        (ends(Estimate(5, None, 0)), "no interval"),
    ],
)
def test_a_number_is_written_as_a_reader_expects_to_see_it(written, text):
    assert written == text
