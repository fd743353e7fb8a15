"""Wrong command lines, each one line that names option, value and remedy, exit code 2, and nothing left behind.

Run inside this process, which spares seconds of start-up each; a few also as processes of their own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import run, run_here

# (program, words, what the line must hold: the option with its value, and the remedy)
WRONG = [
    # words that are no options
    ("train", "batchsize=3", ("batchsize=3", "batch_size")),
    ("train", "agent=foo", ("agent=foo", "cfgs/train.yaml")),
    ("train", "+extra=3", ("+extra=3", "cfgs/train.yaml")),
    ("train", "++batch_siz=3", ("++batch_siz=3", "batch_size")),
    ("train", "+lr=3", ("+lr=3", "write lr=3")),
    ("train", "~lr", ("~lr", "write lr=value")),
    ("train", "render.devices=3", ("render.devices=3", "render.device")),
    ("train", "render=3", ("render=3", "render.device")),
    ("train", "hydra.nonsense=1", ("hydra.nonsense=1", "unknown option")),
    ("train", "--frobnicate", ("--frobnicate", "name=value")),
    ("train", "=3", ("=3", "name=value")),
    ("train", "lr", ("lr", "name=value")),
    ("train", "lr=[1", ("lr=[1", "quote")),
    ("train", "seed=1,2", ("seed=1,2", "--multirun")),
    ("train", "task@_global_=cheetah_run", ("task@_global_=cheetah_run", "write task=cheetah_run")),
    ("convert", "SNN_tz=8", ("SNN_tz=8", "SNN_ts")),
    ("convert", "+crpi.beta=1", ("+crpi.beta=1", "crpi.alpha")),
    ("convert", "crpi=3", ("crpi=3", "crpi.alpha")),
    ("convert", "~crpi", ("~crpi",)),
    ("convert", "neuron@_global_=if", ("write neuron=if",)),
    # groups
    ("train", "task=cheetah_ran", ("task/cheetah_ran", "cheetah_run")),
    ("train", "task=easy", ("task/easy", "cheetah_run")),
    ("train", "task=null", ("task=null", "cheetah_run")),
    ("train", "preset=fast", ("preset/fast", "cpu")),
    ("convert", "neuron=lif", ("neuron/lif", "snm")),
    ("convert", "neuron=null", ("neuron=null", "snm")),
    # types and ranges
    ("train", "obs=sound", ("obs=sound", "pixels, state")),
    ("train", "batch_size=0", ("batch_size=0", "at least 1")),
    ("train", "batch_size=many", ("batch_size=many", "integer")),
    ("train", "nstep=1.5", ("nstep=1.5", "integer")),
    ("train", "discount=1.5", ("discount=1.5", "from 0.0 to 1.0")),
    ("train", "lr=-1", ("lr=-1", "from 0.0")),
    ("train", "lr=nan", ("lr=nan", "from 0.0")),
    ("train", "seed=-1", ("seed=-1", "at least 0")),
    ("train", "seed=99999999999", ("seed=99999999999", "below 4294967296")),
    ("train", "precision=fp8", ("precision=fp8", "bf16")),
    ("train", "actor_trunk=gelu", ("actor_trunk=gelu", "relu")),
    ("train", "stddev_schedule=linear(1)", ("stddev_schedule",)),
    ("train", "compile=maybe", ("compile=maybe", "true or false")),
    ("train", "max_decisions=0", ("max_decisions=0", "or null")),
    ("train", "nstep=0", ("nstep=0", "at least 1")),
    ("train", "lr=fast", ("lr=fast", "number")),
    ("train", "use_tb=perhaps", ("use_tb=perhaps", "true or false")),
    ("train", "num_eval_episodes=0", ("num_eval_episodes=0", "at least 1")),
    ("train", "frame_stack=0", ("frame_stack=0", "at least 1")),
    ("train", "render.device=-3", ("render.device=-3", "0, 1")),
    ("train", "num_train_frames=???", ("num_train_frames", "give")),
    ("train", "name=a/b", ("name=a/b", "root=")),
    ("convert", "SNN_ts=0", ("SNN_ts=0", "at least 1")),
    ("convert", "SNN_ts=2.5", ("SNN_ts=2.5", "integer")),
    ("convert", "crpi.alpha=2.1", ("crpi.alpha=2.1", "from 0 to 2")),
    ("convert", "crpi.alpha=-0.1", ("crpi.alpha=-0.1", "from 0 to 2")),
    ("convert", "crpi.alpha=[]", ("crpi.alpha=[]", "grid")),
    ("convert", "crpi.alpha=[0,0]", ("crpi.alpha=[0, 0]", "twice")),
    ("convert", "crpi.mode=none", ("crpi.mode=none", "residual")),
    ("convert", "crpi.select=best", ("crpi.select=best", "honest")),
    ("convert", "seed=-1", ("seed=-1", "from 0")),
    ("convert", "calibration.percentile=101", ("calibration.percentile=101", "from 1 to 100")),
    ("convert", "calibration.steps=0", ("calibration.steps=0", "at least 1")),
    ("convert", "num_workers=-1", ("num_workers=-1", "at least 0")),
    ("convert", "max_batch_bytes=0", ("max_batch_bytes=0", "at least 1")),
    ("convert", "dtype=float16", ("dtype=float16", "bfloat16")),
    ("convert", "video=1", ("video=1", "true or false")),
    ("convert", "env_name=walker", ("env_name=walker", "walker_walk")),
    # options that contradict each other
    ("convert", "num_envs=3 chunk=5", ("num_envs=3", "chunk=5")),
    ("convert", "neuron=if neuron.n_thresholds=4", ("neuron.n_thresholds=4", "mt")),
    ("convert", "neuron=if neuron.coding=differential", ("snm",)),
    ("train", "replay_buffer_size=100000000 num_train_frames=1000000000", ("replay_buffer_size", "smaller")),
    # files and devices
    ("convert", "snapshot=nowhere.pt", ("nowhere.pt", "policy.pt")),
    ("convert", "env_name=walker_run obs=state", ("env_name=walker_run", "python train.py task=walker_run obs=state")),
    ("convert", "hydra.run.dir=/proc/nowhere", ("hydra.run.dir", "/proc/nowhere", "can be written")),
    ("train", "root=/dev/null/x", ("root", "/dev/null")),
    ("train", "--config-dir=/nowhere", ("/nowhere",)),
    ("train", "device=tpu", ("device=tpu", "cpu")),
    ("train", "device=cuda:99", ("device=cuda:99", "use")),
    ("convert", "device=cuda:99", ("device=cuda:99", "use")),
    ("convert", "render.device=-1", ("render.device=-1", "at least 0")),
    ("analyze", "SNN_tz=8", ("SNN_tz=8", "SNN_ts")),
    ("analyze", "+extra=3", ("+extra=3", "cfgs/analyze.yaml")),
    ("analyze", "SNN_ts=0", ("SNN_ts=0", "at least 1")),
    ("analyze", "crpi.alpha=2.1", ("crpi.alpha=2.1", "2")),
    ("analyze", "env_name=walker", ("env_name=walker", "walker_walk")),
    ("analyze", "snapshot=nowhere.pt", ("nowhere.pt", "policy.pt")),
]
IDS = [f"{program} {words}" for program, words, _ in WRONG]


@pytest.mark.parametrize("program, words, holds", WRONG, ids=IDS)
def test_a_wrong_command_line_is_one_line_and_leaves_nothing(tmp_path, program, words, holds, capsys, monkeypatch):
    code, stderr = run_here(program, tuple(words.split()), tmp_path, capsys, monkeypatch)
    assert_refusal(code, stderr, holds, tmp_path)


@pytest.mark.parametrize("program, words, holds", [WRONG[0], WRONG[9], WRONG[43]], ids=[IDS[0], IDS[9], IDS[43]])
def test_the_same_holds_for_a_process_of_its_own(tmp_path, program, words, holds):
    done = run(f"{program}.py", *words.split(), cwd=tmp_path)
    assert_refusal(done.returncode, done.stderr, holds, tmp_path)


def assert_refusal(code: int, stderr: str, holds: tuple[str, ...], folder: Path) -> None:
    lines = stderr.strip().splitlines()
    assert code == 2, stderr
    assert len(lines) == 1 and lines[0].startswith("error: ") and all(word in lines[0] for word in holds), stderr
    assert not list(folder.iterdir()), "a refused command left something behind"
