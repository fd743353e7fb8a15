"""scripts/keep_report.py and scripts/gains.py: reports in the documents, and gains from what they keep."""

import csv
import hashlib
from pathlib import Path

import pytest

from evaluation import result as results
from report.make import make
from scripts import gains
from tests.cli.command import ROOT, run
from tests.report.factories import config, result, write_plan


@pytest.fixture(autouse=True)
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
def kept(tmp_path):
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
