"""Kills a training run at random moments, again and again, and compares its end with an uninterrupted one.

    python -m tests.kill_training [--kills 12] [--frames 1600] [--seed 0]

Moments are drawn over the time that the uninterrupted run took with its folder, imports left out, so that a kill can
hit an episode, an update, an evaluation, the replay or a snapshot being written. Exit code 1 where CSV columns (times
aside) or any tensor of the last snapshot differ.
"""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.contenders import options
from tests.cli.command import run, start
from tests.cli.test_train import STATE, episodes, rows
from tests.drqv2.runs import same
from tests.processes import wait_for

FOLDER = "exp_local/cartpole_swingup/state_seed1"


def main() -> None:
    given = options(
        __doc__,
        kills={"type": int, "default": 12, "help": "at most so many"},
        frames={"type": int, "default": 1600, "help": "length of the run"},
        seed={"type": int, "default": 0, "help": "of the moments"},
    )
    words, rng = (*STATE, f"num_train_frames={given.frames}"), np.random.default_rng(given.seed)
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as killed:
        process = start("train.py", *words, cwd=whole)
        wait_for_lock(process, whole)
        begun = time.monotonic()
        process.output(timeout=None)
        span = time.monotonic() - begun
        print(f"uninterrupted: {span:.1f} s", flush=True)
        for kill in range(given.kills):
            process = start("train.py", *words, cwd=killed)
            wait_for_lock(process, killed)
            # A part of the whole, so that it takes about that many kills to get to the end.
            time.sleep(rng.uniform(0, 2 * span / given.kills))
            if process.poll() is not None:
                break
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            half = ", ".join(path.name for path in Path(killed, FOLDER).rglob("*.tmp")) or "no file"
            print(f"kill {kill + 1}, of {episodes(Path(killed, FOLDER))} episodes, while writing {half}", flush=True)
        run("train.py", *words, cwd=killed)
        ends = [Path(root, FOLDER) for root in (whole, killed)]
        alike = same(*ends) and all(rows(ends[0] / name) == rows(ends[1] / name) for name in ("train.csv", "eval.csv"))
        print("the end is", "the same, bit for bit" if alike else "ANOTHER")
    sys.exit(0 if alike else 1)


def wait_for_lock(process, root: str) -> None:
    """Until the process has taken its run folder: imports are over, and it reads or writes there from now on."""
    lock, taken = Path(root, FOLDER, "run.lock"), f"process {process.pid}"
    wait_for(lambda: process.poll() is not None or (lock.exists() and lock.read_text() == taken), seconds=300)


if __name__ == "__main__":
    main()
