"""The figures, as PNG and SVG."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from report.curves import Curves
from report.document import Picture
from report.energy import Cost, Preset
from report.method import Variant
from report.numbers import Row
from runtime.files import atomic_write

# Okabe and Ito's colours, told apart by all kinds of colour vision, the pale yellow left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = "osD^vPX"
_GREY = "#5f6772"
_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "svg.hashsalt": "report",
    "figure.constrained_layout.use": True,
}


def ratios(rows: list[Row], folder: Path, name: str, obs: str) -> Picture | None:
    """APR of every method, off and on, beside the paper's; None where no row has one."""
    shown = [row for row in rows if row.network is not None and row.apr is not None]
    if not shown:
        return None

    def draw() -> Figure:
        figure, axes = plt.subplots(figsize=(8, 1.1 + 0.42 * len(shown)))
        for place, row in enumerate(reversed(shown)):
            colour = _GREY if row.variant.is_off else COLOURS[0]
            low, high = row.apr_interval or (row.apr, row.apr)
            axes.plot([100 * low, 100 * high], [place, place], color=colour, linewidth=2, solid_capstyle="round")
            axes.plot(100 * row.apr, place, "o", color=colour, markersize=7)
            if row.paper_apr is not None:
                axes.plot(row.paper_apr, place, "D", markerfacecolor="white", markeredgecolor=COLOURS[1], markersize=6)
        names = [f"{row.network.label}   {row.variant.short}" for row in reversed(shown) if row.network]
        axes.set_yticks(range(len(shown)), names)
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.axvline(100, color=_GREY, linewidth=1, linestyle=":")
        axes.set_xlabel("average performance ratio, % of the ANN (bars: 95 % interval)")
        axes.set_xlim(right=min(axes.get_xlim()[1], _most(shown)))
        handles = [
            axes.plot([], [], "o", color=_GREY, label="ours, CRPI off")[0],
            axes.plot([], [], "o", color=COLOURS[0], label="ours, CRPI on")[0],
        ]
        if any(row.paper_apr is not None for row in shown):
            label = "the paper's, same tasks" + (", from pixels" if obs == "state" else "")
            handles += axes.plot(
                [], [], "D", markerfacecolor="white", markeredgecolor=COLOURS[1], linestyle="", label=label
            )
        figure.legend(handles=handles, loc="outside upper right", ncols=3)
        return figure

    alt = "Average performance ratio of each method with CRPI off and on, with intervals, beside the paper's"
    return _save(draw, folder, name, alt, _cut(shown))


def alphas(curves: list[Curves], folder: Path, name: str) -> Picture | None:
    """Relative return against α, a panel per network and a curve per task (the paper's Figure 5)."""
    if not curves:
        return None
    tasks = sorted({task for one in curves for task in one.tasks})

    def draw() -> Figure:
        figure, panels = _panels(len(curves))
        for axes, one in zip(panels, curves):
            for task, points in one.tasks.items():
                index = tasks.index(task)
                x, y = [point.alpha for point in points], [100 * point.ratio for point in points]
                low = [100 * (point.ratio - point.interval.low) for point in points]
                high = [100 * (point.interval.high - point.ratio) for point in points]
                axes.errorbar(
                    x,
                    y,
                    [low, high],
                    color=_colour(index),
                    marker=_marker(index),
                    markersize=4,
                    elinewidth=0.8,
                    label=task,
                )
            which = "reported episodes" if one.stream == "report" else "selection episodes"
            mode = "" if one.mode == "residual" else f", {one.mode}"
            axes.set_title(f"{one.network.label}{mode} ({which})")
            axes.axhline(100, color=_GREY, linewidth=1, linestyle=":")
            axes.set(xlabel="α", ylabel="return, % of the ANN's")
        # The axis is shared: set on a panel before the others are drawn, its end would cut their points off.
        panels[0].set_ylim(bottom=0)
        _legend(figure, panels, len(tasks))
        return figure

    return _save(draw, folder, name, "Relative return against α, one curve per task")


def timesteps(rows: list[Row], folder: Path, name: str) -> Picture | None:
    """APR against T per neuron, dashed with CRPI off, over the same tasks everywhere: the most that any row has. None
    where no neuron has two values of T with these."""
    rows = [row for row in rows if row.network and row.apr is not None and not row.variant.is_control]
    tasks = max((row.counted for row in rows), key=len, default=())
    lines: dict[tuple[str, Variant], list[Row]] = {}
    for row in rows:
        if row.counted == tasks and isinstance(row.network.timesteps, int):
            lines.setdefault((row.network.neuron, row.variant), []).append(row)
    lines = {
        key: found for key, found in lines.items() if len({row.network.timesteps for row in found if row.network}) > 1
    }
    if not lines:
        return None
    neurons = list(dict.fromkeys(neuron for neuron, _ in lines))
    shown = [row for found in lines.values() for row in found]

    def draw() -> Figure:
        figure, axes = plt.subplots(figsize=(8, 4.4))
        for (neuron, variant), found in lines.items():
            index = neurons.index(neuron)
            found = sorted(found, key=lambda row: row.network.timesteps)
            x, y = [row.network.timesteps for row in found], [100 * row.apr for row in found]
            error = [
                [100 * (row.apr - row.apr_interval.low) for row in found],
                [100 * (row.apr_interval.high - row.apr) for row in found],
            ]
            label = f"{neuron.upper()}, {variant.short}"
            style = "--" if variant.is_off else "-"
            look = dict(color=_colour(index), marker=_marker(index), linestyle=style, markersize=5, elinewidth=0.8)
            axes.errorbar(x, y, error, **look, label=label, markerfacecolor="white" if variant.is_off else None)
        axes.set_xscale("log", base=2)
        ticks = sorted({row.network.timesteps for row in shown})
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.axhline(100, color=_GREY, linewidth=1, linestyle=":")
        axes.set(xlabel="simulation steps T per decision", ylabel="average performance ratio, %")
        axes.set_ylim(0, min(axes.get_ylim()[1], _most(shown)))
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return figure

    caption = f"Over {', '.join(tasks)}; a method that lacks one of them is left out. {_cut(shown)}"
    return _save(
        draw, folder, name, "Average performance ratio against simulation steps, a line per method", caption.strip()
    )


def _most(rows: list[Row]) -> float:
    """Where an axis of ratios ends at the latest, in %. An ANN that sometimes returns nothing has resamples whose ratio is
    without bound, and a picture as wide as their interval would show nothing else."""
    return 200.0 * max([1.0, *(row.apr for row in rows if row.apr is not None)])


def _cut(rows: list[Row]) -> str:
    """A sentence where an interval goes on beyond the axis."""
    cut = any(row.apr_interval is not None and 100 * row.apr_interval.high > _most(rows) for row in rows)
    return "A bar that ends at the edge goes on beyond it; the table has its numbers." if cut else ""


def controls(rows: list[Row], folder: Path, name: str) -> Picture | None:
    """The gain over CRPI off of each mode; None where no control was run."""
    shown = [row for row in rows if row.gain is not None]
    if not any(row.variant.is_control for row in shown):
        return None

    def draw() -> Figure:
        figure, axes = plt.subplots(figsize=(8, 1.1 + 0.42 * len(shown)))
        for place, row in enumerate(reversed(shown)):
            mean, interval = row.gain or (math.nan, (math.nan, math.nan))
            colour = COLOURS[0] if row.variant.mode == "residual" else COLOURS[1]
            axes.plot([100 * end for end in interval], [place, place], color=colour, linewidth=2)
            axes.plot(100 * mean, place, "o", color=colour, markersize=7)
        axes.set_yticks(
            range(len(shown)), [f"{row.network.label}   {row.variant.short}" for row in reversed(shown) if row.network]
        )
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.axvline(0, color=_GREY, linewidth=1, linestyle=":")
        axes.set_xlabel("gain over CRPI off, in % of the ANN's return (bars: 95 % interval, same episodes)")
        return figure

    return _save(draw, folder, name, "Gain of CRPI and of its controls over plain conversion")


def energy(costs: list[tuple[str, Cost]], preset: Preset, folder: Path, name: str) -> Picture | None:
    """The ANN's energy per decision and the three sums of each network, on a logarithmic scale."""
    if not costs:
        return None
    ways: list[tuple[str, Callable[[Cost], float]]] = [
        ("ANN", lambda cost: cost.ann(preset)),
        ("spikes only (the paper's way)", lambda cost: cost.spikes_only(preset)),
        ("+ analog layer once", lambda cost: cost.analog_once(preset)),
        ("+ analog layer at every step", lambda cost: cost.analog_always(preset)),
    ]

    def draw() -> Figure:
        figure, axes = plt.subplots(figsize=(8, 1.1 + 0.42 * len(costs)))
        for index, (label, way) in enumerate(ways):
            values = [1e6 * way(cost) for _, cost in reversed(costs)]
            axes.plot(values, range(len(costs)), linestyle="", marker=_marker(index), color=_colour(index), label=label)
        axes.set_yticks(range(len(costs)), [label for label, _ in reversed(costs)])
        axes.set_ylim(-0.6, len(costs) - 0.4)
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.grid(axis="x", color="#d9dde2", linewidth=0.6)
        axes.set_xlabel(f"energy per decision, µJ (preset {preset.name})")
        figure.legend(loc="outside upper right", ncols=2)
        return figure

    return _save(
        draw, folder, name, f"Energy per decision of the ANN and of each spiking network, preset {preset.name}"
    )


def _panels(count: int) -> tuple[Figure, list]:
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    width = 8 if columns < 3 else 11
    figure, grid = plt.subplots(rows, columns, figsize=(width, 0.6 + 3.2 * rows), squeeze=False, sharey=True)
    panels = list(grid.flat)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]


def _legend(figure: Figure, panels: list, entries: int) -> None:
    handles = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(entries, 3))


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _marker(index: int) -> str:
    return _MARKERS[index % len(_MARKERS)]


def _save(draw: Callable[[], Figure], folder: Path, name: str, alt: str, caption: str = "") -> Picture:
    with matplotlib.rc_context(_STYLE):
        figure = draw()
        for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, dpi=150, metadata=metadata)
            atomic_write(folder / f"{name}.{suffix}", buffer.getvalue())
            figure.set_layout_engine("none")  # laid out once is enough
        plt.close(figure)
    return Picture(name, alt, caption)
