"""What all figures share: colours, axes, marks with their intervals, and files."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.statistics import Estimate
from report.pages import FIGURES, Picture
from runtime.files import atomic_write

# Okabe and Ito's colours, told apart by all kinds of colour vision, the pale yellow left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#1b1f26")
INK, GREY, PALE = "#1b1f26", "#5f6772", "#d9dde2"
# Plain conversion, CRPI, and whatever stands beside them.
PLAIN, CRPI, OTHER = "#D55E00", "#0072B2", "#009E73"
# Inches; a wider figure's letters would be too small on a telephone.
WIDTH = 6.4
_MARKERS = "osD^vPX"
# Decorates what draws.
styled = matplotlib.rc_context(
    {
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "lines.solid_capstyle": "round",
        "svg.hashsalt": "report",
        "figure.constrained_layout.use": True,
    }
)


def save(figure: Figure, out: Path, name: str, alt: str, caption: str = "") -> Picture:
    """Writes a figure to figures/<name>.png and .svg in `out`, and closes it."""
    for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, dpi=150, metadata=metadata)
        atomic_write(out / FIGURES / f"{name}.{suffix}", buffer.getvalue())
        figure.set_layout_engine("none")  # laid out once is enough
    plt.close(figure)
    return Picture(name, alt, caption)


def axes(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A new figure (inches) and its axes, row by row."""
    figure, grid = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, **options)
    return figure, list(grid.flat)


def panels(count: int) -> tuple[Figure, list[Axes]]:
    """`count` panels that share their vertical axis, two in a row: more would be too small on a telephone."""
    columns, rows = min(count, 2), math.ceil(count / 2)
    figure, grid = axes(WIDTH, 0.8 + 3 * rows, rows, columns, sharey=True)
    for panel in grid[count:]:
        panel.set_visible(False)
    return figure, grid[:count]


def lines(count: int) -> float:
    """The height of a figure with so many lines of marks, in inches."""
    return 1.2 + 0.42 * count


def labels(panel: Axes, names: Sequence[str]) -> None:
    """One line of marks for each name, the first on top: the n-th name's marks stand at height n."""
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)


def mark(
    panel: Axes,
    place: float,
    value: Estimate,
    scale: float = 1.0,
    episodes: Sequence[float] = (),
    ink: str = CRPI,
    marker: str = "o",
) -> None:
    """A mean on its interval, over single episodes as faint dots, all times `scale`; diamonds are smaller."""
    spread = np.linspace(-0.12, 0.12, len(episodes)) if len(episodes) > 1 else np.zeros(len(episodes))
    panel.plot(scale * np.array(episodes), place + spread, ".", color=ink, alpha=0.3, markersize=4, markeredgewidth=0)
    if value.interval:
        panel.plot([scale * end for end in value.interval], [place, place], color=ink, linewidth=2.2)
    size = 7 if marker == "o" else 5
    panel.plot(
        scale * value.value, place, marker, color=ink, markersize=size, markeredgecolor="white", markeredgewidth=0.8
    )


def reference(panel: Axes, x: float | None = None, y: float | None = None, ink: str = GREY, style: str = ":") -> None:
    """A thin line at a value that others are compared with."""
    for draw, value in ((panel.axvline, x), (panel.axhline, y)):
        if value is not None:
            draw(value, color=ink, linewidth=1, linestyle=style, zorder=0)


def key(figure: Figure, entries: Mapping[str, tuple[str, str]] | None = None, columns: int = 2) -> None:
    """A legend below everything: of all that is labelled, and of `entries`: name → (colour, marker)."""
    for name, (ink, marker) in (entries or {}).items():
        figure.axes[0].plot([], [], marker, color=ink, linestyle="", label=name)
    handles = {name: handle for panel in figure.axes for handle, name in zip(*panel.get_legend_handles_labels())}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=min(columns, len(handles)))


def look(index: int) -> dict[str, Any]:
    """Colour and marker of the n-th curve."""
    return {"color": COLOURS[index % len(COLOURS)], "marker": _MARKERS[index % len(_MARKERS)]}


def note(panel: Axes, text: str, place: tuple[float, float], ink: str = GREY, **options: Any) -> None:
    """A few words beside a point, moved by `xytext` points."""
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # so that no line crosses them
    panel.annotate(text, place, textcoords="offset points", color=ink, fontsize=8.5, bbox=behind, **options)
