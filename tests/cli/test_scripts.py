"""scripts/: kept reports and gains, learning curves, checkpoints that ship."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import imageio.v3 as imageio
import pytest
import torch

from drqv2.snapshot import load_policy
from evaluation import result as results
from evaluation.conversion import ConversionRun
from evaluation.policy_choice import CHECKPOINTS
from evaluation.settings import ConvertSettings
from report.make import make
from report.plot import axes
from runtime.files import sha256_file
from scripts import gains, plot_curves
from scripts.ship_checkpoint import training_seconds
from tests import configs
from tests.cli.command import ROOT, Output, run
from tests.drqv2.policy_files import write_small_policy
from tests.report.factories import config, result, write_plan


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where the script works: a name that Markdown has to escape."""
    folder = tmp_path / "scratch_folder"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))


def keep(*words, code=0):
    return run("-m", "scripts.keep_report", *map(str, words), cwd=ROOT, code=code)


def sweep(folder: Path, task: str, mean: float, video: bytes) -> Path:
    """One finished job with a video, and one that is missing."""
    done = result([800.0, 900.0], {0.0: [mean, mean]}, env_name=task, neuron="if", SNN_ts=32, alpha=0.0)
    done.artefacts["video.mp4"] = hashlib.sha256(video).hexdigest()
    results.write(done, folder / "0")
    (folder / "0" / "video.mp4").write_bytes(video)
    write_plan(folder, {"0": done.config, "1": config(env_name=task, neuron="mt", SNN_ts=2, alpha=0.0)})
    return folder


def returns(target: Path) -> list[tuple[str, ...]]:
    rows = csv.DictReader((target / "results.csv").open(newline=""))
    return [(row["folder"], row["task"], row["return"]) for row in rows if row["method"] != "ann"]


@pytest.fixture
def kept(tmp_path, scratch):
    target = tmp_path / "docs" / "table"
    keep(sweep(tmp_path / "runs" / "one", "cheetah_run", 410.0, b"first"), target)
    return target


def test_a_kept_report_needs_nothing_but_its_folder(kept, tmp_path):
    text = (kept / "report.md").read_text()
    assert "2 jobs: 1 finished, 1 without a result" in text and "scratch" not in text
    assert returns(kept) == [("one/0", "cheetah_run", "410.0")] * 2
    assert "](<videos/one/0.mp4>)" in text and (kept / "videos/one/0.mp4").read_bytes() == b"first"
    assert {path.suffix for path in (kept / "figures").iterdir()} == {".png"}


def test_kept_jobs_and_new_ones_make_one_report(kept, tmp_path):
    two = sweep(tmp_path / "runs" / "two", "reacher_easy", 620.0, b"second")
    keep("--beside", kept, two, kept)
    assert returns(kept) == [("one/0", "cheetah_run", "410.0")] * 2 + [("two/0", "reacher_easy", "620.0")] * 2
    assert [(kept / f"videos/{name}/0.mp4").read_bytes() for name in ("one", "two")] == [b"first", b"second"]
    keep("--beside", kept, tmp_path / "again")
    assert (tmp_path / "again/report.md").read_text() == (kept / "report.md").read_text()


def test_jobs_of_one_name_in_two_kept_reports_do_not_replace_each_other(kept, tmp_path):
    shutil.copytree(kept, tmp_path / "other")
    done = keep("--beside", kept, "--beside", tmp_path / "other", tmp_path / "both", code=1)
    assert "other: one: a sweep of this name is there already" in done.stderr and not (tmp_path / "both").exists()


@pytest.mark.parametrize("words", [("nowhere",), ("--beside", "nowhere"), ("--beside", "docs/table", "runs/one")])
def test_what_cannot_be_kept_leaves_the_documents_as_they_are(words, kept, tmp_path):
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    done = keep(*(word if word.startswith("--") else tmp_path / word for word in words), kept, code=1)
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == before


# ---- gains from results.csv alone ----


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


# ---- plot_curves.py over logs written by hand ----


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


# ---- ship_checkpoint.py, and what it made: calibrations that convert.py uses ----


INDEX = json.loads((CHECKPOINTS / "checkpoints.json").read_text())


def ship(*words: str, cwd: Path, code: int = 0) -> Output:
    return run("-m", "scripts.ship_checkpoint", *words, cwd=cwd, code=code, timeout=600)


def test_a_calibration_of_the_command_is_used_by_convert_and_changes_nothing_else(tmp_path):
    path = write_small_policy(tmp_path / "policy.pt")
    before = load_policy(path)
    index = (CHECKPOINTS / "checkpoints.json").read_bytes()
    done = ship("--calibrate", "policy.pt", cwd=tmp_path)
    assert "policy.pt: calibrated," in done.stdout
    after = load_policy(path)
    assert all(
        torch.equal(value, after.network.state_dict()[name]) for name, value in before.network.state_dict().items()
    )
    assert (CHECKPOINTS / "checkpoints.json").read_bytes() == index and after.sha256 != before.sha256
    # Everything at its default but what the thresholds don't depend on.
    words = (
        "env_name=cartpole_swingup",
        "obs=state",
        "snapshot=policy.pt",
        "SNN_ts=1",
        "crpi.alpha=0",
        "num_eval_episodes=1",
    )
    done = run("convert.py", *words, cwd=tmp_path)
    assert "thresholds: those in the policy's file (5000 decisions, made on " in done.stdout, done.stderr
    [found] = map(results.read, tmp_path.glob("results/cartpole_swingup/*/result.json"))
    assert found.conversion.calibration == {"steps": 5000, "percentile": None, "from": "policy file"}


@pytest.mark.parametrize(
    "words, code, reason",
    [
        ((), 2, "give RUN_DIR with --command, or --calibrate"),
        (("run",), 2, "give RUN_DIR with"),
        (("run", "--calibrate", "policy.pt"), 2, "give RUN_DIR with"),
        (("--calibrate", "absent.pt"), 1, "error: absent.pt: no such file"),
        (("absent", "--command", "x"), 1, "error: absent/policy.pt: no such file"),
    ],
)
def test_wrong_words_are_one_line(tmp_path, words, code, reason):
    assert reason in ship(*words, cwd=tmp_path, code=code).stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(INDEX))
def test_a_checkpoint_that_ships_carries_the_calibration_of_the_default_settings(name):
    """Where this fails after a change of pinned packages: python -m scripts.ship_checkpoint --calibrate."""
    folder, task = name.split("/")
    obs, path = "state" if folder == "state" else "pixels", CHECKPOINTS / f"{name}.pt"
    assert sha256_file(path) == INDEX[name]["sha256"] and path.stat().st_size <= 7e6
    conversion = ConversionRun(
        ConvertSettings.from_dict(configs.config("convert", env_name=task, obs=obs, snapshot=str(path))),
        say=lambda line: None,
    )
    assert conversion.converted().origin == "policy file"


def test_the_time_of_a_run_is_that_of_its_frames_and_not_of_its_last_evaluation(tmp_path):
    (tmp_path / "eval.csv").write_text("frame,total_time\n0,5.0\n")
    (tmp_path / "train.csv").write_text("frame,total_time\n1000,60.5\n2000,120.5\n3000,180.5\n")
    assert [training_seconds(tmp_path, frame) for frame in (1000, 2999, 3000)] == [60.5, 120.5, 180.5]
