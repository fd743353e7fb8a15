"""The main job in one command (`make demo`): a policy, its conversion to IF neurons with and without CRPI, a video.

    python -m scripts.demo [convert options]          for instance: python -m scripts.demo neuron=dc SNN_ts=2

Uses a policy that is at hand (a run of yours, or the checkpoint that ships); where there is none it first trains a
small one from states, which takes minutes and no GPU. Results go to results/demo/.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from drqv2.snapshot import find
from evaluation import result as results
from runtime.errors import UserError

TASK = "cartpole_swingup"
FOLDER = Path("results/demo")
TRAIN = (
    f"task={TASK}",
    "preset=state",
    "num_train_frames=60000",
    "stddev_schedule='linear(1.0,0.1,15000)'",
    "eval_every_frames=20000",
)
CONVERT = (
    f"env_name={TASK}",
    "obs=state",
    "neuron=if",
    "SNN_ts=8",
    "crpi.alpha=grid",
    "video=true",
    f"hydra.run.dir={FOLDER}",
)
WEAK = 500.0  # returns go up to 1000; a policy below this has not learnt to balance


def main() -> int:
    try:
        find(TASK, "state")
    except UserError:
        print(f"No trained policy for {TASK} yet: training a small one first (some minutes).", flush=True)
        if code := _run("train.py", *TRAIN):
            return code
    if code := _run("convert.py", *CONVERT, *sys.argv[1:]):
        return code
    result = results.read(FOLDER)
    if result.ann is not None and result.ann.mean_reward_sum() < WEAK:
        print(f"The ANN itself returns less than {WEAK:.0f}: too weak to say anything about its conversion.")
    print(f"Video, rendered from pixels: {(FOLDER / 'video.mp4').absolute()}")
    return 0


def _run(script: str, *words: str) -> int:
    root = Path(__file__).resolve().parents[1]
    print("$ python " + shlex.join([script, *words]), flush=True)
    return subprocess.run([sys.executable, str(root / script), *words]).returncode


if __name__ == "__main__":
    sys.exit(main())
