"""Figures about trajectories: how they part, and where they lead."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.document import Analysis
from report.analysis.drawing import GREY, INK, KINDS, SHORT, colour, figure, label, line, picture, saved, shown
from report.document import Picture


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
        for kind in ("flipped", "shuffled"):
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
        "growth",
        "Distance from the ANN's trajectory, action error and reward against the decision index",
        f"Paired trajectories. Bands: 95 % intervals over episodes; the lower two panels are running means over {smooth} "
        "decisions. The black line is the control for chaos: whatever lies above it is not the system's own sensitivity to rounding. The dotted line "
        "is as far as two episodes with different initial states are apart.",
    )


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
            grid[0, 0].plot(path[:, 0], path[:, 1], color=ink, linewidth=0.8, alpha=0.75, label=words)
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
        "map",
        "Trajectories and visited states in the plane of the ANN's two principal axes",
        "States in the plane in which the ANN's vary most (PCA of normalised states). Left: the first report episode of each "
        "policy. Right: states drawn evenly from all report episodes.",
    )
