"""Figures about layers: what each layer's error is made of, and what decisions leave in it."""

from __future__ import annotations

from pathlib import Path

from analysis.document import Analysis
from report.analysis.drawing import GREY, INK, colour, figure, label, picture, saved, shown
from report.document import Picture

PARTS = {"clipping": "#7a6f9b", "quantisation": "#56B4E9", "carry": "#E69F00", "unevenness": "#CC79A7"}


def layers(analysis: Analysis, folder: Path) -> Picture | None:
    """Sizes of the parts of each layer's error, and cosines of neighbouring residuals."""
    methods = [method for method in shown(analysis) if any(layer.error for layer in method.layers)]
    if not methods:
        return None
    names = [layer.name.replace(".", ".\n", 1) for layer in methods[0].layers]
    largest = [
        one.high
        for method in methods
        for layer in method.layers
        for one in (layer.error, layer.inherited, *layer.sizes.values())
        if one
    ]
    top = 105 * max(largest)
    with saved(folder, "layers"):
        _, grid = figure(10, 2.5 * (len(methods) + 1), len(methods) + 1, 1)
        for axes, method in zip(grid[:, 0], methods):
            for place, layer in enumerate(method.layers):
                for offset, (part, ink) in enumerate(PARTS.items()):
                    size = layer.sizes.get(part)
                    if size is None:
                        continue
                    x = place + 0.19 * (offset - 1.5)
                    axes.bar(x, 100 * size.mean, 0.17, color=ink, label=part if place == 0 else None)
                    axes.plot([x, x], [100 * size.low, 100 * size.high], color=INK, linewidth=1)
                for one, marker, words in (
                    (layer.error, "o", "whole error of the layer"),
                    (layer.inherited, "v", "already wrong in its input"),
                ):
                    if one is not None:
                        filled = INK if marker == "o" else "white"
                        axes.plot(
                            place + 0.43,
                            100 * one.mean,
                            marker,
                            color=filled,
                            markeredgecolor=INK,
                            markersize=6,
                            linestyle="",
                            label=words if place == 0 else None,
                        )
            axes.set_title(label(analysis, method.alpha), color=colour(analysis, method.alpha))
            axes.set_xticks(range(len(names)), names)
            axes.set_ylabel("% of the activations'\nroot mean square")
            axes.set_ylim(0, top)
        grid[0, 0].legend(
            fontsize=8.5, ncols=6, loc="lower left", bbox_to_anchor=(0, 1.1), columnspacing=1.2, handletextpad=0.5
        )
        axes = grid[-1, 0]
        for offset, method in enumerate(methods):
            for place, layer in enumerate(method.layers):
                if layer.residuals is not None:
                    x, ink = place + 0.16 * (offset - (len(methods) - 1) / 2), colour(analysis, method.alpha)
                    axes.plot([x, x], [layer.residuals.low, layer.residuals.high], color=ink, linewidth=2.4)
                    axes.plot(
                        x,
                        layer.residuals.mean,
                        "o",
                        color=ink,
                        markersize=6.5,
                        markeredgecolor="white",
                        label=label(analysis, method.alpha) if place == 0 else None,
                    )
        axes.axhline(0, color=GREY, linewidth=1)
        axes.set(
            title="What neighbouring decisions leave in the membranes", ylabel="cosine", xlim=(-0.6, len(names) - 0.4)
        )
        axes.set_xticks(range(len(names)), names)
        axes.legend(fontsize=8.5, loc="lower left", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return picture(
        "layers",
        "Parts of each spiking layer's error, and cosines of neighbouring residual potentials",
        "Each layer on its own input: what clipping at the threshold, quantisation to T steps, CRPI's carry and the uneven "
        "arrival of spikes contribute (bars; they add up vectorially to the dot), and what was wrong before (triangle). Below: do the residual "
        "potentials of neighbouring decisions point the same way?",
    )
