"""train.py and distill.py as a user runs them: from pictures and from states, interrupted, resumed, misspelt."""

import csv
import json
import os
import signal
import time
from pathlib import Path

import imageio.v3 as iio
import pytest
import torch

from drqv2.snapshot import load_policy
from tests.cli.command import TINY, run, start
from tests.drqv2.runs import same
from tests.processes import wait_for

STATE = ("task=cartpole_swingup", "obs=state", "preset=debug", "deterministic=true", "use_tb=false")
TIMES = {"fps", "total_time", "act_ms", "physics_ms", "render_ms", "sample_ms", "update_ms"}


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def frames(found: list[dict[str, str]]) -> list[int]:
    return [int(row["frame"]) for row in found]


def episodes(run: Path) -> int:
    """How many train.csv holds."""
    path = run / "train.csv"
    return len(path.read_text(encoding="utf-8").splitlines()) - 1 if path.exists() else 0


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    run("train.py", *STATE, cwd=root)
    return root / "exp_local/cartpole_swingup/state_seed1"


def test_a_run_on_states_leaves_what_drqv2_users_expect(whole_run):
    names = {path.name for path in whole_run.iterdir()}
    assert {"snapshot.pt", "policy.pt", "train.csv", "eval.csv", "config.json", "replay"} <= names
    train, evaluation = rows(whole_run / "train.csv"), rows(whole_run / "eval.csv")
    assert (frames(train), frames(evaluation)) == (list(range(40, 401, 40)), [0, 200, 400])
    assert all(row["capped"] == "1" for row in train + evaluation), "episodes cut by max_decisions must say so"
    assert float(train[-1]["critic_loss"]) > 0
    assert load_policy(whole_run / "policy.pt").frame == 400


def test_the_same_command_again_is_finished_and_another_configuration_is_refused_by_key(whole_run):
    root, before = whole_run.parents[2], (whole_run / "train.csv").read_bytes()
    assert "finished:" in run("train.py", *STATE, cwd=root).stdout
    refused = run("train.py", *STATE, "lr=0.01", "batch_size=16", cwd=root, code=2)
    assert "batch_size=16 (was 8), lr=0.01 (was 0.0001)" in refused.stderr
    assert (whole_run / "train.csv").read_bytes() == before


def test_a_run_killed_again_and_again_ends_as_if_it_never_had_been(whole_run, tmp_path):
    folder = tmp_path / "exp_local/cartpole_swingup/state_seed1"
    kills = 0
    for target in (2, 4, 6, 8):
        process = start("train.py", *STATE, cwd=tmp_path)
        while process.poll() is None and episodes(folder) < target:
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    run("train.py", *STATE, cwd=tmp_path)
    assert kills >= 3
    for name in ("train.csv", "eval.csv"):
        assert rows(folder / name) == rows(whole_run / name)
    assert same(whole_run, folder)


def test_a_second_process_in_the_same_folder_is_refused_while_the_first_lives(tmp_path):
    long = ("num_train_frames=400000", "num_seed_frames=400000")
    # As a shell's background jobs are started: SIGINT ignored, which SIGTERM must not depend on.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        first = start("train.py", *STATE, *long, cwd=tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        wait_for((tmp_path / "exp_local/cartpole_swingup/state_seed1/train.csv").exists, first)
        second = run("train.py", *STATE, *long, cwd=tmp_path, code=2)
        assert f"process {first.pid} is training" in second.stderr
        first.send_signal(signal.SIGTERM)
        assert first.output(143).stdout.splitlines()[-1] == "stopped by SIGTERM"
    finally:
        first.send_signal(signal.SIGKILL)


def test_a_run_on_pixels_renders_resumes_and_makes_videos(tmp_path):
    words = ("task=reacher_easy", "preset=debug", "num_train_frames=120", "eval_every_frames=80", "max_decisions=10")
    run("train.py", *words, "num_train_frames=80", cwd=tmp_path)
    again = run("train.py", *words, cwd=tmp_path)
    assert "resuming at frame 80" in again.stdout
    folder = tmp_path / "exp_local/reacher_easy/pixels_seed1"
    assert frames(rows(folder / "train.csv")) == [20, 40, 60, 80, 100, 120]
    assert frames(rows(folder / "eval.csv")) == [0, 80, 120]
    video = iio.imread(folder / "eval_video/80.mp4")
    assert len(video) == 10 and video[..., :3].std() > 5
    policy = load_policy(folder / "policy.pt")
    assert policy.observation_shape == (9, 84, 84)
    assert policy.network(torch.zeros(2, 9, 84, 84, dtype=torch.uint8)).shape == (2, 2)
    assert (folder / "tb").is_dir()


# ---- distill.py, beside the shipped teachers ----


WORDS = (
    "task=reacher_easy",
    "num_teacher_frames=40",
    "max_decisions=10",
    "eval_every_frames=80",
    "num_eval_episodes=1",
    "eval_workers=0",
    "snapshot_every_frames=20",
    "batch_size=4",
    "hidden_dim=16",
    "lr_schedule=1e-3",
)


def test_a_distilled_policy_resumes_and_is_what_convert_finds(tmp_path):
    first = run("distill.py", *WORDS, "num_train_frames=60", cwd=tmp_path)
    again = run("distill.py", *WORDS, "num_train_frames=80", cwd=tmp_path)
    assert "resuming at frame 60" in again.stdout
    folder = tmp_path / "exp_local/reacher_easy/distilled_seed1"
    assert {"snapshot.pt", "policy.pt", "train.csv", "eval.csv", "config.json", "replay", "tb", "eval_video"} <= {
        p.name for p in folder.iterdir()
    }
    precision = load_policy(folder / "policy.pt").config["precision"]
    # Not "auto", which is another one on another machine.
    assert json.loads((folder / "config.json").read_text())["precision"] == precision
    assert precision in ("fp32", "bf16") and f"precision {precision}," in first.stdout
    converted = run("convert.py", *TINY, "env_name=reacher_easy", "crpi.alpha=0", cwd=tmp_path)
    assert "distilled_seed1" in converted.stdout
