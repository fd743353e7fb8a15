"""Draws the learning curves of training runs, a panel for each task, with their numbers beside the picture.

    python scripts/plot_curves.py RUN_DIR [RUN_DIR ...] --out curves.png
    python scripts/plot_curves.py exp_local/*/pixels_seed1 --published --out curves.png

Thick: evaluations, without exploration noise. Thin: each episode of training. --published draws under them the mean and
the range, lowest to highest seed, of DrQ-v2's published runs and prints both numbers wherever both were evaluated.
Without a folder it reads scripts/published_curves.csv: eight tasks at eight frames each, computed from the folder curves/
of github.com/facebookresearch/drqv2 at commit c0c650b. With that folder it draws all 24 tasks, every 20,000 frames.

OUT's name with .csv holds the numbers: task, run, kind (evaluation | training), frame, seconds of training so far,
return, and of the published seeds mean, lowest and highest at that frame.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

MILESTONES = Path(__file__).with_name("published_curves.csv")
HEADER = ("task", "run", "kind", "frame", "seconds", "return", "published mean", "lowest", "highest")
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "evaluation": ("eval.csv", {"linewidth": 2, "marker": "o", "markersize": 4}),
    "training": ("train.csv", {"linewidth": 0.8, "alpha": 0.5}),
}


class Point(NamedTuple):
    kind: str
    frame: int
    seconds: float
    reward: float


class Seeds(NamedTuple):
    """Return of the published seeds at one frame."""

    mean: float
    lowest: float
    highest: float


def read(run: Path) -> list[Point]:
    """Every line that `run` logged. Exits with one line where it is no run folder."""
    points = []
    for kind, (name, _) in KINDS.items():
        try:
            with open(run / name, newline="", encoding="utf-8") as file:
                points += [
                    Point(kind, int(r["frame"]), float(r["total_time"]), float(r["episode_reward"]))
                    for r in csv.DictReader(file)
                ]
        except (OSError, KeyError, ValueError) as error:
            sys.exit(f"error: {run / name}: not the log of a training run ({error})")
    return points


def task_of(run: Path) -> str:
    """The task that the run's config.json names; "" where it has none."""
    try:
        return str(json.loads((run / "config.json").read_text(encoding="utf-8"))["task_name"])
    except (OSError, KeyError, TypeError, ValueError):
        return ""


def published(task: str, source: Path) -> dict[int, Seeds]:
    """Frame → the published seeds' returns; empty where the task has none. Exits with one line on a bad file.

    source   MILESTONES, or a folder of dmc_<task>.csv with a row for each seed and frame
    """
    path = source if source == MILESTONES else source / f"dmc_{task}.csv"
    if source != MILESTONES and not any(source.glob("dmc_*.csv")):
        sys.exit(
            f"error: --published {source}: no dmc_<task>.csv in it; name the folder curves/ of facebookresearch/drqv2"
        )
    if not path.exists():
        return {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["task"] == task]
        if source == MILESTONES:
            return {int(r["frame"]): Seeds(float(r["mean"]), float(r["lowest"]), float(r["highest"])) for r in rows}
        returns = defaultdict(list)
        for row in rows:
            returns[int(float(row["frame"]))].append(float(row["episode_reward"]))
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"error: {path}: not a table of published returns ({error})")
    return {frame: Seeds(mean(values), min(values), max(values)) for frame, values in sorted(returns.items())}


def compare(run: Path, task: str, points: list[Point], seeds: dict[int, Seeds]) -> None:
    """Prints a line for every evaluation at a frame at which the published seeds were evaluated, too."""
    for point in points:
        if point.kind == "evaluation" and point.frame in seeds:
            known = seeds[point.frame]
            where = "below" if point.reward < known.lowest else "above" if point.reward > known.highest else "within"
            print(
                f"{task} {run.name}, {point.frame:,} frames: {point.reward:.0f}; published mean {known.mean:.0f}, "
                f"range {known.lowest:.0f} to {known.highest:.0f}: {where}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN_DIR", help="folders of train.py or distill.py")
    parser.add_argument("--out", type=Path, required=True, help="the picture (.png); the numbers go beside it (.csv)")
    parser.add_argument(
        "--published",
        type=Path,
        nargs="?",
        const=MILESTONES,
        metavar="FOLDER",
        help="draw DrQ-v2's published seeds, too; FOLDER: curves/ of facebookresearch/drqv2 (without it: milestones)",
    )
    words = parser.parse_args()
    panels = defaultdict(list)
    for run in words.runs:
        panels[task_of(run)].append(run)
    if words.published is not None and "" in panels:
        sys.exit(
            f"error: {panels[''][0] / 'config.json'}: names no task, so --published doesn't know which curve to draw"
        )
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    size = (7, 4) if len(panels) == 1 else (4.5 * columns, 3 * rows)
    figure, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    table: list[tuple[object, ...]] = [HEADER]
    for axis, (task, runs) in zip(axes.flat, panels.items()):
        seeds = {} if words.published is None else published(task, words.published)
        last = 0
        for number, run in enumerate(runs):
            points = read(run)
            compare(run, task, points, seeds)
            for kind, (_, style) in KINDS.items():
                line = [(point.frame / 1e3, point.reward) for point in points if point.kind == kind]
                if line:
                    label = run.name if kind == "evaluation" else None
                    axis.plot(*zip(*line), color=f"C{number}", label=label, **style)
            table += [(task, run.name, *p, *(seeds.get(p.frame, ()) if p.kind == "evaluation" else ())) for p in points]
            last = max([last, *(point.frame for point in points)])
        # The published curves go on for a million frames: drawn as far as the first that lies past ours.
        frames = [frame for frame in seeds if frame <= last] + [frame for frame in seeds if frame > last][:1]
        if frames:
            low, high = [seeds[f].lowest for f in frames], [seeds[f].highest for f in frames]
            thousands = [frame / 1e3 for frame in frames]
            axis.fill_between(thousands, low, high, color="0.85", zorder=0, label="published seeds, range")
            axis.plot(thousands, [seeds[f].mean for f in frames], color="0.5", zorder=1, label="published seeds, mean")
        axis.set(xlabel="thousand frames", ylabel="return", ylim=(0, None), title=task)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize="small")
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    figure.savefig(words.out, dpi=110)
    with open(words.out.with_suffix(".csv"), "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([(*row, *[""] * (len(HEADER) - len(row))) for row in table])


if __name__ == "__main__":
    main()
