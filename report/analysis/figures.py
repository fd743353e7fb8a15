"""Figures about episodes: what the loss is made of, how errors go on, how trajectories part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from analysis.document import Analysis, Estimate
from report.analysis.drawing import (
    GREY, INK, KINDS, PALE, colour, dots, figure, label, line, picture, saved, shown, unit,
)  # fmt: skip
from report.document import Picture

# Xu et al. 2026, Table 1: ranges over their tasks (TD3 on Gym MuJoCo, IF, T=16).
PAPER = {"correction": (-0.26, -0.07), "consistency": (0.10, 0.48), "drift": (0.03, 0.18)}
TITLES = {
    "correction": "ANN correction",
    "consistency": "SNN consistency",
    "drift": "SNN drift",
}
NOISES = {
    "ordered": "its errors, in order, from another episode",
    "signs": "its errors, each with a random sign",
    "shuffled": "its errors, shuffled in time",
    "gaussian": "Gaussian noise of their covariance",
}
SHORT = {
    "ordered": "errors in order",
    "signs": "errors, random signs",
    "shuffled": "errors shuffled",
    "gaussian": "Gaussian noise",
}


def loss(analysis: Analysis, folder: Path) -> Picture:
    """From the ANN's return to the converted network's, in two orders."""
    methods = shown(analysis)
    with saved(folder, "loss"):
        _, grid = figure(9, 1.1 + 1.55 * len(methods), len(methods), 1, sharex=True)
        for axes, method in zip(grid[:, 0], methods):
            ann, own = analysis.ann.mean, method.reward_sum.mean
            _steps(axes, 1, [(ann, method.ann_on_snn.mean, "states"), (method.ann_on_snn.mean, own, "actions")])
            _steps(axes, 0, [(ann, method.snn_on_ann.mean, "actions"), (method.snn_on_ann.mean, own, "states")])
            for x, ink in ((ann, INK), (own, colour(analysis, method.alpha))):
                axes.axvline(x, color=ink, linewidth=2, zorder=0)
            axes.set_title(label(analysis, method.alpha), color=colour(analysis, method.alpha))
            axes.set_yticks([1, 0], ["states first", "actions first"])
            axes.set_ylim(-0.6, 1.6)
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
            axes.annotate("ANN", (ann, 1.6), xytext=(4, -2), textcoords="offset points", va="top", color=INK, fontsize=9)
        ends = [value for m in methods for value in (m.reward_sum.mean, m.ann_on_snn.mean, m.snn_on_ann.mean)] + [
            analysis.ann.mean
        ]
        reach = max(ends) - min(ends) or 1.0
        grid[-1, 0].set_xlim(min(ends) - 0.12 * reach, max(ends) + 0.12 * reach)
        grid[-1, 0].set_xlabel(unit(analysis))
    return picture(
        "loss", "From the ANN's return to the converted network's, split into what states and what actions cost",
        "How the ANN's return becomes the converted network's. The upper row first moves to the states that the network "
        "visits, with the ANN's actions there (ANN|SNN), and then changes the actions; the lower row first changes the "
        "actions in the ANN's states (SNN|ANN). Means over episodes.",
    )  # fmt: skip


_STEP = {"states": "#4b5a75", "actions": "#E69F00"}


def _steps(axes: Axes, place: float, steps: list[tuple[float, float, str]]) -> None:
    # Each step on a line of its own: the second may lead back over the first.
    for (start, end, kind), place in zip(steps, (place + 0.1, place - 0.12)):
        arrow = {
            "arrowstyle": "-|>,head_width=0.3,head_length=0.5",
            "color": _STEP[kind],
            "linewidth": 4.5,
            "shrinkA": 0,
            "shrinkB": 0,
            "mutation_scale": 14,
        }
        axes.annotate("", (end, place), (start, place), arrowprops=arrow)
        difference = f"{end - start:+.0f}" if abs(end - start) >= 10 else f"{end - start:+.1f}"
        axes.annotate(
            f"{kind} {difference.replace('-', '−')}", ((start + end) / 2, place), xytext=(0, 8 if place % 1 < 0.5 else -16),
            textcoords="offset points", ha="center", color=_STEP[kind] if kind == "states" else "#a86f00", fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip


def cosines(analysis: Analysis, folder: Path) -> Picture:
    """Table 1's quantities on the report episodes, with the disturbed ANN as control."""
    methods = shown(analysis)
    rows: list[tuple[str, str, dict, str]] = []
    for method in methods:
        rows.append((label(analysis, method.alpha), colour(analysis, method.alpha), method.cosines, "o"))
    plain = methods[0]
    for kind in ("gaussian", "shuffled", "signs", "ordered"):
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
        "cosines", "Cosines of neighbouring action errors: correction, consistency and drift, by policy",
        "Do errors of neighbouring decisions point the same way? Large marks: means over episodes with their 95 % interval; "
        "dots: episodes; grey bands: the range over the paper's tasks (TD3 on Gym MuJoCo, IF, T=16). Diamonds: the ANN with "
        "noise of the same size in place of the spiking network's errors (those at α = 0)." + sign,
    )  # fmt: skip


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
            found = [(alpha, one.cosines[name].mean) for alpha, one in zip(alphas, candidates) if one.cosines[name].mean]
            x = [alpha for alpha, _ in found]
            axes.fill_between(x, [e.low for _, e in found], [e.high for _, e in found], color=ink, alpha=0.15, linewidth=0)
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
        "alpha", "Correction, consistency and drift against α, beside the sum of rewards against α",
        "Two ways to choose α. Left, without any reward: the α with the least drift. Right, by return. Each on episodes "
        "of its own, on which nothing else here is reported.",
    )  # fmt: skip


def _mark(axes: Axes, alpha: float, words: str) -> None:
    axes.axvline(alpha, color="#0072B2", linewidth=1.2, linestyle="--", zorder=0)
    ha = "right" if alpha > 0.5 else "left"
    axes.annotate(
        f"{words}: α={alpha:g}", (alpha, 1), xycoords=("data", "axes fraction"), xytext=(-4 if ha == "right" else 4, -3),
        textcoords="offset points", va="top", ha=ha, color="#0072B2", fontsize=9,
    )  # fmt: skip


def growth(analysis: Analysis, folder: Path) -> Picture:
    """Distance from the ANN's trajectory, size of the action error, and reward, decision by decision."""
    methods = shown(analysis)
    length = len(analysis.ann_reward.mean)
    smooth = max(1, length // 50)
    with saved(folder, "growth"):
        made, grid = figure(9, 8.4, 3, 1, height_ratios=[2, 1, 1])
        axes = grid[0, 0]
        for method in methods:
            line(axes, method.distance, colour(analysis, method.alpha), label(analysis, method.alpha))
        for kind in ("shuffled", "gaussian"):
            line(
                axes,
                methods[0].disturbed[kind].distance,
                KINDS[kind],
                f"ANN + {SHORT[kind]} ({label(analysis, 0)})",
                linewidth=1.1,
            )
        unrelated = analysis.chaos.unrelated
        axes.plot(
            np.arange(1, len(unrelated) + 1),
            unrelated,
            color=GREY,
            linestyle=":",
            linewidth=1.6,
            label="two unrelated episodes of the ANN",
        )
        line(axes, analysis.chaos.distance, INK, "ANN, each action one ulp away", linewidth=1.1)
        visible = [value for value in analysis.chaos.distance.mean[1:] if value > 0]
        axes.set(
            xscale="log",
            yscale="log",
            xlim=(2, length),
            xlabel="decision (logarithmic)",
            ylabel="distance, in standard\ndeviations of the ANN's states",
        )
        axes.set_ylim(bottom=max(min(visible, default=1e-4), 1e-9) / 2)
        ticks = [tick for tick in (2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick <= length]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_title("How far from the ANN's trajectory out of the same initial state")
        made.legend(fontsize=8.5, loc="outside lower center", ncols=3)
        for method in methods:
            line(grid[1, 0], method.action_error, colour(analysis, method.alpha), smooth=smooth)
            line(grid[2, 0], method.reward, colour(analysis, method.alpha), smooth=smooth)
        line(grid[2, 0], analysis.ann_reward, INK, smooth=smooth)
        grid[1, 0].set(title="How wrong the actions are in the network's own states", ylabel="‖δ‖", xlim=(1, length))
        grid[1, 0].set_ylim(bottom=0)
        grid[2, 0].set(title="Reward (black: ANN)", ylabel="per decision", xlabel="decision", xlim=(1, length))
    return picture(
        "growth", "Distance from the ANN's trajectory, action error and reward against the decision index",
        f"Paired trajectories. Bands: 95 % intervals over episodes; the lower two panels are running means over {smooth} decisions. The black "
        "line is the control for chaos: whatever lies above it is not the system's own sensitivity to rounding. The dotted line "
        "is as far as two episodes with different initial states are apart.",
    )  # fmt: skip


def state_map(analysis: Analysis, folder: Path) -> Picture:
    """Trajectories of one episode, and the states that each policy visits, in the ANN's principal plane."""
    names = [("ANN", "ANN", INK)] + [
        (f"{m.alpha:g}", label(analysis, m.alpha), colour(analysis, m.alpha)) for m in shown(analysis)
    ]
    with saved(folder, "map"):
        columns = len(names)
        _, grid = figure(3.6 * columns, 3.7, 1, columns, sharex=True, sharey=True)
        for name, words, ink in names:
            path = np.array(analysis.map.trajectories[name])
            grid[0, 0].plot(path[:, 0], path[:, 1], color=ink, linewidth=1.1, alpha=0.85, label=words)
        start = np.array(analysis.map.trajectories["ANN"][0])
        grid[0, 0].plot(*start, "o", color="white", markeredgecolor=INK, markersize=8, zorder=5)
        grid[0, 0].set_title("One episode, same start (○)")
        grid[0, 0].legend(fontsize=8.5, loc="best")
        ann = np.array(analysis.map.visited["ANN"])
        for axes, (name, words, ink) in zip(grid[0, 1:], names[1:]):
            points = np.array(analysis.map.visited[name])
            axes.plot(ann[:, 0], ann[:, 1], ".", color="#c3c9d1", markersize=8, markeredgewidth=0, zorder=0)
            axes.plot(points[:, 0], points[:, 1], ".", color=ink, markersize=3.2, markeredgewidth=0, alpha=0.6)
            axes.set_title(f"{words} (grey: ANN)", color=ink)
        for axes in grid[0]:
            axes.set_xlabel(f"first axis, {100 * analysis.map.shares[0]:.0f} % of the variance")
        grid[0, 0].set_ylabel(f"second axis, {100 * analysis.map.shares[1]:.0f} %")
    return picture(
        "map", "Trajectories and visited states in the plane of the ANN's two principal axes",
        "States in the plane in which the ANN's vary most (PCA of normalised states). Left: the first report episode of each "
        "policy. Right: states drawn evenly from all report episodes.",
    )  # fmt: skip


def order(analysis: Analysis, folder: Path) -> Picture:
    """Returns of the ANN with the converted network's errors in other orders, against the network itself."""
    methods = shown(analysis)
    with saved(folder, "order"):
        _, grid = figure(9.5, 0.8 + 2.2 * len(methods), len(methods), 1, sharex=True)
        for axes, method in zip(grid[:, 0], methods):
            rows: list[tuple[str, Estimate, str]] = [
                ("ANN", analysis.ann, INK),
                (label(analysis, method.alpha), method.reward_sum, colour(analysis, method.alpha)),
            ]
            rows += [(f"ANN + {words}", method.disturbed[kind].reward_sum, KINDS[kind]) for kind, words in NOISES.items()]
            for place, (_, one, ink) in enumerate(reversed(rows)):
                dots(axes, place, one, ink)
            axes.axvline(method.reward_sum.mean, color=colour(analysis, method.alpha), linewidth=1, linestyle="--", zorder=0)
            axes.axvline(analysis.ann.mean, color=INK, linewidth=1, linestyle=":", zorder=0)
            axes.set_yticks(range(len(rows)), [words for words, _, _ in reversed(rows)])
            axes.set_ylim(-0.6, len(rows) - 0.4)
            axes.set_title(
                f"errors of {label(analysis, method.alpha)}, root mean square {method.error.mean:.2g}",
                color=colour(analysis, method.alpha),
            )
        grid[-1, 0].set_xlabel(unit(analysis))
    return picture(
        "order", "Returns of the ANN disturbed by errors of equal size, against the converted network's",
        "Is it the size of the errors, or how they hang together? The ANN with errors of the spiking network's size added to "
        "its actions. If only their order mattered, shuffled errors and errors with random signs would cost little.",
    )  # fmt: skip


def all_of(analysis: Analysis, folder: Path) -> dict[str, Picture]:
    """By name; figures that this analysis has nothing for are left out."""
    makers = {"loss": loss, "cosines": cosines, "alpha": over_alpha, "growth": growth, "map": state_map, "order": order}
    made = {name: maker(analysis, folder) for name, maker in makers.items()}
    return {name: found for name, found in made.items() if found is not None}
