"""scripts/plot_curves.py over logs written by hand."""

import csv
import json
from pathlib import Path

import imageio.v3 as imageio
import pytest

from report.plot import axes
from scripts import plot_curves
from tests.cli.command import Output, run


def plot(*words: str, cwd: Path, code: int = 0) -> Output:
    return run("-m", "scripts.plot_curves", *words, cwd=cwd, code=code)


def log(folder: Path, evaluations: dict[int, float], task: str | None = None) -> None:
    folder.mkdir()
    lines = [f"{frame},{reward},10\n" for frame, reward in evaluations.items()]
    (folder / "eval.csv").write_text("frame,episode_reward,total_time\n" + "".join(lines))
    (folder / "train.csv").write_text("frame,episode_reward,total_time\n1000,2.5,20\n2000,3.5,30\n")
    if task:
        (folder / "config.json").write_text(json.dumps({"task_name": task}))


def table(path: Path) -> list[list[str]]:
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_every_line_of_both_logs_is_in_the_table_and_a_level_in_the_picture(tmp_path):
    for name in ("one", "two"):
        log(tmp_path / name, {0: 1.5})
    assert plot("one", "two", "--out", "plain.png", cwd=tmp_path).stdout == ""
    plot("one", "two", "--out", "line.png", "--level", "a=b=2", cwd=tmp_path)
    header, *lines = table(tmp_path / "plain.csv")
    assert header[:6] == ["task", "run", "kind", "frame", "seconds", "return"]
    want = [
        ["evaluation", "0", "10.0", "1.5"],
        ["training", "1000", "20.0", "2.5"],
        ["training", "2000", "30.0", "3.5"],
    ]
    assert lines == [["", name, *line, "", "", ""] for name in ("one", "two") for line in want]
    assert table(tmp_path / "line.csv") == [header, *lines]
    assert (imageio.imread(tmp_path / "plain.png") != imageio.imread(tmp_path / "line.png")).any()


@pytest.mark.parametrize("worst, shown", [(-300.0, True), (0.0, False)])
def test_returns_below_zero_are_drawn(tmp_path, monkeypatch, worst, shown):
    figures = []
    monkeypatch.setattr(plot_curves.plot, "axes", lambda *size: figures.append(axes(*size)) or figures[0])
    points = [plot_curves.Point("evaluation", frame, 0.0, reward) for frame, reward in ((0, worst), (1000, 900.0))]
    plot_curves.draw({"HalfCheetah-v4": plot_curves.Panel([("one", points)])}, tmp_path / "curves.png")
    low = figures[0][1][0].get_ylim()[0]
    assert low < worst if shown else low == 0


def test_published_seeds_stand_beside_our_evaluations(tmp_path):
    (tmp_path / "curves").mkdir()
    rows = [(seed, frame, seed * frame / 1000) for seed in (1, 2, 6) for frame in (0, 1000, 2000, 3000)]
    lines = [f"{i},DrQ-v2,cup_catch,{seed},{frame}.0,{reward},0.1\n" for i, (seed, frame, reward) in enumerate(rows)]
    (tmp_path / "curves/dmc_cup_catch.csv").write_text(",agent,task,seed,frame,episode_reward,hour\n" + "".join(lines))
    log(tmp_path / "ours", {1000: 2.0, 1500: 3.0, 2000: 1.9, 3000: 19.0}, task="cup_catch")
    log(tmp_path / "other", {1000: 2.0}, task="unheard_of")
    done = plot("ours", "other", "--published", "curves", "--out", "curves.png", cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "cup_catch ours, 1,000 frames: 2; published mean 3, range 1 to 6: within",
        "cup_catch ours, 2,000 frames: 2; published mean 6, range 2 to 12: below",
        "cup_catch ours, 3,000 frames: 19; published mean 9, range 3 to 18: above",
    ]
    beside = {(row[1], row[3]): row[6:] for row in table(tmp_path / "curves.csv")[1:] if row[2] == "evaluation"}
    assert beside[("ours", "2000")] == ["6.0", "2.0", "12.0"]
    assert beside[("ours", "1500")] == beside[("other", "1000")] == ["", "", ""]


def test_without_a_folder_the_milestones_that_ship_are_drawn(tmp_path):
    log(tmp_path / "ours", {20000: 572.7, 30000: 600.0, 40000: 977.7}, task="cartpole_balance")
    done = plot("ours", "--out", "curves.png", "--published", cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "cartpole_balance ours, 20,000 frames: 573; published mean 375, range 135 to 492: above",
        "cartpole_balance ours, 40,000 frames: 978; published mean 835, range 429 to 985: within",
    ]


@pytest.mark.parametrize(
    "words, code, line",
    [
        ((".",), 1, "error: eval.csv"),
        (("ours", "--published", "ours"), 1, "--published ours: no dmc_<task>.csv in it"),
        (("nameless", "--published"), 1, "nameless/config.json: names no task"),
        (("ours", "--level", "TD3"), 2, "argument --level: invalid level value: 'TD3'"),
    ],
)
def test_what_can_not_be_drawn_is_one_line(tmp_path, words, code, line):
    log(tmp_path / "ours", {0: 1.0}, task="cup_catch")
    log(tmp_path / "nameless", {0: 1.0})
    done = plot(*words, "--out", "curves.png", cwd=tmp_path, code=code)
    said = done.stderr.splitlines()
    assert line in said[-1] and (code == 2 or len(said) == 1)
    assert not list(tmp_path.glob("curves*"))
