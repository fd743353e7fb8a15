"""What a process leaves that ends at any moment, what the next one makes of it, and runs that start from others."""

import builtins
import errno
import fcntl
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from drqv2.resumption import RunDir
from drqv2.settings import BEFORE_THE_OPTION, MAY_CHANGE
from drqv2.snapshot import SNAPSHOT, load_policy, read_snapshot
from drqv2.trainer import Trainer
from envs import seeds
from runtime.errors import UserError
from runtime.files import atomic_write, sha256_file
from tests.configs import CFGS, train_settings
from tests.drqv2.runs import column, contents, finished, folder, same, small
from tests.refusals import refused


def trainer(root: Path, **changes) -> Trainer:
    return Trainer(small(root, **{"num_train_frames": 60} | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    trainer(root).run()
    return root


@pytest.fixture
def root(whole, tmp_path) -> Path:
    """A copy of a run of 60 frames that a test may break; snapshots of frames 60 (newest) and 60 or 40 before it."""
    shutil.copytree(whole, tmp_path / "root")
    return tmp_path / "root"


def run_folder(root: Path) -> Path:
    return root / "cartpole_swingup/run"


@pytest.mark.parametrize("changes", [{"normalize_observations": True}, {"hidden_sign": [2, 3]}], ids=str)
def test_a_run_stopped_and_resumed_ends_as_a_whole_one(tmp_path, changes):
    whole = folder(tmp_path / "whole", task_name="finger_spin", **changes)
    finished(tmp_path / "parts", task_name="finger_spin", num_train_frames=60, **changes)
    assert same(whole, folder(tmp_path / "parts", task_name="finger_spin", **changes))
    assert not same(whole, folder(tmp_path / "without", task_name="finger_spin"))


# ---- a process killed between two files ----


@pytest.mark.parametrize("renamed", ["none", "one", "both"])
@pytest.mark.parametrize("started", [False, True])
def test_a_snapshot_killed_between_its_renames_is_the_one_that_counts(root, renamed, started):
    place = run_folder(root)
    shutil.copy(place / SNAPSHOT, place / "snapshot.new.pt")
    if renamed != "none":
        os.replace(place / SNAPSHOT, place / "snapshot.prev.pt")
    if renamed == "both":
        os.replace(place / "snapshot.new.pt", place / SNAPSHOT)
    if started:  # from another run, whose frame must not come back
        shutil.copytree(place, place.parent / "source")
        words = {"start_from": str(place.parent / "source"), "name": "new", "num_train_frames": 80}
        run = trainer(root, **words)
        assert run.step == 30
        run.run()
        os.replace(place.parent / "new" / SNAPSHOT, place.parent / "new/snapshot.prev.pt")
        assert trainer(root, **words).step == 40
    else:
        assert trainer(root).step == 30 and not (place / "snapshot.new.pt").exists()


@pytest.mark.parametrize("left", ["old", "none", "other weights"])
def test_a_policy_that_is_not_its_snapshots_is_written_anew(root, tmp_path, left):
    place = run_folder(root)
    want = load_policy(place / "policy.pt")
    if left == "none":
        (place / "policy.pt").unlink()
    else:
        other = {"num_train_frames": 40} if left == "old" else {"num_train_frames": 60, "seed": 2}
        shutil.copy(folder(tmp_path / "other", **other) / "policy.pt", place)
    trainer(root).run()  # says that it is finished
    got = load_policy(place / "policy.pt")
    weight = "actor.policy.0.weight"
    assert got.frame == 60 and (got.network.state_dict()[weight] == want.network.state_dict()[weight]).all()


def test_a_run_killed_behind_its_last_evaluation_keeps_it(root):
    before = frames(root)
    run = trainer(root, num_train_frames=80)
    run._write_snapshot = lambda: None  # the process ends before
    run.run()
    trainer(root, num_train_frames=80).run()
    assert frames(root) == [*before, 80]


def test_no_point_of_tensorboard_comes_twice(tmp_path):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    killed = trainer(tmp_path, use_tb=True)
    killed._write_snapshot = lambda: None  # before its first
    killed.run()
    trainer(tmp_path, use_tb=True).run()
    killed = trainer(tmp_path, use_tb=True, num_train_frames=100)
    killed._write_snapshot = lambda: None  # all that follows is forgotten
    killed.run()
    trainer(tmp_path, use_tb=True, num_train_frames=100).run()
    points = Counter(
        (value.tag, event.step)
        for path in (run_folder(tmp_path) / "tb").iterdir()
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    )
    assert set(points.values()) == {1}
    assert {step for tag, step in points if tag == "train/episode_reward"} == {20, 40, 60, 80, 100}


def test_weights_and_biases_gets_what_the_tables_hold(tmp_path, monkeypatch):
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for frames in (40, 80):  # a run and its resumption
        trainer(tmp_path, use_wandb=True, num_train_frames=frames).run()
    wandb.teardown()  # its service may still be writing
    place, returns = run_folder(tmp_path), {}
    paths = sorted(place.glob("wandb/offline-run-*/run-*.wandb"))
    assert [path.stem for path in paths] == [f"run-{(place / 'wandb_id').read_text()}"] * 2
    for path in paths:
        store = DataStore()
        store.open_for_scan(str(path))
        while (data := store.scan_data()) is not None:
            items = {
                item.key or item.nested_key[0]: json.loads(item.value_json)
                for item in Record.FromString(data).history.item
            }
            if "train/episode_reward" in items:
                returns[items["_step"]] = items["train/episode_reward"]
    table = dict(zip(*(column(place / "train.csv", name) for name in ("frame", "episode_reward"))))
    assert returns == pytest.approx(table, rel=1e-8) and len(table) == 4


def test_weights_and_biases_without_package_or_account(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with refused(r"^use_wandb=true: needs wandb.*pip install '\.\[wandb\]'$"):
        trainer(tmp_path, use_wandb=True)


# ---- what a system refuses ----


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("name", [SNAPSHOT, "000000.episodes"])
def test_what_cannot_be_read_now_is_not_damaged(root, monkeypatch, code, name):
    def kept() -> dict[Path, bytes]:
        return {path: data for path, data in contents(root).items() if path.name not in ("config.json", "run.lock")}

    before, real = kept(), open

    def refusing(path, *arguments, **words):
        if str(path).endswith(name):
            raise OSError(code, os.strerror(code), str(path))
        return real(path, *arguments, **words)

    monkeypatch.setattr(builtins, "open", refusing)
    remedy = "; allow more" if code == errno.EMFILE and name != SNAPSHOT else ""
    with refused(f"{name}: {os.strerror(code)}{remedy}"):
        trainer(root)
    monkeypatch.undo()
    assert kept() == before and trainer(root).step == 30


def test_a_file_system_without_locks_is_said_with_the_remedy(root, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with refused(r"lock=true: .*run.lock can't be locked .*\(No locks available\); give lock=false"):
        trainer(root)
    assert trainer(root, lock=False).step == 30


def test_a_run_that_is_finished_already_lets_go_of_its_folder(root):
    run = trainer(root)
    assert run.run() and trainer(root).step == run.step == 30


def test_a_run_that_cannot_begin_says_so_in_a_line_and_lets_go_of_its_folder(tmp_path):
    with pytest.raises(UserError, match=r"hidden_sign=\[9\]") as refusal:
        trainer(tmp_path, hidden_sign=[9])
    replay = run_folder(tmp_path) / "replay"
    replay.rmdir(), replay.write_text("a file of the user's")
    with refused(f"^{replay}: File exists$"):
        trainer(tmp_path)
    replay.unlink()
    assert trainer(tmp_path).step == 0 and refusal.value is not None  # whose traceback still knows the run


def test_a_precision_that_the_run_was_not_computed_in_is_asked_for(root, monkeypatch):
    monkeypatch.setattr("drqv2.run.resolve_precision", lambda name, device: "bf16" if name == "auto" else name)
    with refused(r"precision=bf16 \(was fp32\)"):
        trainer(root, precision="auto")
    assert trainer(root, precision="fp32").settings.precision == "fp32"


def test_files_are_as_readable_as_any_and_those_half_written_go_in_the_end(tmp_path):
    for name, age in (("old", 4000), ("young", 0)):
        left = tmp_path / f".a.json.{name}.tmp"
        left.write_bytes(b"half")
        os.utime(left, (left.stat().st_atime, left.stat().st_mtime - age))
    mask = os.umask(0o022)
    try:
        atomic_write(tmp_path / "a.json", b"{}")
    finally:
        os.umask(mask)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.json.young.tmp", "a.json"]


# ---- evaluations ----


def evaluations(root: Path, monkeypatch, **changes) -> list[int]:
    """The numbers, in the stream of evaluations, of the episodes that this call plays."""
    numbers: list[int] = []
    real = seeds.episode_seed

    def spy(stream, seed, number):
        if stream == "eval":
            numbers.append(number)
        return real(stream, seed, number)

    monkeypatch.setattr("drqv2.evaluator.episode_seed", spy)
    trainer(root, **changes).run()
    return numbers


def frames(root: Path) -> list[float]:
    return column(run_folder(root) / "eval.csv", "frame")


def test_evaluations_fall_on_multiples_and_no_seed_comes_twice(tmp_path, monkeypatch):
    options = {"action_repeat": 4, "eval_every_frames": 10, "max_decisions": 20}
    numbers = evaluations(tmp_path, monkeypatch, num_train_frames=80, **options)
    # The first decision on or behind each multiple of 10, and the end.
    assert frames(tmp_path) == [0, 12, 20, 32, 40, 52, 60, 72, 80]
    assert numbers == list(range(18))


def test_how_often_and_how_long_is_evaluated_may_change_on_resume_and_no_seed_comes_twice(root, monkeypatch):
    before = frames(root)
    numbers = evaluations(root, monkeypatch, num_train_frames=120, eval_every_frames=40, num_eval_episodes=3)
    assert frames(root) == [*before, 80, 120]
    assert numbers == list(range(2 * len(before), 2 * len(before) + 6))


# ---- a run that starts where another stands ----


@pytest.fixture
def half(tmp_path):
    return folder(tmp_path, name="half", num_train_frames=60)


def learned(run_folder):
    return [line.split(",")[:5] for line in (run_folder / "train.csv").read_text().splitlines()]


def test_with_the_same_options_it_is_the_run_going_on(tmp_path, half):
    whole, before = folder(tmp_path), contents(half)
    went_on = folder(tmp_path, name="new", start_from=str(half))
    assert same(whole, went_on) and learned(whole) == learned(went_on)
    assert contents(half) == before
    record = json.loads((went_on / "start_from.json").read_text())
    assert record["snapshot_sha256"] == sha256_file(half / "snapshot.pt") and record["frame"] == 60
    assert record["config"]["name"] == "half"


def test_other_options_count_from_there_and_the_same_command_resumes(tmp_path, half):
    changes = {"start_from": str(half), "lr": 1e-3, "stddev_schedule": 0.02}
    whole = folder(tmp_path, name="whole", **changes)
    folder(tmp_path, name="parts", num_train_frames=80, **changes)
    assert same(whole, folder(tmp_path, name="parts", **changes))
    assert not same(whole, folder(tmp_path, name="as_before", start_from=str(half)))
    assert learned(whole)[:4] == learned(half)[:4]


def test_what_was_cut_short_is_begun_again(tmp_path, half):
    whole = folder(tmp_path, name="whole", start_from=str(half))
    cut = whole.parent / "cut"
    (cut / "replay").mkdir(parents=True)
    for name in (".snapshot.pt.tmp", "replay/000000.episodes"):
        (cut / name).write_bytes(b"half")
    assert same(whole, folder(tmp_path, name="cut", start_from=str(half)))


def test_a_run_that_does_not_fit_is_refused_and_nothing_is_left_that_would_count(tmp_path, half):
    def tried(message, **changes):
        with refused(message):
            folder(tmp_path, **{"name": "new", "start_from": str(half)} | changes)

    tried(r"hidden_dim=48: .*give the same", hidden_dim=48)
    tried(r"task_name=finger_spin: .*has cartpole_swingup", task_name="finger_spin")
    tried(r"start_from=.*has no snapshot.pt", start_from=str(tmp_path))
    (half / "replay" / "000000.episodes").unlink()
    tried(r"start_from=.*000000.episodes")
    (half / "snapshot.pt").write_bytes(b"nonsense")
    tried(r"start_from=.*can't be used")
    assert not (half.parent / "new" / "snapshot.pt").exists()


# ---- runs that earlier versions began; recorded/README.md says how they were made ----


RECORDED = Path(__file__).parent / "recorded"
OPTIONS = {"name": "run", "num_train_frames": 240, "eval_every_frames": 80, "num_seed_frames": 40, "num_expl_steps": 20}
OPTIONS |= {"feature_dim": 4, "hidden_dim": 8, "stddev_schedule": "linear(1.0,0.1,100000)", "deterministic": True}


@pytest.fixture(params=["71f6d5d", "fb88437"])
def recorded(request, tmp_path) -> Path:
    shutil.copytree(RECORDED / f"run_{request.param}", tmp_path / "cartpole_swingup/run")
    return tmp_path


def test_it_learns_and_is_evaluated_as_it_would_have_been(recorded):
    folder = recorded / "cartpole_swingup/run"
    Trainer(train_settings(recorded, **OPTIONS)).run()
    for kind in ("train", "eval"):
        want = RECORDED / f"{kind}_240.csv"
        for name in want.read_text(encoding="utf-8").splitlines()[0].split(","):
            assert column(folder / f"{kind}.csv", name) == pytest.approx(column(want, name), rel=1e-4, nan_ok=True)
    assert load_policy(folder / "policy.pt").frame == 240
    # Two snapshots later nothing is left of the files with an episode each.
    assert [path.name for path in (folder / "replay").iterdir()] == ["000000.episodes"]


def test_a_new_run_may_start_from_it(recorded):
    source = recorded / "cartpole_swingup/run"
    files = sorted(path.name for path in source.rglob("*"))
    trainer = Trainer(train_settings(recorded, **OPTIONS | {"name": "new", "start_from": str(source), "lr": 1e-3}))
    assert trainer.step == 80 and len(trainer.replay) == 80
    trainer.run()
    assert read_snapshot(recorded / "cartpole_swingup/new/snapshot.pt")[0]["step"] == 120
    assert sorted(path.name for path in source.rglob("*")) == files


def test_an_option_that_it_does_not_name_had_the_value_of_then(recorded):
    for name, value in (("normalize_observations", True), ("hidden_sign", [0]), ("replay_compression", "none")):
        with refused(rf"{name}=.* \(was {'zstd' if value == 'none' else BEFORE_THE_OPTION[name]}\)"):
            Trainer(train_settings(recorded, **OPTIONS | {name: value}))


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


def test_a_stored_auto_is_the_precision_that_the_snapshot_was_computed_in(recorded, monkeypatch):
    path = recorded / "cartpole_swingup/run/config.json"
    stored = json.dumps(json.loads(path.read_text()) | {"precision": "auto"})
    path.write_text(stored)
    Trainer(train_settings(recorded, **OPTIONS)).close()
    path.write_text(stored)
    monkeypatch.setattr("drqv2.run.resolve_precision", lambda name, device: "bf16")
    with refused("precision=bf16: the run was computed in fp32; give precision=fp32"):
        Trainer(train_settings(recorded, **OPTIONS))
