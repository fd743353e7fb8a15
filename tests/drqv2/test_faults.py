"""What a real machine does to a training run: bytes go bad, the disk fills up, numbers stop being finite."""

import os
import shutil
import signal
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from drqv2.snapshot import load_policy, read_snapshot
from drqv2.trainer import Trainer
from tests.configs import train_settings
from tests.drqv2.foreign.test_foreign import Pictures
from tests.drqv2.runs import column
from tests.refusals import refused


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory) -> Path:
    """The root folder of a run that Ctrl-C ended in its sixth episode: snapshots of steps 100 and 80."""
    root = tmp_path_factory.mktemp("interrupted")
    trainer = Trainer(train_settings(root))
    step = trainer.env.step
    trainer.env.step = lambda action: step(action) if trainer.step < 105 else signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as interrupt:
        trainer.run()
    assert interrupt.value.__notes__ == ["at frame 210; the same command resumes from frame 200"]
    return root


@pytest.fixture
def root(interrupted, tmp_path) -> Path:
    """A copy that a test may break."""
    shutil.copytree(interrupted, tmp_path / "root")
    return tmp_path / "root"


# ---- bytes that go bad ----


SNAPSHOT, DATA, BEFORE = "snapshot.pt", "replay/000000.episodes", "trying the snapshot before it"


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def end_of_data(folder: Path) -> int:
    """Where the newest snapshot's last episode ends in its file."""
    _, begin, size, *_ = read_snapshot(folder / SNAPSHOT)[0]["replay"]["episodes"][-1]
    return begin + size


DAMAGES = {
    "snapshot cut": (lambda folder: os.truncate(folder / SNAPSHOT, 20_000), (SNAPSHOT, BEFORE), 80),
    "snapshot flipped": (lambda folder: flip(folder / SNAPSHOT, 20_000), (SNAPSHOT, BEFORE), 80),
    "newest episode": (lambda folder: os.truncate(folder / DATA, end_of_data(folder) - 1), (DATA[7:], BEFORE), 80),
    "oldest episode": (lambda folder: flip(folder / DATA, 0), ("going on without this episode",), 100),
}


@pytest.mark.parametrize("damage, said, step", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_gives_way_and_is_never_kept_in_its_place(root, capsys, damage, said, step):
    """To the snapshot before; an episode that both need costs itself alone, which is as many decisions here."""
    folder = root / "cartpole_swingup/run"
    damage(folder)
    trainer = Trainer(train_settings(root, num_train_frames=280))
    told = capsys.readouterr().out
    assert all(part in told for part in said) and (trainer.step, len(trainer.replay)) == (step, 80)
    # From here on a crash finds the good one in its place.
    assert read_snapshot(folder / SNAPSHOT)[0]["step"] == step
    trainer.run()
    assert read_snapshot(folder / SNAPSHOT)[0]["step"] == 140
    assert read_snapshot(folder / "snapshot.prev.pt")[0]["step"] > 80


def test_what_a_killed_process_was_writing_is_cleared_away(root):
    folder = root / "cartpole_swingup/run"
    for left in (folder / ".snapshot.pt.abc.tmp", folder / "replay/.x.abc.tmp"):
        left.write_bytes(b"half")
    Trainer(train_settings(root, num_train_frames=240))
    assert not list(folder.rglob("*.tmp"))


def test_a_csv_that_is_gone_is_begun_anew(root, capsys):
    table = root / "cartpole_swingup/run/train.csv"
    table.unlink()
    Trainer(train_settings(root, num_train_frames=280)).run()
    assert "train.csv" in capsys.readouterr().out and column(table, "frame") == [240, 280]


# ---- a full disk ----


@pytest.mark.parametrize("free", [0, 20_000, 300_000])
def test_a_full_disk_stops_training_in_one_line_and_the_last_snapshot_stands(interrupted, disk_of, free):
    small_disk = disk_of("4m")
    shutil.copytree(interrupted, small_disk / "root")
    folder = small_disk / "root/cartpole_swingup/run"
    before = load_policy(folder / "snapshot.pt").frame
    trainer = Trainer(train_settings(small_disk / "root", num_train_frames=20_000, snapshot_every_frames=200))
    with open(small_disk / "filler", "wb") as filler:
        room = shutil.disk_usage(small_disk).free - free
        filler.write(bytes(max(0, room)))
    with refused(r"stopped at step \d+: .*No space left on device; the last snapshot, of frame \d+, is in") as caught:
        trainer.run()
    after = load_policy(folder / "snapshot.pt").frame
    assert after >= before and f"of frame {after}," in str(caught.value)
    os.unlink(small_disk / "filler")
    resumed = Trainer(train_settings(small_disk / "root", num_train_frames=after + 80))
    assert resumed.step == after // 2
    resumed.run()
    assert load_policy(folder / "snapshot.pt").frame == after + 80


# ---- numbers that stop being finite ----


def nan_weight(trainer):
    trainer.agent.critic.Q1[0].weight.data[0, 0] = float("nan")


def nan_action(trainer):
    trainer.agent.act_explore = lambda observation, step: np.array([np.nan], np.float32)


def nan_in_evaluation(trainer):
    trainer.agent.actor.policy[0].bias.data[:] = float("nan")
    trainer._last_eval_step = -1


def nan_observation(trainer):
    step = trainer.env.step
    trainer.env.step = lambda action: step(action)._replace(observation=np.full(5, np.nan, np.float32))


def infinite_reward(trainer):
    step = trainer.env.step
    trainer.env.step = lambda action: step(action)._replace(reward=float("inf"))


def nan_in_the_snapshot(trainer):
    state = trainer.agent.state
    trainer.agent.state = lambda: state() | {"critic_target.Q2.0.bias": torch.tensor([np.nan])}


def diverging(trainer):
    step = trainer.env.step

    def spin(action):
        trainer.env._simulator.physics.data.qvel[1] = 1e9  # rad/s: MuJoCo itself gives up
        return step(action)

    trainer.env.step = spin


@pytest.mark.parametrize(
    "spoil, words",
    [
        (nan_weight, "critic_q1: not finite; lr=0.0001 may be too large"),
        (nan_action, "action: not finite;"),
        (nan_in_evaluation, "action: not finite in evaluation"),
        (nan_observation, "observation: not finite"),
        (infinite_reward, "reward: not finite"),
        (nan_in_the_snapshot, r"critic_target.Q2.0.bias: not finite"),
        (
            diverging,
            "cartpole_swingup: the simulation became unstable at decision 0 of episode 5 of stream train, seed 1"
            r".*\(mjWARN_BAD.*run again, or with another seed",
        ),
    ],
)
def test_a_number_that_is_not_finite_stops_the_run_and_is_never_written(root, spoil, words):
    trainer = Trainer(train_settings(root))
    spoil(trainer)
    with refused(words) as caught:
        trainer.run()
    said, snapshot = str(caught.value), root / "cartpole_swingup/run/snapshot.pt"
    assert "\n" not in said and "stopped at step 1" in said
    assert f"the last snapshot, of frame {load_policy(snapshot).frame}, is in {snapshot}" in said
    assert all(torch.isfinite(value).all() for value in read_snapshot(snapshot)[1].values())


def test_a_task_that_observes_arrays_is_no_task_to_train_on(tmp_path):
    """Their float32 numbers would be sampled as if they were the bytes of pictures."""
    gymnasium.register("Pictures-v0", Pictures, max_episode_steps=5, disable_env_checker=True)
    try:
        with refused(r"^task=Pictures-v0: .*\(3, 12, 12\), but .*FlattenObservation"):
            Trainer(train_settings(tmp_path, task_name="Pictures-v0", action_repeat=1))
    finally:
        del gymnasium.registry["Pictures-v0"]
    assert not list(tmp_path.iterdir())
