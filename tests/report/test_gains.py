"""scripts/gains.py: gains from results.csv alone, against the table that the jobs themselves make."""

import csv

from evaluation import result as results
from report.make import make
from scripts import gains
from tests.report.factories import result


def test_gains_are_those_of_the_report_and_what_stands_twice_counts_once(tmp_path):
    """One method with CRPI, on two tasks; on the second α = 0 was chosen."""
    off, on = [400.0, 420.0, 390.0, 410.0], [500.0, 505.0, 499.0, 508.0]
    results.write(result([600.0] * 4, {0.0: off, 0.5: on}, alpha=[0.0, 0.5], chosen=0.5), tmp_path / "0")
    unchanged = result([600.0] * 4, {0.0: off}, alpha=[0.0, 0.5], chosen=0.0, env_name="finger_spin", sha="b")
    results.write(unchanged, tmp_path / "1")
    make([tmp_path], tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").read_text().splitlines()))
    head, _, gain, none = gains.lines(rows)
    assert gains.lines(rows * 2) == gains.lines(rows) and head.endswith("| p | Holm, of 1 |")
    task, method, mode, n, alpha, means, value, p, adjusted = gain.strip("| ").split(" | ")
    assert (task, method, mode, n, alpha, means) == ("cartpole_swingup", "if_2", "residual", "4", "0.5", "405 → 503")
    ends = value.split(" ", 1)[1].removesuffix(" few")
    report = (tmp_path / "out" / "report.md").read_text()
    assert f"{value.split()[0]} ({ends}; n=4)" in report, "the same interval stands in the report"
    assert p == adjusted == "< 0.001"
    assert none.split(" | ")[4:] == ["0", "405 → 405", "0.00 [0.00, 0.00] few", "–", "– |"]
