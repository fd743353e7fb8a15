"""Draws the learning curves of training runs, a panel for each task, with their numbers beside the picture.

    python -m scripts.plot_curves RUN_DIR [RUN_DIR ...] --out curves.png
    python -m scripts.plot_curves exp_local/*/pixels_seed1 --published --out curves.png

Thick: evaluations, without exploration noise. Thin: each episode of training. --published draws under them the mean and
the range, lowest to highest seed, of DrQ-v2's published runs and prints both numbers wherever both were evaluated.
Without a folder it reads scripts/published_curves.csv: eight tasks at eight frames each, from the folder curves/
of github.com/facebookresearch/drqv2 at commit c0c650b. With that folder it draws all 24 tasks, every 20,000 frames.

OUT's name with .csv holds the numbers: task, run, kind (evaluation | training), frame, seconds of training so far,
return, and of the published seeds mean, lowest and highest at that frame.
"""

import csv
import itertools
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from matplotlib.axes import Axes

from drqv2 import logger
from report import plot
from runtime import arguments
from runtime.errors import UserError

MILESTONES = Path(__file__).with_name("published_curves.csv")
HEADER = ("task", "run", "kind", "frame", "seconds", "return", "published mean", "lowest", "highest")
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "evaluation": ("eval.csv", {"linewidth": 2, "marker": "o", "markersize": 4}),
    "training": ("train.csv", {"linewidth": 0.8, "alpha": 0.5}),
}
Seeds = dict[int, tuple[float, float, float]]  # frame → mean, lowest and highest return of the published seeds


class Point(NamedTuple):
    """A line of a log."""

    kind: str
    frame: int
    seconds: float
    reward: float


@dataclass
class Panel:
    """One task: its runs (name, points) over the published seeds, and dotted lines (name, return)."""

    runs: list[tuple[str, list[Point]]]
    seeds: Seeds = field(default_factory=dict)
    levels: list[tuple[str, float]] = field(default_factory=list)
    top: float | None = None


def read(run: Path) -> list[Point]:
    """Every line that `run` logged. Raises UserError where it is no run folder."""
    columns = ("frame", "total_time", "episode_reward")
    logs = {kind: logger.read(run / name, *columns) for kind, (name, _) in KINDS.items()}
    return [Point(kind, int(frame), *values) for kind, lines in logs.items() for frame, *values in lines]


def task_of(run: Path) -> str:
    """The task that the run's config.json names; "" where it has none."""
    try:
        return str(json.loads((run / "config.json").read_text(encoding="utf-8"))["task_name"])
    except (OSError, KeyError, TypeError, ValueError):
        return ""


def published(task: str, source: Path) -> Seeds:
    """Empty where the task has none. Raises UserError for another `source` than MILESTONES or a folder of
    dmc_<task>.csv with a row per seed and frame."""
    if source == MILESTONES:
        table = logger.read(source, "frame", "mean", "lowest", "highest", task=task)
        return {int(frame): (middle, low, high) for frame, middle, low, high in table}
    if not any(source.glob("dmc_*.csv")):
        raise UserError(
            f"--published {source}: no dmc_<task>.csv in it; name the folder curves/ of facebookresearch/drqv2"
        )
    path = source / f"dmc_{task}.csv"
    returns: dict[float, list[float]] = defaultdict(list)
    for frame, reward in logger.read(path, "frame", "episode_reward") if path.exists() else ():
        returns[frame].append(reward)
    return {int(frame): (mean(values), min(values), max(values)) for frame, values in sorted(returns.items())}


def verdict(reward: float, middle: float, low: float, high: float) -> str:
    """A return beside those of the published seeds, in words."""
    where = "below" if reward < low else "above" if reward > high else "within"
    return f"{reward:.0f}; published mean {middle:.0f}, range {low:.0f} to {high:.0f}: {where}"


@plot.styled
def draw(panels: dict[str, Panel], out: Path) -> None:
    """Writes the picture, a panel for each task, three in a row."""
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    width, height = (7.0, 4.0) if len(panels) == 1 else (3.6 * columns, 2.6 * lines)
    figure, axes = plot.axes(width, height, lines, columns)
    names = dict.fromkeys(name for panel in panels.values() for name, _ in panel.runs)
    colours = dict(zip(names, itertools.cycle(plot.COLOURS)))
    for axis, (task, panel) in zip(axes, panels.items()):
        _draw(axis, panel, colours)
        below = any(point.reward < 0 for _, points in panel.runs for point in points)  # in Gymnasium's tasks
        axis.set(title=task, xlabel="thousand frames", ylabel="return", ylim=(None if below else 0, panel.top))
    for axis in axes[len(panels) :]:
        axis.remove()
    plot.key(figure, columns=4)
    figure.savefig(out, dpi=110)


def _draw(axis: Axes, panel: Panel, colours: dict[str, str]) -> None:
    for name, value in panel.levels:
        axis.axhline(value, color=plot.GREY, linestyle=":", linewidth=1, label=name)
    for name, points in panel.runs:
        for kind, (_, style) in KINDS.items():
            shown = [point for point in points if point.kind == kind]
            label = name if kind == "evaluation" else None
            frames, rewards = [point.frame / 1e3 for point in shown], [point.reward for point in shown]
            axis.plot(frames, rewards, color=colours[name], label=label, **style)
    last = max((point.frame for _, points in panel.runs for point in points), default=0)
    # The published curves go on for a million frames: drawn as far as the first that lies past ours.
    beyond = min((frame for frame in panel.seeds if frame > last), default=last)
    seeds = {frame / 1e3: returns for frame, returns in panel.seeds.items() if frame <= beyond}
    if seeds:
        thousands, (middle, low, high) = list(seeds), zip(*seeds.values())
        axis.fill_between(thousands, low, high, color=plot.PALE, zorder=0, label="published seeds, range")
        axis.plot(thousands, middle, color=plot.GREY, zorder=1, label="published seeds, mean")


def level(word: str) -> tuple[str, float]:
    """NAME=RETURN. Raises ValueError for other words."""
    name, _, value = word.rpartition("=")
    return name, float(value)


def main() -> None:
    words = arguments.parser(
        __doc__,
        {
            "runs": {"type": Path, "nargs": "+", "metavar": "RUN_DIR", "help": "folders of train.py or distill.py"},
            "--out": {"type": Path, "required": True, "help": "the picture (.png); the numbers go beside it (.csv)"},
            "--published": {
                "type": Path,
                "nargs": "?",
                "const": MILESTONES,
                "metavar": "FOLDER",
                "help": "draw DrQ-v2's published seeds, too; FOLDER: curves/ of facebookresearch/drqv2 "
                "(without it: milestones)",
            },
            "--level": {
                "type": level,
                "action": "append",
                "default": [],
                "metavar": "NAME=RETURN",
                "help": "a dotted line, such as what another program's paper prints; may be given again",
            },
        },
    ).parse_args()
    panels: dict[str, Panel] = {}
    try:
        for run in words.runs:
            if not (task := task_of(run)) and words.published:
                raise UserError(
                    f"{run / 'config.json'}: names no task, so --published doesn't know which curve to draw"
                )
            if task not in panels:
                seeds = published(task, words.published) if words.published else {}
                panels[task] = Panel([], seeds, words.level)
            panels[task].runs.append((run.name, read(run)))
    except UserError as error:
        sys.exit(f"error: {error}")
    draw(panels, words.out)
    with open(words.out.with_suffix(".csv"), "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        for task, panel in panels.items():
            for name, points in panel.runs:
                for point in points:
                    beside = panel.seeds.get(point.frame) if point.kind == "evaluation" else None
                    table.writerow([task, name, *point, *(beside or ("", "", ""))])
                    if beside:
                        print(f"{task} {name}, {point.frame:,} frames: {verdict(point.reward, *beside)}")


if __name__ == "__main__":
    main()
