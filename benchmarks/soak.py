"""Trains and converts in one process for hours, and watches its memory and open files.

    python benchmarks/soak.py --minutes 120 [--share 0.3] [--folder soak]

Each cycle resumes a state-based run for 400 frames more (snapshot, replay segments, evaluation, CSVs, TensorBoard),
converts its newest snapshot with environments in a worker process, and rolls both out; every tenth cycle does the same
from pixels, so that OpenGL contexts come and go. Nothing is given back by a process ending: whatever a cycle leaks
stays and is seen. After a cycle it sleeps until it has used no more than `share` of one core.

Ctrl-C ends it early with the table of what was seen. samples.csv in the folder holds every sample.
"""

from __future__ import annotations

import argparse
import csv
import gc
import io
import os
import resource
import statistics
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FRAMES = 400
COLUMNS = (
    "minute",
    "cycle",
    "kind",
    "anonymous_mb",
    "file_mb",
    "open_files",
    "mappings",
    "threads",
    "children",
    "shm_files",
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


def configuration(name: str, *overrides: str) -> dict:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(ROOT / "cfgs"), version_base="1.3"):
        return OmegaConf.to_container(compose(name, overrides=list(overrides)), resolve=True)


def cycle(number: int, kind: str) -> None:
    """Trains `FRAMES` more frames and converts what came out."""
    from drqv2.settings import TrainSettings
    from drqv2.trainer import Trainer
    from evaluation import run
    from evaluation.settings import ConvertSettings

    train = configuration(
        "train",
        "task=cartpole_swingup",
        "preset=debug",
        f"obs={kind}",
        "device=cpu",
        "progress=false",
        "render.device=null",
        f"num_train_frames={number * FRAMES}",
        "replay_buffer_size=1000",
    )
    Trainer(TrainSettings.from_dict(train)).run()
    snapshot = f"exp_local/cartpole_swingup/{kind}_seed1"
    convert = configuration(
        "convert",
        "env_name=cartpole_swingup",
        f"obs={kind}",
        "device=cpu",
        f"snapshot={snapshot}",
        "SNN_ts=4",
        "crpi.alpha=[0,0.5]",
        "calibration.steps=50",
        "num_eval_episodes=4",
        "max_decisions=50",
        "chunk=4",
        "num_workers=1",
    )
    settings = ConvertSettings.from_dict(convert)
    result = run.convert(settings, convert, Path("results") / f"{kind}_{number:06d}")
    # A loop that only read its own cache would prove nothing.
    assert result.timing["episodes_reused"] == 0, result.timing


def sample() -> dict[str, float]:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    kilobytes = {key: int(status[key].split()[0]) for key in ("RssAnon", "RssFile", "RssShmem")}
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "anonymous_mb": round(kilobytes["RssAnon"] / 1024, 2),
        "file_mb": round((kilobytes["RssFile"] + kilobytes["RssShmem"]) / 1024, 2),
        "open_files": len(os.listdir("/proc/self/fd")),
        "mappings": len(Path("/proc/self/maps").read_text().splitlines()),
        "threads": int(status["Threads"]),
        "children": len(children),
        "shm_files": len(os.listdir("/dev/shm")),
    }


def cpu_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def table(rows: list[dict[str, float]]) -> str:
    """First and last tenth after the warm-up, and the slope of a straight line through all samples after it."""
    if len(rows) < 20:
        return f"{len(rows)} cycles: too few for a table"
    end = rows[-1]["minute"]
    rows = [row for row in rows if row["minute"] >= WARM_UP * end]
    tenth = max(1, len(rows) // 10)
    hours = [row["minute"] / 60 for row in rows]
    lines = [
        f"{len(rows)} cycles after {WARM_UP:.0%} warm-up, {(hours[-1] - hours[0]):.2f} h",
        "",
        "| what | first tenth (median) | last tenth (median) | highest | slope per hour |",
        "|---|---|---|---|---|",
    ]
    for key, label in WATCHED.items():
        values = [row[key] for row in rows]
        slope = statistics.linear_regression(hours, values).slope
        first, last = statistics.median(values[:tenth]), statistics.median(values[-tenth:])
        lines.append(f"| {label} | {first:g} | {last:g} | {max(values):g} | {slope:+.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--share", type=float, default=1.0, help="of one core that it may use on average")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("soak"),
        help="for runs, results and samples.csv; must not hold an earlier soak",
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(options.folder)
    sys.path.insert(0, str(ROOT))
    from runtime.malloc import keep_large_blocks

    keep_large_blocks()
    rows: list[dict[str, float]] = []
    started, number = time.monotonic(), {"state": 0, "pixels": 0}
    with open("samples.csv", "x", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        try:
            while (minute := (time.monotonic() - started) / 60) < options.minutes:
                kind = "pixels" if len(rows) % 10 == 9 else "state"
                number[kind] += 1
                used, begun = cpu_seconds(), time.monotonic()
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                    cycle(number[kind], kind)
                gc.collect()
                rows.append({"minute": round(minute, 3), "cycle": len(rows), "kind": kind, **sample()})
                writer.writerow(rows[-1])
                file.flush()
                if len(rows) % 20 == 0:
                    print(rows[-1], flush=True)
                time.sleep(max(0.0, (cpu_seconds() - used) / options.share - (time.monotonic() - begun)))
        except KeyboardInterrupt:
            print("stopped by Ctrl-C")
    print(f"{number['state']} cycles on states, {number['pixels']} on pixels")
    print(table(rows), flush=True)


if __name__ == "__main__":
    main()
