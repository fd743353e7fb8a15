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


def test_methods_that_differ_in_one_setting_or_in_how_alpha_came_are_lines_of_their_own(tmp_path):
    """As of +paper=thresholds, of policies with labels, and of one α beside a choice: the last one spoke for all."""
    ann, off, on = [600.0] * 3, [400.0, 420.0, 390.0], [500.0, 505.0, 499.0]
    percentile = {"steps": 5000, "percentile": 99.0}
    for number, (gained, changes) in enumerate(
        [
            (0, {"alpha": [0.0, 0.5], "chosen": 0.5}),
            (10, {"alpha": [0.0, 0.5], "chosen": 0.5, "calibration": percentile}),
            (20, {"alpha": 0.5}),
            (30, {"alpha": [0.0, 0.5], "chosen": 0.5, "label": "TD3", "sha": "b"}),
        ]
    ):
        before = [value + 5 for value in off] if "calibration" in changes else off
        one = result(ann, {0.0: before, 0.5: [value + gained for value in on]}, **changes)
        results.write(one, tmp_path / str(number))
    make([tmp_path], tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").read_text().splitlines()))
    table = [line.strip("| ").split(" | ") for line in gains.lines(rows)[2:]]
    assert [(*line[:2], line[5]) for line in table] == [
        ("TD3 cartpole_swingup", "if_2", "403 → 531"),
        ("cartpole_swingup", "if_2", "403 → 501"),
        ("cartpole_swingup", "if_2", "403 → 521"),
        ("cartpole_swingup", "if_2, percentile=99.0", "408 → 511"),
    ]
    # A file of an older report can't tell the percentiles apart, and says so.
    older = [{name: value for name, value in row.items() if name not in ("label", "percentile")} for row in rows]
    assert gains.lines(older)[-1].startswith("\n9 episodes stand twice")
