"""The figures of one analysis, and the names and colours of its policies."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.document import Analysis, Cosine, Curve, MethodRecord
from evaluation.summary import label as method_label
from report import paper, plot
from report.formats import plain, signed
from report.method import Network, headed, of_conversion
from report.pages import Picture

INKS = {"flipped": "#E69F00", "ordered": "#CC79A7", "shuffled": "#56B4E9", "gaussian": "#7a6f9b"}
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
_STEPS = {"states": "#4b5a75", "actions": "#a86f00"}
PARTS = {"clipping": "#7a6f9b", "quantisation": "#56B4E9", "carry": "#E69F00", "unevenness": "#CC79A7"}


def label(analysis: Analysis, alpha: float) -> str:
    """A converted network's name: "IF", "IF+CRPI α=0.4"; the controls by their mode's name."""
    return method_label(analysis.conversion.neuron, analysis.conversion.mode, alpha)


def network(analysis: Analysis) -> Network:
    """The converted network, whose label says what departs from the paper's settings."""
    return of_conversion(analysis.obs, analysis.conversion, {})[0].network


def named(analysis: Analysis) -> str:
    """The task, headed by the policy's label."""
    return headed(analysis.task, analysis.config.get("label"))


def unit(analysis: Analysis) -> str:
    """What a sum of rewards is called."""
    return "sum of rewards (episodes cut short)" if analysis.capped else "return"


def best(analysis: Analysis) -> float:
    """The α that stands for CRPI: the one chosen by return, or by drift where return chose plain conversion."""
    return analysis.choice.by_return or analysis.choice.by_drift


def shown(analysis: Analysis) -> list[tuple[str, str, MethodRecord]]:
    """Name, colour and record of plain conversion, then of the best α, then of any other."""
    inks = {0.0: plot.PLAIN} | ({best(analysis): plot.CRPI} if best(analysis) else {})
    methods = sorted(analysis.methods, key=lambda method: (method.alpha != 0, method.alpha != best(analysis)))
    return [(label(analysis, method.alpha), inks.get(method.alpha, plot.OTHER), method) for method in methods]


@plot.styled
def loss(analysis: Analysis, out: Path) -> Picture:
    """From the ANN's return to the converted network's, in two orders."""
    methods, ann = shown(analysis), analysis.ann.mean
    ends = [ann]
    figure, panels = plot.axes(plot.WIDTH, 1.1 + 1.6 * len(methods), len(methods), sharex=True)
    for panel, (name, colour, method) in zip(panels, methods):
        own, ann_on_snn, snn_on_ann = method.reward_sum.mean, method.ann_on_snn.mean, method.snn_on_ann.mean
        ends += [own, ann_on_snn, snn_on_ann]
        # Each step on a line of its own: the second may lead back over the first.
        for place, start, end, kind in (
            (-0.1, ann, ann_on_snn, "states"),
            (0.12, ann_on_snn, own, "actions"),
            (0.9, ann, snn_on_ann, "actions"),
            (1.12, snn_on_ann, own, "states"),
        ):
            _step(panel, place, start, end, kind)
        for x, line in ((ann, plot.INK), (own, colour)):
            panel.axvline(x, color=line, linewidth=2, zorder=0)
        panel.set_title(name, color=colour)
        plot.labels(panel, ["states first", "actions first"])
        plot.note(panel, "ANN", (ann, -0.6), plot.INK, xytext=(4, -2), va="top")
    margin = 0.12 * (max(ends) - min(ends) or 1.0)
    panels[-1].set(xlim=(min(ends) - margin, max(ends) + margin), xlabel=unit(analysis))
    return plot.save(
        figure,
        out,
        "loss",
        alt="From the ANN's return to the converted network's, split into what states and what actions cost",
        caption="How the ANN's return becomes the converted network's. The upper row first moves to the states that "
        "the network visits, with the ANN's actions there (ANN|SNN), and then changes the actions; the lower row first "
        "changes the actions in the ANN's states (SNN|ANN). Means over episodes.",
    )


def _step(panel: Axes, place: float, start: float, end: float, kind: str) -> None:
    arrow = {"arrowstyle": "-|>", "color": _STEPS[kind], "linewidth": 4, "shrinkA": 0, "shrinkB": 0}
    panel.annotate("", (end, place), (start, place), arrowprops=arrow)
    height = 7 if place % 1 > 0.5 else -16
    plot.note(
        panel,
        f"{kind} {signed(end - start)}",
        ((start + end) / 2, place),
        _STEPS[kind],
        xytext=(0, height),
        ha="center",
    )


@plot.styled
def cosines(analysis: Analysis, out: Path) -> Picture:
    """Table 1's quantities on the report episodes, with the disturbed ANN as control."""
    rows = [(name, colour, method.cosines, "o") for name, colour, method in shown(analysis)]
    noise = analysis.of(0.0).disturbed
    rows += [(f"ANN + {SHORT[kind]}", INKS[kind], noise[kind].cosines, "D") for kind in reversed(SHORT)]
    sign = " Actions have one dimension here, so each cosine is a sign." if analysis.actions == 1 else ""
    marks = [(place, cosines, colour, marker) for place, (_, colour, cosines, marker) in enumerate(rows)]
    figure = cosine_panels([row[0] for row in rows], marks)
    figure.axes[1].set_xlabel("cosine between the errors of neighbouring decisions")
    return plot.save(
        figure,
        out,
        "cosines",
        alt="Cosines of neighbouring action errors: correction, consistency and drift, by policy",
        caption="Do errors of neighbouring decisions point the same way? Large marks: means over episodes with their "
        f"95 % interval; dots: episodes; grey bands: {paper.COSINES_SOURCE}. Diamonds: the ANN with noise of the same "
        f"size in place of the spiking network's errors (those at α = 0).{sign}",
    )


def cosine_panels(
    names: Sequence[str], marks: Sequence[tuple[float, Mapping[str, Cosine], str, str]], dots: bool = True
) -> Figure:
    """A panel for each kind of cosine, with the paper's range. `names` of the lines; `marks`: place, cosines, colour
    and marker; `dots`: with the single episodes."""
    figure, panels = plot.axes(7.5, plot.lines(len(names)), 1, 3, sharey=True, sharex=True)
    for panel, kind in zip(panels, TITLES):
        panel.axvspan(*paper.COSINES[kind], color=plot.PALE, zorder=0, linewidth=0)
        plot.reference(panel, x=0, style="-")
        panel.set(title=TITLES[kind], xlim=(-1.05, 1.05))
        panel.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−½", "0", "½", "1"])
        for place, cosines, colour, marker in marks:
            if mean := cosines[kind].mean:
                plot.mark(panel, place, mean.estimate, episodes=mean.values if dots else (), ink=colour, marker=marker)
    plot.labels(panels[0], names)
    return figure


@plot.styled
def over_alpha(analysis: Analysis, out: Path) -> Picture | None:
    """Cosines and sums of rewards against α, on the episodes that choose it."""
    choice = analysis.choice
    if len(choice.candidates) < 2:
        return None
    alphas = [candidate.alpha for candidate in choice.candidates]
    figure, [panel, *others] = plot.axes(plot.WIDTH, 4, 1, 1 if choice.given else 2)
    for kind, colour in zip(TITLES, ("#56B4E9", "#CC79A7", plot.INK)):
        drifts = {one.alpha: mean for one in choice.candidates if (mean := one.cosines[kind].mean)}
        if not drifts:  # no pair of decisions had two directions to compare
            continue
        low, high = zip(*(drift.ends for drift in drifts.values()))
        panel.fill_between([*drifts], low, high, color=colour, alpha=0.15)
        means = [drift.mean for drift in drifts.values()]
        panel.plot([*drifts], means, "o-", color=colour, markersize=4.5, label=TITLES[kind])
    plot.reference(panel, y=0, style="-")
    _chosen(panel, choice.by_drift, "least drift")
    panel.set(title="calibration episodes", xlabel="α", ylabel="cosine")
    for panel in others:
        for candidate in choice.candidates:
            panel.plot(
                [candidate.alpha] * len(candidate.selection), candidate.selection, ".", color=plot.INK, alpha=0.3
            )
        means = [float(np.mean(candidate.selection)) for candidate in choice.candidates]
        panel.plot(alphas, means, "o-", color=plot.INK, markersize=4.5)
        plot.reference(panel, y=analysis.ann.mean)
        plot.note(panel, "ANN (report episodes)", (alphas[-1], analysis.ann.mean), xytext=(0, 3), ha="right")
        _chosen(panel, choice.by_return, "most return")
        panel.set(title="selection episodes", xlabel="α", ylabel=unit(analysis))
    plot.key(figure, columns=3)
    return plot.save(
        figure,
        out,
        "alpha",
        alt="Correction, consistency and drift against α, beside the sum of rewards against α",
        caption="Two ways to choose α. Left, without any reward: the α with the least drift. Right, by return. Each on "
        "episodes of its own, on which nothing else here is reported.",
    )


def _chosen(panel: Axes, alpha: float, words: str) -> None:
    plot.reference(panel, x=alpha, ink=plot.CRPI, style="--")
    panel.margins(y=0.15)
    ha, x = ("right", -4) if alpha > 0.5 else ("left", 4)
    look = {"xycoords": ("data", "axes fraction"), "xytext": (x, -3), "va": "top", "ha": ha}
    plot.note(panel, f"{words}: α={alpha:g}", (alpha, 1), plot.CRPI, **look)


@plot.styled
def growth(analysis: Analysis, out: Path) -> Picture:
    """Distance from the ANN's trajectory, size of the action error, and reward, decision by decision."""
    methods, length = shown(analysis), len(analysis.ann_reward.mean)
    smooth, chaos = max(1, length // 50), analysis.chaos
    figure, [far, wrong, reward] = plot.axes(plot.WIDTH, 8.4, 3, height_ratios=[2, 1, 1])
    for name, colour, method in methods:
        _band(far, method.distance, colour, name)
        _band(wrong, method.action_error, colour, smooth=smooth)
        _band(reward, method.reward, colour, smooth=smooth)
    plain_name, _, plain_snn = methods[0]
    for kind in ("flipped", "shuffled"):
        _band(far, plain_snn.disturbed[kind].distance, INKS[kind], f"ANN + {SHORT[kind]} ({plain_name})")
    far.plot(range(1, len(chaos.unrelated) + 1), chaos.unrelated, ":", color=plot.GREY, label="two unrelated episodes")
    _band(far, chaos.distance, plot.INK, "ANN, each action one ulp away")
    _band(reward, analysis.ann_reward, plot.INK, smooth=smooth)
    visible = [value for value in chaos.distance.mean[1:] if value > 0]
    far.set(
        title="How far from the ANN's trajectory out of the same initial state",
        xscale="log",
        yscale="log",
        xlim=(2, length),
        ylim=(max(min(visible, default=1e-4), 1e-9) / 2, None),
        xlabel="decision (logarithmic)",
        ylabel="distance, in standard\ndeviations of the ANN's states",
    )
    ticks = [tick for tick in (2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick <= length]
    far.set_xticks(ticks, [str(tick) for tick in ticks])
    far.set_xticks([], minor=True)
    wrong.set(
        title="How wrong the actions are in the network's own states", ylabel="‖δ‖", xlim=(1, length), ylim=(0, None)
    )
    reward.set(title="Reward (black: ANN)", ylabel="per decision", xlabel="decision", xlim=(1, length))
    plot.key(figure)
    return plot.save(
        figure,
        out,
        "growth",
        alt="Distance from the ANN's trajectory, action error and reward against the decision index",
        caption=f"Paired trajectories. Bands: 95 % intervals over episodes; the lower two panels are running means "
        f"over {smooth} decisions. The black line is the control for chaos: whatever lies above it is not the "
        "system's own sensitivity to rounding. The dotted line is as far as two episodes with different initial states "
        "are apart.",
    )


def _band(panel: Axes, curve: Curve, colour: str, label: str | None = None, smooth: int = 1) -> None:
    """A curve over decisions with its interval, as running means over `smooth` decisions."""
    width = min(smooth, len(curve.mean))
    mean, low, high = (
        np.convolve(values, np.ones(width) / width, mode="valid") for values in (curve.mean, curve.low, curve.high)
    )
    x = np.arange(1, len(mean) + 1) + (width - 1) / 2
    panel.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    panel.plot(x, mean, color=colour, label=label, linewidth=1.5)


@plot.styled
def state_map(analysis: Analysis, out: Path) -> Picture:
    """Trajectories of one episode, and the states that each policy visits, in the ANN's principal plane."""
    networks = {f"{method.alpha:g}": (name, colour) for name, colour, method in shown(analysis)}
    names = {"ANN": ("ANN", plot.INK), **networks}
    places = analysis.map
    figure, [paths, *panels] = plot.panels(len(names))
    for name, (words, colour) in names.items():
        paths.plot(*np.transpose(places.trajectories[name]), color=colour, linewidth=0.8, alpha=0.75, label=words)
    paths.plot(*places.trajectories["ANN"][0], "o", color="white", markeredgecolor=plot.INK, markersize=8, zorder=5)
    paths.set(title="One episode, same start (○)", ylabel=f"second axis, {100 * places.shares[1]:.0f} %")
    for panel, (name, (words, colour)) in zip(panels, networks.items()):
        panel.plot(*np.transpose(places.visited["ANN"]), ".", color="#c3c9d1", markersize=8, markeredgewidth=0)
        panel.plot(*np.transpose(places.visited[name]), ".", color=colour, markersize=3.2, markeredgewidth=0, alpha=0.6)
        panel.set_title(f"{words} (grey: ANN)", color=colour)
    for panel in (paths, *panels):
        panel.set_xlabel(f"first axis, {100 * places.shares[0]:.0f} % of the variance")
    plot.key(figure, columns=4)
    return plot.save(
        figure,
        out,
        "map",
        alt="Trajectories and visited states in the plane of the ANN's two principal axes",
        caption="States in the plane in which the ANN's vary most (PCA of normalised states). First panel: the first "
        "report episode of each policy. The others: states drawn evenly from all report episodes.",
    )


@plot.styled
def order(analysis: Analysis, out: Path) -> Picture:
    """Returns of the ANN with the converted network's errors in other orders, against the network itself."""
    methods = shown(analysis)
    figure, panels = plot.axes(plot.WIDTH, 0.8 + 2.2 * len(methods), len(methods), sharex=True)
    for panel, (name, colour, method) in zip(panels, methods):
        rows = [
            ("ANN", analysis.ann, plot.INK),
            (name, method.reward_sum, colour),
            *((f"ANN + {text}", method.disturbed[kind].reward_sum, INKS[kind]) for kind, text in NOISES.items()),
        ]
        for place, (_, value, line) in enumerate(rows):
            plot.mark(panel, place, value.estimate, episodes=value.values, ink=line)
        plot.reference(panel, x=method.reward_sum.mean, ink=colour, style="--")
        plot.reference(panel, x=analysis.ann.mean, ink=plot.INK)
        plot.labels(panel, [row[0] for row in rows])
        panel.set_title(f"errors of {name}: {plain(method.error.mean)}", color=colour)
    panels[-1].set_xlabel(unit(analysis))
    return plot.save(
        figure,
        out,
        "order",
        alt="Returns of the ANN disturbed by errors of equal size, against the converted network's",
        caption="Size or correlation? The ANN with errors of the spiking network's size (above: root mean square), "
        "arranged in other ways. If only the correlation of errors mattered, the rows below the network's would lie "
        "near the ANN's.",
    )


@plot.styled
def layers(analysis: Analysis, out: Path) -> Picture | None:
    """Sizes of the parts of each layer's error, and cosines of neighbouring residuals."""
    methods = [entry for entry in shown(analysis) if any(layer.error for layer in entry[-1].layers)]
    if not methods:
        return None
    names = [layer.name.replace(".", ".\n", 1) for layer in methods[0][-1].layers]
    figure, [*panels, last] = plot.axes(plot.WIDTH, 2.4 * (len(methods) + 1) + 0.6, len(methods) + 1)
    for offset, (panel, (name, colour, method)) in enumerate(zip(panels, methods)):
        for place, layer in enumerate(method.layers):
            bars = [(layer.sizes.get(part), line) for part, line in PARTS.items()]
            for x, (size, line) in zip(place + 0.19 * (np.arange(len(bars)) - 1.5), bars):
                if size is not None:
                    panel.bar(x, 100 * size.mean, 0.17, color=line)
                    panel.plot([x, x], 100 * np.array(size.ends), color=plot.INK, linewidth=1)
            for size, marker, fill in ((layer.error, "o", plot.INK), (layer.inherited, "v", "white")):
                if size is not None:
                    panel.plot(
                        place + 0.43, 100 * size.mean, marker, color=fill, markeredgecolor=plot.INK, markersize=6
                    )
            if (cosine := layer.residuals) is not None:
                x = place + 0.16 * (offset - (len(methods) - 1) / 2)
                last.plot([x, x], cosine.ends, color=colour, linewidth=2.2)
                last.plot(x, cosine.mean, "o", color=colour)
        panel.set_title(name, color=colour)
        panel.set_ylabel("% of the activations'\nroot mean square")
    top = max(panel.get_ylim()[1] for panel in panels)
    for panel in panels:
        panel.set_ylim(0, top)
    plot.reference(last, y=0, style="-")
    last.set(title="What neighbouring decisions leave in the membranes", ylabel="cosine")
    for panel in (*panels, last):
        panel.set_xticks(range(len(names)), names)
        panel.set_xlim(-0.6, len(names) - 0.3)
    entries = {
        **{part: (line, "s") for part, line in PARTS.items()},
        "whole error of the layer": (plot.INK, "o"),
        "already wrong in its input": (plot.GREY, "v"),
        **{name: (colour, "o") for name, colour, _ in methods},
    }
    plot.key(figure, entries, columns=3)
    return plot.save(
        figure,
        out,
        "layers",
        alt="Parts of each spiking layer's error, and cosines of neighbouring residual potentials",
        caption="Each layer on its own input: what clipping at the threshold, quantisation to T steps, CRPI's carry "
        "and the uneven arrival of spikes contribute (bars; they add up vectorially to the dot), and what was wrong "
        "before (triangle). Below: do the residual potentials of neighbouring decisions point the same way?",
    )
