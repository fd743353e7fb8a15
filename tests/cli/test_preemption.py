"""A scheduler's signals and a closed terminal: nothing that was learned is lost."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from drqv2.snapshot import read_snapshot
from tests.cli.command import ROOT, environment, start
from tests.cli.test_train import STATE, episodes, rows
from tests.processes import wait_for

# Snapshots come by signals alone.
LONG = (*STATE, "num_train_frames=400000", "snapshot_every_frames=400000", "eval_every_frames=400000", "progress=false")
FOLDER = "exp_local/cartpole_swingup/state_seed1"


def kept(folder: Path) -> tuple[int, int]:
    """Frames of the last snapshot and of the last episode that train.csv holds."""
    last = int(rows(folder / FOLDER / "train.csv")[-1]["frame"])
    return read_snapshot(folder / FOLDER / "snapshot.pt")[0]["policy"]["frame"], last


def test_sigterm_ends_the_run_with_its_episode_and_a_snapshot_of_it(tmp_path):
    process = start("train.py", *LONG, cwd=tmp_path)
    wait_for(lambda: episodes(tmp_path / FOLDER) > 2, process)
    process.send_signal(signal.SIGTERM)
    assert "SIGTERM: ending with this episode, in 25 s at most" in process.output(143).stdout
    frame, last = kept(tmp_path)
    assert frame == last > 80


def test_grace_that_is_over_ends_the_run_where_it_is(tmp_path):
    # 500 decisions, each with a picture: many seconds, on any machine
    words = (
        *LONG,
        "obs=pixels",
        "max_decisions=null",
        "grace_seconds=1",
        "num_seed_frames=400000",
        "num_eval_episodes=1",
    )
    process = start("train.py", *words, cwd=tmp_path)
    folder = tmp_path / "exp_local/cartpole_swingup/pixels_seed1"
    wait_for((folder / "eval.csv").exists, process)
    process.send_signal(signal.SIGTERM)
    # Not `output`: dm_control may tell of a rendering context that it was just making.
    assert process.wait(60) == 143 and not (folder / "snapshot.pt").exists()


def test_a_closed_terminal_ends_no_training(tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *STATE, "progress=true"],
        cwd=tmp_path,
        env=environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    wait_for((tmp_path / FOLDER / "run.lock").exists, process)
    os.close(ours)  # the kernel sends SIGHUP, and writing fails from now on
    assert process.wait(timeout=240) == 0
    assert kept(tmp_path) == (400, 400)


def test_submitits_warning_writes_a_snapshot_and_queues_the_job_again(tmp_path):
    pytest.importorskip("submitit")
    words = ("-m", "hydra/launcher=submitit_local", "hydra.sweep.dir=swept", *LONG)
    process = start("train.py", *words, cwd=tmp_path)
    lock = tmp_path / FOLDER / "run.lock"
    wait_for(lambda: episodes(tmp_path / FOLDER) > 2, process)
    first = lock.read_text(encoding="utf-8")
    os.kill(int(first.split()[-1]), signal.SIGUSR2)
    wait_for(lambda: lock.read_text(encoding="utf-8") not in ("", first), process)
    before = read_snapshot(tmp_path / FOLDER / "snapshot.pt")[0]["episode"]
    wait_for(lambda: episodes(tmp_path / FOLDER) > before, process)
    logs = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("swept/.submitit/*/*_log.*"))
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(60)
    assert before > 2 and "SIGUSR2: ending with this episode" in logs and "resuming at frame" in logs
