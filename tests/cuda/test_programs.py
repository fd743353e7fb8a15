"""Whole programs on a CUDA device: what they write, and what the host waits for."""

import json
import re
from pathlib import Path

import pytest

from drqv2.snapshot import load_policy
from scripts import selfcheck
from tests.cli.command import renderer
from tests.processes import ROOT, python

DISTILL = """task=cartpole_swingup save_video=false use_tb=false max_decisions=20 eval_workers=0 num_eval_episodes=1
             eval_every_frames=80 num_teacher_frames=40 num_train_frames=80 batch_size=4 hidden_dim=16
             precision=published device=cuda""".split()


@pytest.fixture
def on_gpu(tmp_path, monkeypatch):
    """Runs a program there; returns its output and `tests.cuda.gpu.Log` as JSON."""
    monkeypatch.chdir(tmp_path)

    def program(*words):
        printed = python("-m", "tests.cuda", "log.json", *words, cwd=tmp_path, **renderer()).stdout
        log = json.loads((tmp_path / "log.json").read_text())
        assert set(log["devices"]) == {"cuda:0"}
        return printed, log

    return program


def waits(log, *folders):
    return sum(count for line, count in log["waits"].items() if line.startswith(folders))


def test_updates_of_every_learner(on_gpu):
    on_gpu("tests/cuda/learners.py")


def test_the_self_check_trains_and_converts(on_gpu, monkeypatch, capsys):
    logs, here = {}, selfcheck.python

    def python(program, *words):
        if "device=cpu" in words:
            here(program, *words)
        else:
            logs[program] = on_gpu(program, *words)[1]

    monkeypatch.setattr(selfcheck, "python", python)
    monkeypatch.setattr(selfcheck, "NEURONS", ("dc",))
    assert selfcheck.main("cuda:0") == 0, capsys.readouterr().out
    train, convert = logs["train.py"], logs["convert.py"]
    # Batches are copied by the thread that samples them; the main one copies an observation or a noise at a time.
    assert train["pinned"]["replay"] >= 10 * 8 * 2 * 9 * 84 * 84
    # Only actions are waited for, in training and in evaluations, and new networks brought to the device.
    assert waits(train, "/drqv2/agent", "/drqv2/prefetch") == 0 < waits(train, "/drqv2/learner") <= 60 + 3 * 20 + 32
    # What the host waits for lies before and behind the networks, not within them.
    assert waits(convert, "/snn/recurrence", "/snn/simulate", "/snn/slots", "/snn/crpi_controls") == 0
    assert 0 < waits(convert, "/evaluation/policies", "/snn/activity")

    there = json.loads(Path("selfcheck.json").read_text())["cuda:0"]
    monkeypatch.setattr(selfcheck, "numbers", lambda device, folder: there if device == "cpu" else moved)
    moved = there | {"spikes": {"dc": [1.05 * n for n in there["spikes"]["dc"]]}}
    assert selfcheck.main("cuda:0") == 1
    said = capsys.readouterr().out
    assert said.count("DIFFERS") == 1 and "spikes   dc           apart by 5.0e-02 of their size, bound 0.01: D" in said


def test_a_policy_is_distilled(on_gpu):
    said, log = on_gpu("distill.py", *DISTILL, f"teacher={ROOT}/checkpoints/state/cartpole_swingup.pt")
    assert re.search(r"on cuda:0 \(.+\), precision tf32", said)
    assert waits(log, "/drqv2/student", "/drqv2/prefetch") == 0 < log["pinned"]["replay"]
    folder = Path("exp_local/cartpole_swingup/distilled_seed1")
    stored = json.loads((folder / "config.json").read_text())["precision"]
    assert stored == load_policy(folder / "policy.pt").config["precision"] == "tf32"
