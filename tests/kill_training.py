"""Kills a training run at random moments, again and again, and compares its end with an uninterrupted one.

    python -m tests.kill_training [--kills 12] [--frames 1600] [--seed 0]

Moments are drawn over the time that the uninterrupted run took with its folder, imports left out, so that a kill can
hit an episode, an update, an evaluation, the replay or a snapshot being written. Exit code 1 where CSV columns (times
aside) or any tensor of the last snapshot differ.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.cli.command import run, start
from tests.cli.test_train import STATE, episodes, rows, weights

FOLDER = "exp_local/cartpole_swingup/state_seed1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--frames", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    words = (*STATE, f"num_train_frames={options.frames}")
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as name:
        whole, killed = Path(name) / "whole", Path(name) / "killed"
        whole.mkdir()
        killed.mkdir()
        begun = time.monotonic()
        process = start("train.py", *words, cwd=whole)
        wait_for_lock(process, whole)
        first = time.monotonic()
        process.output(timeout=None)
        span = time.monotonic() - first
        print(f"uninterrupted: {time.monotonic() - begun:.1f} s, of which training {span:.1f} s", flush=True)
        kills = lost = 0
        while kills < options.kills:
            process = start("train.py", *words, cwd=killed)
            before = episodes(killed / FOLDER)
            wait_for_lock(process, killed)
            # A part of the whole, so that it takes about that many kills to get to the end.
            time.sleep(rng.uniform(0, 2 * span / options.kills))
            if process.poll() is not None:
                break
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            half = [path.name for path in (killed / FOLDER).rglob("*.tmp")]
            lost += bool(half)
            caught = f", caught writing {', '.join(half)}" if half else ""
            print(f"kill {kills}: {before} → {episodes(killed / FOLDER)} episodes{caught}", flush=True)
        run("train.py", *words, cwd=killed)
        same = all(
            rows(whole / FOLDER / f"{kind}.csv") == rows(killed / FOLDER / f"{kind}.csv") for kind in ("train", "eval")
        )
        want, got = weights(whole / FOLDER), weights(killed / FOLDER)
        same = same and want.keys() == got.keys() and all(bool((want[name] == got[name]).all()) for name in want)
        end = "the same, bit for bit" if same else "ANOTHER"
        print(f"{kills} kills, {lost} of them while a file was being written; the end is {end}")
    sys.exit(0 if same else 1)


def wait_for_lock(process, folder: Path) -> None:
    """Until the process has taken its run folder: imports are over, and it reads or writes there from now on."""
    lock, deadline = folder / FOLDER / "run.lock", time.monotonic() + 300
    while process.poll() is None and not (lock.exists() and lock.read_text() == f"process {process.pid}"):
        assert time.monotonic() < deadline
        time.sleep(0.005)


if __name__ == "__main__":
    main()
