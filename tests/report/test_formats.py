"""How numbers are written, against what a reader expects to see."""

import pytest

from evaluation.statistics import Estimate, Interval
from report.formats import compact, ends, fixed, interval, percent, plain, probability


@pytest.mark.parametrize(
    "value, text",
    [
        (823.4, "823"),
        (12.36, "12.4"),
        (-0.567, "−0.57"),
        (0.03124, "0.031"),
        (-4.21e-5, "−4.2e−05"),
        (-3e-11, "0.00"),
        (-0.0, "0.00"),
    ],
)
def test_plain(value, text):
    assert plain(value) == text


def test_what_rounds_to_zero_has_no_sign():
    assert fixed(-0.04, 1) == fixed(-0.04, 1, sign=True) == percent(-0.0004, sign=True) == "0.0"
    assert percent(-0.0006, sign=True) == "−0.1" and percent(0.25, 2, sign=True) == "+25.00"


def test_counts_of_operations():
    assert [compact(value) for value in (2.12e8, 47.88e6, 3100, 49.9)] == ["212M", "47.9M", "3.10k", "49.9"]


def test_p_values():
    assert [probability(p) for p in (0.0421, 0.0001, 1.0)] == ["0.042", "< 0.001", "1.000"]


def test_intervals():
    assert interval(None) == "no interval"
    assert interval((-3.2, 14.14), sign=True) == "[−3.20, +14.1]"
    assert interval((0.977, 1.003), percent) == "[97.7, 100.3]"
    assert ends(Estimate(5, Interval(3.0, 7.0), 12, "bimodal")) == "[3.00, 7.00]; n=12, bimodal"
    assert ends(Estimate(5, None, 4, "few")) == "no interval; n=4" and ends(Estimate(5, None, 0)) == "no interval"
