"""Whole programs on the pretended device: what they write, and what the host waits for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from drqv2.snapshot import load_policy
from evaluation import result as results
from tests.cli.command import ROOT, environment, run

DEBUG = ("task=cartpole_swingup", "save_video=false", "use_tb=false", "max_decisions=20", "eval_workers=0")
DEBUG += ("num_eval_episodes=1", "eval_every_frames=80", "batch_size=4", "hidden_dim=16")
CONVERT = ("env_name=cartpole_swingup", "SNN_ts=3", "neuron=dc", "max_decisions=5", "num_workers=0", "chunk=2")
CONVERT += ("num_eval_episodes=1", "calibration.steps=6", "save=true")


def pretended(program, *words, cwd):
    """The program's output, and the host's waits by file."""
    words = (sys.executable, "-m", "tests.cuda", str(cwd / "log.json"), program, *words)
    done = subprocess.run(words, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    log = json.loads((cwd / "log.json").read_text())
    assert set(log["devices"]) == {"cuda:0"}
    return done.stdout, log


def waits_in(log, folder):
    return sum(count for line, count in log["waits"].items() if line.startswith(folder))


def test_updates_of_every_learner(tmp_path):
    pretended("tests/cuda/learners.py", cwd=tmp_path)


def test_a_policy_is_trained_and_converted(tmp_path):
    words = ("preset=debug", *DEBUG, "num_train_frames=120", "num_seed_frames=80", "root=runs")
    said, log = pretended("train.py", *words, "device=cuda", cwd=tmp_path)
    assert "on cuda:0 (Pretended GPU), precision tf32" in said
    folder = tmp_path / "runs/cartpole_swingup/pixels_seed1"
    assert load_policy(folder / "policy.pt").config["precision"] == "tf32"
    assert json.loads((folder / "config.json").read_text())["precision"] == "tf32"
    # Batches are copied by the thread that samples them; the main one copies an observation or a noise at a time.
    assert log["pinned"]["replay"] >= 10 * 4 * 2 * 9 * 84 * 84
    # An action is waited for, and an episode's losses: in all less than once a decision of training and evaluation.
    assert waits_in(log, "/drqv2/agent") == waits_in(log, "/drqv2/prefetch") == 0
    assert waits_in(log, "/drqv2/learner.py") <= 60 + 3 * 20 + 32

    here = run("convert.py", *CONVERT, "root=runs", "device=cpu", "store=here", cwd=tmp_path)
    assert here.returncode == 0, here.stderr
    said, log = pretended("convert.py", *CONVERT, "root=runs", "device=cuda:0", "store=there", cwd=tmp_path)
    [cpu, cuda] = [results.read(path) for path in sorted(tmp_path.glob("results/**/result.json"))]
    for theirs, ours in ((cpu.ann, cuda.ann), *zip(cpu.snn, cuda.snn, strict=True)):
        rewards = [rollouts.episodes[0].reward_sum for rollouts in (theirs, ours)]
        assert rewards[0] == pytest.approx(rewards[1], rel=1e-3)
    assert (cuda.compute["device"], cuda.compute["max_batch_bytes"]) == ("Pretended GPU, cuDNN 91900", 512 * 2**20)


def test_a_policy_is_distilled(tmp_path):
    words = (*DEBUG, "num_teacher_frames=40", "num_train_frames=80", "precision=bf16", "device=cuda:0")
    said, log = pretended("distill.py", *words, f"teacher={ROOT}/checkpoints/state/cartpole_swingup.pt", cwd=tmp_path)
    assert "precision bf16" in said and waits_in(log, "/drqv2/student") == 0 and log["pinned"]["replay"] > 0
