"""Draws the learning curves of training runs, a panel for each task, with their numbers beside the picture.

    python scripts/plot_curves.py RUN_DIR [RUN_DIR ...] --out curves.png
    python scripts/plot_curves.py exp_local/*/pixels_seed1 --published --out curves.png

Thick: evaluations, without exploration noise. Thin: each episode of training. --published draws under them the mean and
the range, lowest to highest seed, of DrQ-v2's published runs and prints both numbers wherever both were evaluated.
Without a folder it reads scripts/published_curves.csv: eight tasks at eight frames each, from the folder curves/
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


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read(run: Path) -> list[Point]:
    """Every line that `run` logged. Exits with one line where it is no run folder."""
    points = []
    for kind, (name, _) in KINDS.items():
        try:
            for row in rows(run / name):
                points.append(Point(kind, int(row["frame"]), float(row["total_time"]), float(row["episode_reward"])))
        except (OSError, KeyError, ValueError) as error:
            sys.exit(f"error: {run / name}: not the log of a training run ({error})")
    return points


def task_of(run: Path) -> str:
    """The task that the run's config.json names; "" where it has none."""
    try:
        return str(json.loads((run / "config.json").read_text(encoding="utf-8"))["task_name"])
    except (OSError, KeyError, TypeError, ValueError):
        return ""


def published(task: str, source: Path) -> dict[int, tuple[float, float, float]]:
    """Frame → mean, lowest and highest return of the published seeds; empty where the task has none.

    source   MILESTONES, or a folder of dmc_<task>.csv with a row per seed and frame. Exits with one line on a bad one
    """
    path = source if source == MILESTONES else source / f"dmc_{task}.csv"
    if source != MILESTONES and not any(source.glob("dmc_*.csv")):
        sys.exit(
            f"error: --published {source}: no dmc_<task>.csv in it; name the folder curves/ of facebookresearch/drqv2"
        )
    returns: dict[int, list[float]] = defaultdict(list)
    try:
        for row in rows(path) if path.exists() else ():
            if row["task"] == task:
                columns = ("mean", "lowest", "highest") if source == MILESTONES else ("episode_reward",)
                returns[int(float(row["frame"]))] += [float(row[column]) for column in columns]
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"error: {path}: not a table of published returns ({error})")
    if source == MILESTONES:
        return {frame: (values[0], values[1], values[2]) for frame, values in returns.items()}
    return {frame: (mean(values), min(values), max(values)) for frame, values in sorted(returns.items())}


def compare(name: str, points: list[Point], seeds: dict[int, tuple[float, float, float]]) -> None:
    """Prints a line for every evaluation at a frame at which the published seeds were evaluated, too."""
    for _, frame, _, reward in (point for point in points if point.kind == "evaluation" and point.frame in seeds):
        middle, low, high = seeds[frame]
        where = "below" if reward < low else "above" if reward > high else "within"
        known = f"published mean {middle:.0f}, range {low:.0f} to {high:.0f}"
        print(f"{name}, {frame:,} frames: {reward:.0f}; {known}: {where}")


def draw(axis: Any, runs: list[tuple[str, list[Point]]], seeds: dict[int, tuple[float, float, float]]) -> None:
    """One task's panel: its runs, (name, points), over the published seeds."""
    for number, (name, points) in enumerate(runs):
        for kind, (_, style) in KINDS.items():
            line = [(point.frame / 1e3, point.reward) for point in points if point.kind == kind]
            label = name if kind == "evaluation" else None
            axis.plot([x for x, _ in line], [y for _, y in line], color=f"C{number}", label=label, **style)
    last = max((point.frame for _, points in runs for point in points), default=0)
    # The published curves go on for a million frames: drawn as far as the first that lies past ours.
    frames = [frame for frame in seeds if frame <= last] + [frame for frame in seeds if frame > last][:1]
    if frames:
        thousands = [frame / 1e3 for frame in frames]
        middle, low, high = zip(*(seeds[frame] for frame in frames))
        axis.fill_between(thousands, low, high, color="0.85", zorder=0, label="published seeds, range")
        axis.plot(thousands, middle, color="0.5", zorder=1, label="published seeds, mean")
    axis.set(xlabel="thousand frames", ylabel="return", ylim=(0, None))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize="small")


def level(word: str) -> tuple[str, float]:
    """NAME=RETURN. Raises ValueError for other words."""
    name, _, value = word.rpartition("=")
    return name, float(value)


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
    parser.add_argument(
        "--level",
        type=level,
        action="append",
        default=[],
        metavar="NAME=RETURN",
        help="a dotted line, such as what another program's paper prints; may be given again",
    )
    words = parser.parse_args()
    panels: dict[str, list[tuple[str, list[Point]]]] = defaultdict(list)
    for run in words.runs:
        if not (task := task_of(run)) and words.published:
            sys.exit(f"error: {run / 'config.json'}: names no task, so --published doesn't know which curve to draw")
        panels[task].append((run.name, read(run)))
    columns = min(3, len(panels))
    lines = math.ceil(len(panels) / columns)
    size = (7, 4) if len(panels) == 1 else (4.5 * columns, 3 * lines)
    figure, axes = pyplot.subplots(lines, columns, figsize=size, layout="constrained", squeeze=False)
    table: list[tuple[object, ...]] = [HEADER]
    for axis, (task, runs) in zip(axes.flat, panels.items()):
        seeds = published(task, words.published) if words.published else {}
        for name, value in words.level:
            axis.axhline(value, color="0.4", linestyle=":", label=name)
        draw(axis, runs, seeds)
        axis.set_title(task)
        for name, points in runs:
            compare(f"{task} {name}", points, seeds)
            beside = [seeds.get(point.frame) if point.kind == "evaluation" else None for point in points]
            table += [(task, name, *point, *(known or ("", "", ""))) for point, known in zip(points, beside)]
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    figure.savefig(words.out, dpi=110)
    with open(words.out.with_suffix(".csv"), "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(table)


if __name__ == "__main__":
    main()
