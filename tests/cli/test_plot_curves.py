"""scripts/plot_curves.py over logs written by hand."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import imageio.v3 as imageio

ROOT = Path(__file__).resolve().parents[2]


def plot(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/plot_curves.py"), *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_every_line_of_both_logs_is_in_the_table(tmp_path):
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "eval.csv").write_text("frame,episode_reward,total_time\n0,1.5,10\n")
        (tmp_path / run / "train.csv").write_text("frame,episode_reward,total_time\n1000,2.5,20\n2000,3.5,30\n")
    done = plot("one", "two", "--out", "curves.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "curves.csv", newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["run", "kind", "frame", "seconds", "return"]
    want = [
        ["evaluation", "0", "10.0", "1.5"],
        ["training", "1000", "20.0", "2.5"],
        ["training", "2000", "30.0", "3.5"],
    ]
    assert lines == [[run, *line] for run in ("one", "two") for line in want]
    assert imageio.imread(tmp_path / "curves.png").std() > 0


def test_a_folder_without_logs_is_one_line(tmp_path):
    done = plot(".", "--out", "curves.png", cwd=tmp_path)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "eval.csv" in done.stderr
    assert not list(tmp_path.iterdir())
