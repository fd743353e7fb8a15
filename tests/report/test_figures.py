"""Axes of ratios where an ANN that sometimes returns nothing gives an interval without bound."""

import pytest

from evaluation.statistics import Interval
from report import figures
from report.method import OFF, Network, Variant
from report.numbers import Row


def rows(high: float) -> list[Row]:
    found = []
    for timesteps in (8, 32):
        network = Network(
            "state", "if", "if", "rate", timesteps,
            n_thresholds=None, calibration_steps=None, percentile=None, hybrid=False, dtype=None,
        )  # fmt: skip
        found += [
            Row(network, variant, {}, counted=("a",), apr=0.8, apr_interval=Interval(0.6, high))
            for variant in (OFF, Variant("residual", "given", 0.5))
        ]
    return found


@pytest.mark.parametrize("high, reaches, says", [(1.1, 1.1, False), (170.0, 2.0, True)])
def test_an_interval_without_bound_does_not_set_the_scale(tmp_path, monkeypatch, high, reaches, says):
    drawn = []
    close = figures.plt.close
    monkeypatch.setattr(figures.plt, "close", lambda figure: (drawn.append(figure.axes[0]), close(figure)))
    pictures = [figures.timesteps(rows(high), tmp_path, "t"), figures.ratios(rows(high), tmp_path, "r", "state")]
    for picture, top in zip(pictures, (drawn[0].get_ylim()[1], drawn[1].get_xlim()[1])):
        assert 100 * reaches <= top <= 200
        assert picture is not None and ("goes on beyond it" in picture.caption) == says
