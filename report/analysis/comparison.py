"""Figures of several analyses: all their cosines, and all their returns, in one picture each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from analysis.document import Analysis, Estimate
from report.analysis.drawing import (
    CHOSEN,
    GREY,
    INK,
    KINDS,
    PALE,
    PLAIN,
    SHORT,
    TITLES,
    best,
    dots,
    figure,
    picture,
    saved,
)
from report.analysis.errors import PAPER
from report.document import Picture


def cosines(analyses: Sequence[Analysis], folder: Path) -> Picture:
    """Correction, consistency and drift of every policy: plain conversion, the best α, and the flipped errors."""
    with saved(folder, "overview_cosines"):
        made, grid = figure(10, 1.2 + 0.36 * len(analyses), 1, 3, sharey=True)
        for axes, name in zip(grid[0], TITLES):
            axes.axvspan(*PAPER[name], color=PALE, zorder=0, linewidth=0)
            axes.axvline(0, color=GREY, linewidth=1)
            for place, analysis in enumerate(reversed(analyses)):
                plain = analysis.of(0.0)
                _mark(axes, place - 0.2, plain.disturbed["flipped"].cosines[name].mean, KINDS["flipped"], "D", 4.5)
                _mark(axes, place, analysis.of(best(analysis)).cosines[name].mean, CHOSEN, "o", 6)
                _mark(axes, place + 0.2, plain.cosines[name].mean, PLAIN, "o", 6)
            axes.set(title=TITLES[name], xlim=(-1.05, 1.05), ylim=(-0.7, len(analyses) - 0.3))
        _rows(grid[0], analyses)
        names = {"plain conversion, α = 0": (PLAIN, "o"), "with CRPI, best α": (CHOSEN, "o")}
        _legend(made, grid[0, 0], names | {"ANN + errors of α = 0 with random signs": (KINDS["flipped"], "D")})
    return picture(
        "overview_cosines",
        "Correction, consistency and drift of every policy analysed",
        "Means over episodes with 95 % intervals. Grey bands: the range over the paper's tasks (TD3 on Gym MuJoCo, IF, T=16). "
        "Where actions have one dimension (cartpole) a cosine is a sign.",
    )


def returns(analyses: Sequence[Analysis], folder: Path) -> Picture:
    """Returns relative to the ANN's: the network, CRPI, and the ANN with the network's errors in other orders."""
    kinds = ("ordered", "flipped", "shuffled", "gaussian")
    with saved(folder, "overview_returns"):
        made, grid = figure(9.5, 1.2 + 0.55 * len(analyses))
        axes = grid[0, 0]
        for place, analysis in enumerate(reversed(analyses)):
            plain, scale = analysis.of(0.0), 100 / analysis.ann.mean if analysis.ann.mean > 0 else 0.0
            rows = [(plain.reward_sum, PLAIN, "o"), (analysis.of(best(analysis)).reward_sum, CHOSEN, "o")]
            rows += [(plain.disturbed[kind].reward_sum, KINDS[kind], "D") for kind in kinds]
            for offset, (one, ink, marker) in enumerate(rows):
                _mark(axes, place + 0.35 - 0.14 * offset, one, ink, marker, 6 if marker == "o" else 4.5, scale)
            axes.axhline(place - 0.5, color=PALE, linewidth=0.8)
        axes.axvline(100, color=INK, linewidth=1, linestyle=":")
        axes.set(xlabel="return, % of the ANN's", ylim=(-0.6, len(analyses) - 0.4))
        _rows(grid[0], analyses)
        names = {"plain conversion, α = 0": (PLAIN, "o"), "with CRPI, best α": (CHOSEN, "o")}
        _legend(made, axes, names | {f"ANN + {SHORT[kind]}": (KINDS[kind], "D") for kind in kinds})
    return picture(
        "overview_returns",
        "Returns of every policy analysed, relative to the ANN's",
        "Circles: the spiking networks. Diamonds: the ANN with errors as large as those of plain conversion, hanging together in "
        "other ways. Means over episodes with 95 % intervals.",
    )


def _mark(
    axes: Axes, place: float, one: Estimate | None, ink: str, marker: str, size: float, scale: float = 1.0
) -> None:
    if one is not None:
        bare = Estimate(scale * one.mean, scale * one.low, scale * one.high, [])
        dots(axes, place, bare, ink, marker, size)


def _rows(panels, analyses: Sequence[Analysis]) -> None:
    names = [
        f"{analysis.task.replace('_', ' ')}, {analysis.obs}, T={analysis.conversion.timesteps}" for analysis in analyses
    ]
    panels[0].set_yticks(range(len(analyses)), names[::-1])
    for axes in panels:
        axes.tick_params(axis="y", length=0)


def _legend(made, axes: Axes, names: dict[str, tuple[str, str]]) -> None:
    handles = [
        axes.plot([], [], marker, color=ink, linestyle="", label=name)[0] for name, (ink, marker) in names.items()
    ]
    made.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9)
