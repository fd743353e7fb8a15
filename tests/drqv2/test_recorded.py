"""Runs that earlier versions began go on as they would have there; recorded/README.md says how they were made."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from drqv2.resumption import RunDir
from drqv2.settings import BEFORE_THE_OPTION, MAY_CHANGE
from drqv2.snapshot import load_policy, read_snapshot
from drqv2.trainer import Trainer
from tests.configs import CFGS, train_settings
from tests.drqv2.runs import column
from tests.refusals import refused

RECORDED = Path(__file__).parent / "recorded"
OPTIONS = {"name": "run", "num_train_frames": 240, "eval_every_frames": 80, "num_seed_frames": 40, "num_expl_steps": 20}
OPTIONS |= {"feature_dim": 4, "hidden_dim": 8, "stddev_schedule": "linear(1.0,0.1,100000)", "deterministic": True}


@pytest.fixture(params=["71f6d5d", "fb88437"])
def root(request, tmp_path) -> Path:
    shutil.copytree(RECORDED / f"run_{request.param}", tmp_path / "cartpole_swingup/run")
    return tmp_path


def test_it_learns_and_is_evaluated_as_it_would_have_been(root):
    folder = root / "cartpole_swingup/run"
    Trainer(train_settings(root, **OPTIONS)).run()
    for kind in ("train", "eval"):
        want = RECORDED / f"{kind}_240.csv"
        for name in want.read_text(encoding="utf-8").splitlines()[0].split(","):
            assert column(folder / f"{kind}.csv", name) == pytest.approx(column(want, name), rel=1e-4, nan_ok=True)
    assert load_policy(folder / "policy.pt").frame == 240
    # Two snapshots later nothing is left of the files with an episode each.
    assert [path.name for path in (folder / "replay").iterdir()] == ["000000.episodes"]


def test_a_new_run_may_start_from_it(root):
    source = root / "cartpole_swingup/run"
    files = sorted(path.name for path in source.rglob("*"))
    trainer = Trainer(train_settings(root, **OPTIONS | {"name": "new", "start_from": str(source), "lr": 1e-3}))
    assert trainer.step == 80 and len(trainer.replay) == 80
    trainer.run()
    assert read_snapshot(root / "cartpole_swingup/new/snapshot.pt")[0]["step"] == 120
    assert sorted(path.name for path in source.rglob("*")) == files


def test_an_option_that_it_does_not_name_had_the_value_of_then(root):
    for name, value in (("normalize_observations", True), ("hidden_sign", [0]), ("replay_compression", "none")):
        with refused(rf"{name}=.* \(was {'zstd' if value == 'none' else BEFORE_THE_OPTION[name]}\)"):
            Trainer(train_settings(root, **OPTIONS | {name: value}))


@pytest.mark.parametrize("program", ["train", "distill"])
def test_every_option_may_be_absent_from_a_stored_configuration_or_always_was_there(tmp_path, program):
    """A new option comes with what was in force before it: else runs of today couldn't be resumed tomorrow."""
    always = set(json.loads((RECORDED / "run_71f6d5d/config.json").read_text(encoding="utf-8")))
    first_distill = {"lr_schedule", "num_teacher_frames", "episode_decisions", "teacher", "teacher_sha256"}
    values = yaml.safe_load((CFGS / f"{program}.yaml").read_text(encoding="utf-8"))
    new = values.keys() - always - first_distill - {"defaults", "hydra"}
    RunDir(tmp_path, values | {"lock": True}).close()
    (tmp_path / "snapshot.pt").touch()
    stored = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    for name in new:
        stored.pop(name)
    (tmp_path / "config.json").write_text(json.dumps(stored), encoding="utf-8")
    RunDir(tmp_path, values | {name: BEFORE_THE_OPTION[name] for name in new - MAY_CHANGE}).close()


def test_a_stored_auto_is_the_precision_that_the_snapshot_was_computed_in(root, monkeypatch):
    path = root / "cartpole_swingup/run/config.json"
    stored = json.dumps(json.loads(path.read_text()) | {"precision": "auto"})
    path.write_text(stored)
    Trainer(train_settings(root, **OPTIONS)).close()
    path.write_text(stored)
    monkeypatch.setattr("drqv2.run.resolve_precision", lambda name, device: "bf16")
    with refused("precision=bf16: the run was computed in fp32; give precision=fp32"):
        Trainer(train_settings(root, **OPTIONS))
