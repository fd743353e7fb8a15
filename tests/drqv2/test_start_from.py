"""A run that starts where another stands: the same as that run going on, unless its options say otherwise."""

import json

import numpy as np
import pytest

from drqv2.snapshot import read_snapshot
from drqv2.trainer import Trainer
from runtime.errors import UserError
from runtime.files import sha256_file
from tests.configs import train_settings


def train(root, name="run", **changes):
    values = {
        "num_train_frames": 120,
        "num_seed_frames": 20,
        "num_expl_steps": 10,
        "max_decisions": 10,
        "snapshot_every_frames": 20,
    }
    run = Trainer(train_settings(root, **(values | {"name": name} | changes)))
    run.run()
    return run.run_dir.path


def tensors(folder):
    return read_snapshot(folder / "snapshot.pt")[1]


def same(one, other):
    return all(np.array_equal(tensors(one)[name], tensors(other)[name]) for name in tensors(one))


def learned(folder):
    return [line.split(",")[:5] for line in (folder / "train.csv").read_text().splitlines()]


def test_with_the_same_options_it_is_the_run_going_on(tmp_path):
    whole = train(tmp_path)
    half = train(tmp_path, "half", num_train_frames=60)
    before = {path: path.read_bytes() for path in half.rglob("*") if path.is_file()}
    went_on = train(tmp_path, "new", start_from=str(half))
    assert same(whole, went_on) and learned(whole) == learned(went_on)
    assert {path: path.read_bytes() for path in half.rglob("*") if path.is_file()} == before
    record = json.loads((went_on / "start_from.json").read_text())
    assert record["snapshot_sha256"] == sha256_file(half / "snapshot.pt") and record["frame"] == 60
    assert record["config"]["name"] == "half"


def test_other_options_count_from_there_and_the_same_command_resumes(tmp_path):
    half = train(tmp_path, "half", num_train_frames=60)
    changes = {"start_from": str(half), "lr": 1e-3, "stddev_schedule": 0.02}
    whole = train(tmp_path, "whole", **changes)
    train(tmp_path, "parts", num_train_frames=80, **changes)
    parts = train(tmp_path, "parts", **changes)
    assert same(whole, parts)
    assert not same(whole, train(tmp_path, "as_before", start_from=str(half)))
    assert learned(whole)[:4] == learned(half)[:4]


def test_what_was_cut_short_is_begun_again(tmp_path):
    half = train(tmp_path, "half", num_train_frames=60)
    whole = train(tmp_path, "whole", start_from=str(half))
    cut = whole.parent / "cut"
    (cut / "replay").mkdir(parents=True)
    (cut / ".snapshot.pt.tmp").write_bytes(b"half")
    (cut / "replay" / "000000.episodes").write_bytes(b"half")
    assert same(whole, train(tmp_path, "cut", start_from=str(half)))


def test_a_run_that_does_not_fit_is_refused_and_nothing_is_left_that_would_count(tmp_path):
    half = train(tmp_path, "half", num_train_frames=60)
    for changes, message in (
        ({"hidden_dim": 48}, r"hidden_dim=48: .*give the same"),
        ({"task_name": "finger_spin"}, r"task_name=finger_spin: .*has cartpole_swingup"),
        ({"start_from": str(tmp_path)}, r"start_from=.*has no snapshot.pt"),
    ):
        with pytest.raises(UserError, match=message):
            train(tmp_path, "new", **({"start_from": str(half)} | changes))
    (half / "replay" / "000000.episodes").unlink()
    with pytest.raises(UserError, match=r"start_from=.*000000.episodes"):
        train(tmp_path, "new", start_from=str(half))
    (half / "snapshot.pt").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"start_from=.*can't be used"):
        train(tmp_path, "new", start_from=str(half))
    assert not (half.parent / "new" / "snapshot.pt").exists()
