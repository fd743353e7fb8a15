"""Trains and converts in one process for hours, and watches its memory and open files.

    python -m benchmarks.soak --minutes 120 [--share 0.3] [--folder soak]

Each cycle resumes a state-based run for 400 frames more (snapshot, replay, evaluation, CSVs, TensorBoard),
converts its newest snapshot with environments in a worker process, and rolls both out; every tenth cycle does the same
from pixels, so that OpenGL contexts come and go. Nothing is given back by a process ending: whatever a cycle leaks
stays and is seen. After a cycle it sleeps until it has used no more than `share` of one core.

    python -m benchmarks.soak --kills --minutes 100 [--descriptors 256]

trains from pixels in short episodes instead, by train.py in a process that may open so few files, and kills it at
random moments (a sixth of the time by SIGTERM), each time to be resumed by the same command. The samples are of that
process; at the end train.csv must hold every episode once.

Ctrl-C ends it early with the table of what was seen. samples.csv in the folder holds every sample.
"""

import csv
import gc
import io
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

from benchmarks.contenders import ROOT, markdown, options
from cli.command_line import composed
from drqv2 import logger
from drqv2.settings import TrainSettings
from drqv2.trainer import Trainer
from evaluation import run
from evaluation.settings import ConvertSettings
from runtime.malloc import keep_large_blocks

FRAMES = 400
SHORT = (
    *("task=cartpole_swingup", "preset=debug", "progress=false"),
    *("render.device=null", "replay_buffer_size=1000"),
)
EVALUATION = (
    *("env_name=cartpole_swingup", "SNN_ts=4", "crpi.alpha=[0,0.5]", "calibration.steps=50"),
    *("num_eval_episodes=4", "max_decisions=50", "chunk=4", "num_workers=1"),
)
WATCHED = {
    "anonymous_mb": "memory of the process, MB",
    "file_mb": "mapped files in memory, MB",
    "open_files": "open files",
    "mappings": "memory mappings",
    "threads": "threads",
    "children": "child processes",
    "shm_files": "files in /dev/shm",
}
# A process grows while caches fill; what comes after is what matters.
WARM_UP = 0.1


def cycle(number: int, kind: str) -> None:
    """Trains `FRAMES` more frames and converts what came out."""
    common = [f"obs={kind}", "device=cpu"]
    Trainer(TrainSettings.from_dict(composed("train", [*SHORT, *common, f"num_train_frames={number * FRAMES}"]))).run()
    convert = composed("convert", [*EVALUATION, *common, f"snapshot=exp_local/cartpole_swingup/{kind}_seed1"])
    result = run.convert(ConvertSettings.from_dict(convert), convert, Path("results") / f"{kind}_{number:06d}")
    # A loop that only read its own cache would prove nothing.
    assert result.timing["episodes_reused"] == 0, result.timing


# 1 MB an episode, so that data files follow each other and the oldest goes.
TRAINING = (
    "task=cartpole_swingup preset=debug max_decisions=50 num_train_frames=100000000 snapshot_every_frames=500 "
    "eval_every_frames=50000 update_every_steps=10 replay_buffer_size=30000 replay_compression=none device=cpu "
    "progress=false save_video=false"
)


def killed_training(seconds: float, descriptors: int, note: Callable[[dict[str, float]], None]) -> str:
    """Trains for so long, killed and resumed, and gives each sample to `note`. Returns what train.csv holds."""
    moments, end, starts, kills = random.Random(0), time.monotonic() + seconds, 0, 0
    command = [sys.executable, str(ROOT / "train.py"), *TRAINING.split()]
    limit = (descriptors, descriptors)
    while time.monotonic() < end:
        with open("train.log", "ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            )
        starts += 1
        moment = min(end, time.monotonic() + moments.uniform(60, 300))
        while time.monotonic() < moment and process.poll() is None:
            time.sleep(5)
            with suppress(OSError, KeyError):  # it has just ended
                note(sample(str(process.pid)))
        if process.poll() not in (None, 0):
            raise SystemExit(f"train.py ended by itself with {process.returncode}; see train.log")
        process.send_signal(signal.SIGTERM if moments.random() < 1 / 6 else signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    path = Path("exp_local/cartpole_swingup/pixels_seed1/train.csv")
    episodes = [episode for (episode,) in logger.read(path, "episode")]
    whole = episodes == list(range(1, len(episodes) + 1))
    return f"{starts} starts, {kills} kills, {len(episodes)} episodes, each {'once' if whole else 'NOT ONCE'}"


def sample(process: str = "self") -> dict[str, float]:
    """What `process` (a number) holds at this moment."""
    folder = Path("/proc") / process
    status = dict(line.split(":", 1) for line in (folder / "status").read_text(encoding="utf-8").splitlines())
    kilobytes = {key: int(status[key].split()[0]) for key in ("RssAnon", "RssFile", "RssShmem")}
    children = (folder / "task" / status["Pid"].strip() / "children").read_text(encoding="utf-8").split()
    return {
        "anonymous_mb": round(kilobytes["RssAnon"] / 1024, 2),
        "file_mb": round((kilobytes["RssFile"] + kilobytes["RssShmem"]) / 1024, 2),
        "open_files": len(os.listdir(folder / "fd")),
        "mappings": len((folder / "maps").read_text(encoding="utf-8").splitlines()),
        "threads": int(status["Threads"]),
        "children": len(children),
        "shm_files": len(os.listdir("/dev/shm")),
    }


def table(rows: list[dict[str, float]]) -> str:
    """First and last tenth after the warm-up, and the slope of a straight line through all samples after it."""
    if len(rows) < 20:
        return f"{len(rows)} samples: too few for a table"
    end = rows[-1]["minute"]
    rows = [row for row in rows if row["minute"] >= WARM_UP * end]
    tenth = max(1, len(rows) // 10)
    hours = [row["minute"] / 60 for row in rows]
    lines = []
    for key, label in WATCHED.items():
        values = [row[key] for row in rows]
        slope = statistics.linear_regression(hours, values).slope
        first, last = statistics.median(values[:tenth]), statistics.median(values[-tenth:])
        lines.append([label, f"{first:g}", f"{last:g}", f"{max(values):g}", f"{slope:+.2f}"])
    head = ["what", "first tenth (median)", "last tenth (median)", "highest", "slope per hour"]
    said = f"{len(rows)} samples after {WARM_UP:.0%} warm-up, {(hours[-1] - hours[0]):.2f} h"
    return f"{said}\n\n{markdown(head, lines)}"


def main() -> None:
    words = options(
        __doc__,
        minutes={"type": float, "default": 120, "help": "how long"},
        kills={"action": "store_true", "help": "the training that is killed and resumed"},
        descriptors={"type": int, "default": 256, "help": "that such a training may hold"},
        share={"type": float, "default": 1.0, "help": "of one core that it may use on average"},
        folder={"type": Path, "default": "soak", "help": "for runs, results, samples.csv; must hold no earlier soak"},
    )
    words.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(words.folder)
    keep_large_blocks()
    rows: list[dict[str, float]] = []
    started, number = time.monotonic(), {"state": 0, "pixels": 0}
    with open("samples.csv", "x", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("minute", "cycle", "kind", *WATCHED))
        writer.writeheader()

        def note(row: dict[str, float]) -> None:
            rows.append({"minute": round((time.monotonic() - started) / 60, 3), "cycle": len(rows), **row})
            writer.writerow(rows[-1])
            file.flush()

        try:
            if words.kills:
                print(killed_training(words.minutes * 60, words.descriptors, note))
            while time.monotonic() - started < words.minutes * 60:
                kind = "pixels" if len(rows) % 10 == 9 else "state"
                number[kind] += 1
                used, begun = sum(os.times()[:4]), time.monotonic()
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                    cycle(number[kind], kind)
                gc.collect()
                note({"kind": kind, **sample()})
                if len(rows) % 20 == 0:
                    print(rows[-1], flush=True)
                time.sleep(max(0.0, (sum(os.times()[:4]) - used) / words.share - (time.monotonic() - begun)))
        except KeyboardInterrupt:
            print("stopped by Ctrl-C")
    if not words.kills:
        print(f"{number['state']} cycles on states, {number['pixels']} on pixels")
    print(table(rows), flush=True)


if __name__ == "__main__":
    main()
