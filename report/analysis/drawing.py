"""What all figures of an analysis share: how policies are called and coloured, axes, and files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.document import Analysis, Curve, Estimate, MethodRecord
from report.document import Picture
from runtime.files import atomic_write

# Okabe and Ito's colours, told apart by all kinds of colour vision.
INK, GREY, PALE = "#1b1f26", "#6b7480", "#d9dde2"
PLAIN, CHOSEN, OTHER = "#D55E00", "#0072B2", "#009E73"
KINDS = {"flipped": "#E69F00", "ordered": "#CC79A7", "shuffled": "#56B4E9", "gaussian": "#7a6f9b"}
TITLES = {"correction": "ANN correction", "consistency": "SNN consistency", "drift": "SNN drift"}
NOISES = {
    "flipped": "its error in each state, with a random sign",
    "ordered": "its errors, in order, from another episode",
    "shuffled": "its errors, shuffled in time",
    "gaussian": "Gaussian noise of their covariance",
}
SHORT = {
    "flipped": "errors with random signs",
    "ordered": "errors in order",
    "shuffled": "errors shuffled",
    "gaussian": "Gaussian noise",
}
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "svg.hashsalt": "analysis",
    "figure.constrained_layout.use": True,
}


def label(analysis: Analysis, alpha: float) -> str:
    """A converted network's name: "IF", "IF + CRPI α=0.4"; the controls by their mode's name."""
    name, mode = analysis.conversion.neuron.upper(), analysis.conversion.mode
    return name if alpha == 0 else f"{name} + {'CRPI' if mode == 'residual' else mode} α={alpha:g}"


def unit(analysis: Analysis) -> str:
    """What a sum of rewards is called."""
    return "sum of rewards (episodes cut short)" if analysis.capped else "return"


def colour(analysis: Analysis, alpha: float) -> str:
    """Plain conversion's, the best α's, and that of a third one."""
    if alpha == 0:
        return PLAIN
    return CHOSEN if alpha == best(analysis) else OTHER


def best(analysis: Analysis) -> float:
    """The α that stands for CRPI: the one chosen by return, or by drift where return chose plain conversion."""
    choice = analysis.choice
    return choice.by_return or choice.by_drift


def shown(analysis: Analysis) -> list[MethodRecord]:
    """Plain conversion first, then the best α, then any other."""
    return sorted(analysis.methods, key=lambda method: (method.alpha != 0, method.alpha != best(analysis)))


@contextmanager
def saved(folder: Path, name: str) -> Iterator[None]:
    """Draw one figure inside: it becomes <name>.png and <name>.svg in `folder`."""
    with matplotlib.rc_context(STYLE):
        yield
        figure = plt.gcf()
        for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, dpi=130, metadata=metadata)
            atomic_write(folder / f"{name}.{suffix}", buffer.getvalue())
            figure.set_layout_engine("none")  # laid out once is enough
        plt.close(figure)


def picture(name: str, alt: str, caption: str) -> Picture:
    return Picture(name, alt, caption)


def dots(axes: Axes, place: float, one: Estimate, colour: str, marker: str = "o", size: float = 7) -> None:
    """An estimate as a horizontal interval with its mean, over its episodes as faint dots."""
    spread = np.linspace(-0.12, 0.12, len(one.values)) if len(one.values) > 1 else [0.0]
    axes.plot(
        one.values,
        np.full(len(one.values), place) + spread,
        ".",
        color=colour,
        alpha=0.3,
        markersize=4,
        markeredgewidth=0,
    )
    axes.plot([one.low, one.high], [place, place], color=colour, linewidth=2.4)
    axes.plot(one.mean, place, marker, color=colour, markersize=size, markeredgecolor="white", markeredgewidth=0.8)


def line(axes: Axes, curve: Curve, colour: str, name: str | None = None, smooth: int = 1, **style) -> None:
    """A curve over the decisions with its interval as a band; running means over `smooth` decisions."""
    parts = [_smoothed(values, smooth) for values in (curve.mean, curve.low, curve.high)]
    x = np.arange(1, len(parts[0]) + 1) + (smooth - 1) / 2
    axes.fill_between(x, parts[1], parts[2], color=colour, alpha=0.15, linewidth=0)
    axes.plot(x, parts[0], color=colour, label=name, **({"linewidth": 1.6} | style))


def figure(width: float, height: float, rows: int = 1, columns: int = 1, **options) -> tuple[Figure, np.ndarray]:
    """A figure and its axes [rows, columns]."""
    made, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, **options)
    return made, axes


def _smoothed(values: Sequence[float], width: int) -> np.ndarray:
    width = min(width, len(values))
    return np.convolve(values, np.ones(width) / width, mode="valid")
