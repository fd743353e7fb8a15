"""Draws the learning curves of training runs into one picture, with their numbers beside it.

    python scripts/plot_curves.py RUN_DIR [RUN_DIR ...] --out curves.png

Thick: evaluations, without exploration noise. Thin: each episode of training. OUT's name with .csv holds the numbers:
run, kind (evaluation | training), frame, seconds of training so far, return.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

KINDS = {
    "evaluation": ("eval.csv", {"linewidth": 2, "marker": "o", "markersize": 4}),
    "training": ("train.csv", {"linewidth": 0.8, "alpha": 0.5}),
}


def read(run: Path) -> list[tuple[str, int, float, float]]:
    """(kind, frame, seconds, return) of every line that `run` logged. Exits with one line where it is no run folder."""
    lines = []
    for kind, (name, _) in KINDS.items():
        try:
            with open(run / name, newline="") as file:
                lines += [
                    (kind, int(r["frame"]), float(r["total_time"]), float(r["episode_reward"]))
                    for r in csv.DictReader(file)
                ]
        except (OSError, KeyError, ValueError) as error:
            sys.exit(f"error: {run / name}: not the log of a training run ({error})")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN_DIR", help="folders of train.py or distill.py")
    parser.add_argument("--out", type=Path, required=True, help="the picture (.png); the numbers go beside it (.csv)")
    words = parser.parse_args()
    figure, axis = pyplot.subplots(figsize=(7, 4), layout="constrained")
    table = [("run", "kind", "frame", "seconds", "return")]
    for number, run in enumerate(words.runs):
        lines = read(run)
        for kind, (_, style) in KINDS.items():
            points = [(frame / 1e3, value) for one, frame, _, value in lines if one == kind]
            if points:
                axis.plot(*zip(*points), color=f"C{number}", label=run.name if kind == "evaluation" else None, **style)
        table += [(run.name, *line) for line in lines]
    axis.set(xlabel="thousand frames", ylabel="return", ylim=(0, None))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(words.out, dpi=110)
    with open(words.out.with_suffix(".csv"), "w", newline="") as file:
        csv.writer(file).writerows(table)


if __name__ == "__main__":
    main()
