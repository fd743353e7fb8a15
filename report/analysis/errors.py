"""Figures about neighbouring errors: Table 1, and what α does to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from analysis.document import Analysis
from report.analysis.drawing import (
    CHOSEN,
    GREY,
    INK,
    KINDS,
    PALE,
    SHORT,
    TITLES,
    colour,
    dots,
    figure,
    label,
    picture,
    saved,
    shown,
    unit,
)
from report.document import Picture

# Xu et al. 2026, Table 1: ranges over their tasks (TD3 on Gym MuJoCo, IF, T=16).
PAPER = {"correction": (-0.26, -0.07), "consistency": (0.10, 0.48), "drift": (0.03, 0.18)}


def cosines(analysis: Analysis, folder: Path) -> Picture:
    """Table 1's quantities on the report episodes, with the disturbed ANN as control."""
    methods = shown(analysis)
    rows: list[tuple[str, str, dict, str]] = []
    for method in methods:
        rows.append((label(analysis, method.alpha), colour(analysis, method.alpha), method.cosines, "o"))
    plain = methods[0]
    for kind in ("gaussian", "shuffled", "ordered", "flipped"):
        rows.append((f"ANN + {SHORT[kind]}", KINDS[kind], plain.disturbed[kind].cosines, "D"))
    with saved(folder, "cosines"):
        _, grid = figure(10, 0.9 + 0.42 * len(rows), 1, 3, sharey=True, sharex=True)
        for axes, name in zip(grid[0], TITLES):
            low, high = PAPER[name]
            axes.axvspan(low, high, color=PALE, zorder=0, linewidth=0)
            axes.axvline(0, color=GREY, linewidth=1)
            for place, (_, ink, found, marker) in enumerate(reversed(rows)):
                if found[name].mean is not None:
                    dots(axes, place, found[name].mean, ink, marker, 7 if marker == "o" else 5)
            axes.set_title(TITLES[name])
            axes.set_ylim(-0.6, len(rows) - 0.4)
            axes.set_xlim(-1.05, 1.05)
            axes.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−½", "0", "½", "1"])
        grid[0, 0].set_yticks(range(len(rows)), [row[0] for row in reversed(rows)])
        grid[0, 1].set_xlabel("cosine between the errors of neighbouring decisions")
    sign = " Actions have one dimension here, so each cosine is a sign." if analysis.actions == 1 else ""
    return picture(
        "cosines",
        "Cosines of neighbouring action errors: correction, consistency and drift, by policy",
        "Do errors of neighbouring decisions point the same way? Large marks: means over episodes with their 95 % interval; "
        "dots: episodes; grey bands: the range over the paper's tasks (TD3 on Gym MuJoCo, IF, T=16). Diamonds: the ANN with "
        "noise of the same size in place of the spiking network's errors (those at α = 0)." + sign,
    )


def over_alpha(analysis: Analysis, folder: Path) -> Picture | None:
    """Cosines and sums of rewards against α, on the episodes that choose it."""
    candidates = analysis.choice.candidates
    if len(candidates) < 2:
        return None
    alphas = [one.alpha for one in candidates]
    colours = {"correction": "#56B4E9", "consistency": "#CC79A7", "drift": INK}
    with saved(folder, "alpha"):
        columns = 1 if analysis.choice.given else 2
        _, grid = figure(5.2 * columns, 3.8, 1, columns)
        axes = grid[0, 0]
        for name, ink in colours.items():
            found = [
                (alpha, one.cosines[name].mean) for alpha, one in zip(alphas, candidates) if one.cosines[name].mean
            ]
            x = [alpha for alpha, _ in found]
            axes.fill_between(
                x, [e.low for _, e in found], [e.high for _, e in found], color=ink, alpha=0.15, linewidth=0
            )
            axes.plot(x, [e.mean for _, e in found], "o-", color=ink, markersize=4.5, label=TITLES[name])
        axes.axhline(0, color=GREY, linewidth=1)
        _mark(axes, analysis.choice.by_drift, "least drift")
        axes.set(title="calibration episodes", xlabel="α", ylabel="cosine")
        axes.set_ylim(top=axes.get_ylim()[1] + 0.12)
        axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, columnspacing=1.2)
        if columns == 2:
            axes = grid[0, 1]
            for alpha, one in zip(alphas, candidates):
                axes.plot([alpha] * len(one.selection), one.selection, ".", color=INK, alpha=0.3, markeredgewidth=0)
            axes.plot(alphas, [np.mean(one.selection) for one in candidates], "o-", color=INK, markersize=4.5)
            axes.axhline(analysis.ann.mean, color=GREY, linewidth=1, linestyle=":")
            axes.annotate(
                "ANN (report episodes)",
                (alphas[-1], analysis.ann.mean),
                xytext=(0, 3),
                textcoords="offset points",
                ha="right",
                color=GREY,
                fontsize=8.5,
            )
            _mark(axes, analysis.choice.by_return, "most return")
            axes.set(title="selection episodes", xlabel="α", ylabel=unit(analysis))
            low, high = axes.get_ylim()
            axes.set_ylim(low, high + 0.1 * (high - low))
    return picture(
        "alpha",
        "Correction, consistency and drift against α, beside the sum of rewards against α",
        "Two ways to choose α. Left, without any reward: the α with the least drift. Right, by return. Each on episodes "
        "of its own, on which nothing else here is reported.",
    )


def _mark(axes: Axes, alpha: float, words: str) -> None:
    axes.axvline(alpha, color=CHOSEN, linewidth=1.2, linestyle="--", zorder=0)
    ha = "right" if alpha > 0.5 else "left"
    axes.annotate(
        f"{words}: α={alpha:g}",
        (alpha, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if ha == "right" else 4, -3),
        textcoords="offset points",
        va="top",
        ha=ha,
        color=CHOSEN,
        fontsize=9,
    )
