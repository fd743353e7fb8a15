"""Figures about the return that is lost: to states or to actions, to the size of errors or to their order."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes

from analysis.document import Analysis, Estimate
from report.analysis.drawing import INK, KINDS, NOISES, colour, dots, figure, label, picture, saved, shown, unit
from report.document import Picture

_STEP = {"states": "#4b5a75", "actions": "#E69F00"}


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
            axes.annotate(
                "ANN", (ann, 1.6), xytext=(4, -2), textcoords="offset points", va="top", color=INK, fontsize=9
            )
        ends = [value for m in methods for value in (m.reward_sum.mean, m.ann_on_snn.mean, m.snn_on_ann.mean)] + [
            analysis.ann.mean
        ]
        reach = max(ends) - min(ends) or 1.0
        grid[-1, 0].set_xlim(min(ends) - 0.12 * reach, max(ends) + 0.12 * reach)
        grid[-1, 0].set_xlabel(unit(analysis))
    return picture(
        "loss",
        "From the ANN's return to the converted network's, split into what states and what actions cost",
        "How the ANN's return becomes the converted network's. The upper row first moves to the states that the network "
        "visits, with the ANN's actions there (ANN|SNN), and then changes the actions; the lower row first changes the "
        "actions in the ANN's states (SNN|ANN). Means over episodes.",
    )


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
            rows += [
                (f"ANN + {words}", method.disturbed[kind].reward_sum, KINDS[kind]) for kind, words in NOISES.items()
            ]
            for place, (_, one, ink) in enumerate(reversed(rows)):
                dots(axes, place, one, ink)
            axes.axvline(
                method.reward_sum.mean, color=colour(analysis, method.alpha), linewidth=1, linestyle="--", zorder=0
            )
            axes.axvline(analysis.ann.mean, color=INK, linewidth=1, linestyle=":", zorder=0)
            axes.set_yticks(range(len(rows)), [words for words, _, _ in reversed(rows)])
            axes.set_ylim(-0.6, len(rows) - 0.4)
            axes.set_title(
                f"errors of {label(analysis, method.alpha)}, root mean square {method.error.mean:.2g}",
                color=colour(analysis, method.alpha),
            )
        grid[-1, 0].set_xlabel(unit(analysis))
    return picture(
        "order",
        "Returns of the ANN disturbed by errors of equal size, against the converted network's",
        "Is it the size of the errors, or how they hang together? The ANN with errors of the spiking network's size in place of "
        "its own course of errors. Were it only how they hang together, the rows below the network's would lie near the ANN's.",
    )


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
            f"{kind} {difference.replace('-', '−')}",
            ((start + end) / 2, place),
            xytext=(0, 8 if place % 1 < 0.5 else -16),
            textcoords="offset points",
            ha="center",
            color=_STEP[kind] if kind == "states" else "#a86f00",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
