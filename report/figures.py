"""The figures of a report on returns."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from evaluation import statistics
from report import paper, plot
from report.curves import AlphaCurves
from report.energy import Cost, Preset
from report.method import ReportMethod
from report.numbers import MethodRow
from report.pages import Picture


@plot.styled
def ratios(rows: list[MethodRow], out: Path, name: str, obs: str) -> Picture | None:
    """APR of every method, off and on, beside the paper's; None where no row has one."""
    shown = [(row, row.apr) for row in rows if row.apr and not row.method.is_ann]
    if not shown:
        return None
    figure, panel = _marks([(row.method, apr) for row, apr in shown], 100)
    for place, (row, _) in enumerate(shown):
        if row.printed_apr is not None:
            panel.plot(row.printed_apr, place, "D", markerfacecolor="white", markeredgecolor=plot.INK, markersize=6)
    panel.set_xlabel("average performance ratio, % of the ANN (bars: 95 % interval)")
    low, high = panel.get_xlim()
    least = min(0.0, *(100 * apr.value for _, apr in shown))
    panel.set_xlim(max(low, least), min(high, _most(apr for _, apr in shown)))
    entries = {"ours, CRPI off": (plot.PLAIN, "o"), "ours, CRPI on": (plot.CRPI, "o")}
    if any(row.printed_apr is not None for row, _ in shown):
        label = "the paper's, same tasks" + (", from pixels" if obs == "state" else "")
        entries[label] = (plot.INK, "D")
    plot.key(figure, entries, columns=3)
    return plot.save(
        figure,
        out,
        name,
        alt="Average performance ratio of each method with CRPI off and on, with intervals, beside the paper's",
        caption=_cut(apr for _, apr in shown),
    )


@plot.styled
def alphas(all_curves: list[AlphaCurves], out: Path, name: str) -> Picture:
    """Relative return against α, a panel per network and a curve per task (the paper's Figure 5)."""
    tasks = sorted({task for curves in all_curves for task in curves.tasks})
    figure, panels = plot.panels(len(all_curves))
    for panel, curves in zip(panels, all_curves):
        for task, points in curves.tasks.items():
            _curve(panel, points.items(), label=task, markersize=4, **plot.look(tasks.index(task)))
        panel.set_title(f"{curves.label}\n{curves.which}")
        plot.reference(panel, y=100)
        panel.set(xlabel="α", ylabel="return, % of the ANN's")
    # The axis is shared: set on a panel before the others are drawn, its end would cut their points off.
    _from_zero(
        panels[0], [point for curves in all_curves for of_task in curves.tasks.values() for point in of_task.values()]
    )
    plot.key(figure, columns=3)
    return plot.save(figure, out, name, "Relative return against α, one curve per task")


def timesteps(rows: list[MethodRow], out: Path, name: str) -> Picture | None:
    """APR against T per neuron and setting, dashed with CRPI off; None where none has two values of T."""
    lines = _several_steps(_joined(_comparable(rows)))
    return _against(
        lines,
        _steps,
        "simulation steps T per decision",
        out,
        name,
        alt="Average performance ratio against simulation steps, a line per method",
    )


@plot.styled
def timesteps_by_task(rows: list[MethodRow], tasks: list[str], out: Path, name: str) -> Picture | None:
    """Return relative to the ANN's against T, a panel per task (the paper's Figures 2 and 3). None where no neuron has
    two values of T."""
    converted = [row for row in rows if not (row.method.is_ann or row.method.variant.is_control)]
    lines = _several_steps(_joined(converted))
    shown = [task for task in tasks if any(row.cells[task].ratio for row in converted)]
    if not lines or not shown:
        return None
    theirs = " Diamond: IF without CRPI in Xu et al. 2026, Figure 2." if paper.FIGURE2.keys() & set(shown) else ""
    figure, panels = plot.panels(len(shown))
    for panel, task in zip(panels, shown):
        for label, of_line in lines.items():
            points = [(_steps(row), 100 * ratio) for row in of_line if (ratio := row.cells[task].ratio) is not None]
            panel.plot(*zip(*sorted(points)), label=label, linewidth=0.8, **_look(label, lines))
        for steps, ratio in paper.FIGURE2.get(task, []):
            panel.plot(steps, 100 * ratio, "D", markerfacecolor="white", markeredgecolor=plot.INK)
        _steps_axis(panel, lines)
        panel.set(title=task, xlabel="simulation steps T", ylabel="return, % of the ANN's")
        plot.reference(panel, y=100)
    plot.key(figure, columns=3)
    return plot.save(
        figure,
        out,
        name,
        "Relative return against simulation steps, a panel per task",
        caption=f"Means over episodes; open: CRPI off.{theirs}",
    )


def operations(rows: list[MethodRow], out: Path, name: str) -> Picture | None:
    """APR against synaptic operations per decision, a point per method; None where nothing was counted."""
    return _against(
        _joined(_comparable(rows)),
        lambda row: row.sops or 1.0,
        "synaptic operations per decision",
        out,
        name,
        alt="Average performance ratio against synaptic operations per decision, a point per method",
    )


@plot.styled
def _against(
    lines: dict[str, list[MethodRow]], x: Callable[[MethodRow], float], xlabel: str, out: Path, name: str, alt: str
) -> Picture | None:
    """APR against a quantity of each method, a line per neuron, setting, and CRPI off or on."""
    if not lines:
        return None
    shown = [apr for of_line in lines.values() for row in of_line if (apr := row.apr)]
    tasks = ", ".join(next(iter(lines.values()))[0].counted)
    figure, [panel] = plot.axes(plot.WIDTH, 4.8)
    for label, of_line in lines.items():
        points = [(x(row), row.apr) for row in sorted(of_line, key=x) if row.apr]
        _curve(panel, points, label=label, **_look(label, lines))
    panel.set_xscale("log")
    if x is _steps:
        _steps_axis(panel, lines)
    plot.reference(panel, y=100)
    top = min(panel.get_ylim()[1], _most(shown))
    panel.set(xlabel=xlabel, ylabel="average performance ratio, %", ylim=(None, top))
    _from_zero(panel, shown)
    plot.key(figure, columns=3)
    caption = f"Over {tasks}; a method that lacks one of them is left out. Open: CRPI off. {_cut(shown)}"
    return plot.save(figure, out, name, alt, caption.strip())


@plot.styled
def profiles(rows: list[MethodRow], out: Path, name: str) -> Picture | None:
    """Performance profiles (Agarwal et al. 2021): a panel per neuron, over the same tasks everywhere. None without
    relative returns."""
    by_neuron: dict[str, list[MethodRow]] = defaultdict(list)
    for row in _comparable(rows):
        by_neuron[row.method.network.neuron].append(row)
    if not by_neuron:
        return None
    tasks = next(iter(by_neuron.values()))[0].counted
    thresholds = np.linspace(0, 1.2, 241)
    figure, panels = plot.panels(len(by_neuron))
    for panel, of_neuron in zip(panels, by_neuron.values()):
        for index, network in enumerate(dict.fromkeys(row.method.network for row in of_neuron)):
            for place, row in enumerate(row for row in of_neuron if row.method.network == network):
                shares = 100 * statistics.performance_profile(row.relative, list(thresholds))
                look = {"color": plot.look(index)["color"], "label": None if place else network.label}
                panel.plot(100 * thresholds, shares, "--" if row.method.variant.is_off else "-", **look)
        plot.reference(panel, x=100)
        panel.set(xlabel="return, % of the ANN's", ylabel="episodes above, %", ylim=(0, 102))
        panel.legend(loc="lower left")
    return plot.save(
        figure,
        out,
        name,
        alt="Performance profiles: share of episodes whose relative return is above a threshold, a line per method",
        caption="Share of episodes whose return exceeds a given share of the ANN's mean return, mean over "
        f"{', '.join(tasks)}; dashed: CRPI off. The higher, the better; where lines cross, neither method is better "
        "throughout.",
    )


@plot.styled
def controls(rows: list[MethodRow], out: Path, name: str) -> Picture | None:
    """The gain over CRPI off of each mode; None where no control was run."""
    shown = [(row.method, row.gain) for row in rows if row.gain]
    if not any(method.variant.is_control for method, _ in shown):
        return None
    figure, panel = _marks(shown, 0)
    panel.set_xlabel("gain over CRPI off, in % of the ANN's return\n(bars: 95 % interval, same episodes)")
    return plot.save(figure, out, name, "Gain of CRPI and of its controls over plain conversion")


@plot.styled
def energy(costs: Mapping[ReportMethod, Cost], preset: Preset, out: Path, name: str) -> Picture:
    """The ANN's energy per decision and the three sums of each network, on a logarithmic scale."""
    ways = ("ANN", "spikes only (the paper's way)", "+ analog layer once", "+ analog layer at every step")
    joules = zip(*(cost.joules(preset) for cost in costs.values()))
    figure, [panel] = plot.axes(plot.WIDTH, plot.lines(len(costs)))
    for index, (label, values) in enumerate(zip(ways, joules)):
        panel.plot([1e6 * value for value in values], range(len(costs)), linestyle="", label=label, **plot.look(index))
    plot.labels(panel, [method.label for method in costs])
    panel.set_xscale("log")
    low, high = panel.get_xlim()
    ticks = LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,))
    panel.xaxis.set(major_locator=ticks, major_formatter="{x:g}", minor_formatter="")
    panel.grid(axis="x", color=plot.PALE, linewidth=0.6)
    panel.set_xlabel(f"energy per decision, µJ (preset {preset.name})")
    plot.key(figure)
    return plot.save(
        figure, out, name, alt=f"Energy per decision of the ANN and of each spiking network, preset {preset.name}"
    )


def _comparable(rows: list[MethodRow]) -> list[MethodRow]:
    """The methods that have a ratio on the most tasks that any has, the same for all; no controls."""
    converted = [row for row in rows if row.apr and not (row.method.is_ann or row.method.variant.is_control)]
    tasks = max((row.counted for row in converted), key=len, default=())
    return [row for row in converted if row.counted == tasks]


def _joined(rows: list[MethodRow]) -> dict[str, list[MethodRow]]:
    """The rows that one line joins, by its label: one neuron in one setting, with CRPI off or on."""
    lines: dict[str, list[MethodRow]] = defaultdict(list)
    for row in rows:
        if isinstance(row.method.network.timesteps, int):
            lines[f"{row.method.network.kind}, {row.method.variant.short}"].append(row)
    return lines


def _several_steps(lines: dict[str, list[MethodRow]]) -> dict[str, list[MethodRow]]:
    return {label: rows for label, rows in lines.items() if len(set(map(_steps, rows))) > 1}


def _marks(values: list[tuple[ReportMethod, statistics.Estimate]], reference: float) -> tuple[Figure, Axes]:
    """A line for each method with its value and interval in %, and the value that they are compared with."""
    figure, [panel] = plot.axes(plot.WIDTH, plot.lines(len(values)))
    plot.reference(panel, x=reference)
    for place, (method, value) in enumerate(values):
        ink = plot.PLAIN if method.variant.is_off else plot.CRPI
        plot.mark(panel, place, value, 100, ink=plot.OTHER if method.variant.is_control else ink)
    plot.labels(panel, [method.label for method, _ in values])
    return figure, panel


def _steps_axis(panel: Axes, lines: dict[str, list[MethodRow]]) -> None:
    panel.set_xscale("log", base=2)
    ticks = sorted({_steps(row) for of_line in lines.values() for row in of_line})
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])


def _steps(row: MethodRow) -> float:
    return float(row.method.network.timesteps)


def _look(label: str, labels: Iterable[str]) -> dict[str, Any]:
    """A colour and a marker per neuron and setting, dashed and open with CRPI off."""
    kinds = list(dict.fromkeys(name.split(", CRPI")[0] for name in labels))
    look = plot.look(kinds.index(label.split(", CRPI")[0])) | {"markersize": 5}
    return look | ({"linestyle": "--", "markerfacecolor": "white"} if label.endswith("off") else {})


def _curve(panel: Axes, points: Iterable[tuple[float, statistics.Estimate]], **look: Any) -> None:
    """Ratios in %, with the arms of their intervals where there are any."""
    x, estimates = zip(*points)
    means = np.array([estimate.value for estimate in estimates])
    ends = np.array([estimate.interval or (estimate.value, estimate.value) for estimate in estimates])
    panel.errorbar(x, 100 * means, 100 * np.abs(ends.T - means), elinewidth=0.8, **look)


def _from_zero(panel: Axes, values: Iterable[statistics.Estimate]) -> None:
    """Has the vertical axis begin at 0, unless a value lies below, as returns of Gymnasium's tasks may."""
    if all(value.value >= 0 for value in values):
        panel.set_ylim(bottom=0)


def _most(values: Iterable[statistics.Estimate]) -> float:
    """Where an axis of ratios ends at the latest, in %. An ANN that sometimes returns nothing has ratios without bound,
    and a picture as wide as their interval would show nothing else."""
    return 200.0 * max([1.0, *(value.value for value in values)])


def _cut(values: Iterable[statistics.Estimate]) -> str:
    """A sentence where an interval goes on beyond the axis."""
    shown = list(values)
    beyond = any(value.interval and 100 * value.interval.high > _most(shown) for value in shown)
    return "A bar that ends at the edge goes on beyond it; the table has its numbers." if beyond else ""
