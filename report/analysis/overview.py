"""Several analyses side by side: which claim holds for which policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap

from analysis.document import ANALYSIS, Analysis, MethodRecord, read
from report import markdown
from report.analysis import comparison
from report.analysis.drawing import INK, best, figure, label, picture, saved
from report.document import Column, Document, Entry, Picture, Section, Table, Text, words
from runtime.errors import UserError
from runtime.files import atomic_write

NAME = "overview"
# Verdict → sign in the table, colour in the figure.
_LOOKS = {"holds": ("✓", "#56B4E9"), "contrary": ("✗", "#D55E00"), "open": ("·", "#e8eaed"), "moot": ("–", "#ffffff")}


def collect(folders: Sequence[str | Path]) -> list[tuple[Path, Analysis]]:
    """Every analysis in and below `folders` with the folder that holds it, ordered by task, observations, neuron and T.

    Raises UserError where there is none or one can't be read.
    """
    paths = sorted({path.parent for folder in folders for path in Path(folder).rglob(ANALYSIS)})
    if not paths:
        raise UserError(f"{', '.join(map(str, folders))}: no {ANALYSIS} in or below")
    found = [(path, read(path)) for path in paths]
    return sorted(
        found, key=lambda pair: (pair[1].task, pair[1].obs, pair[1].conversion.neuron, pair[1].conversion.timesteps)
    )


def write(analyses: Sequence[Analysis], out: Path) -> Path:
    """Writes overview.md and its figure into `out`; returns the path of the former."""
    lead = [
        Text(
            "Each column is one policy under one T. ✓ holds, ✗ contrary, · open (the interval holds zero), – moot (no loss)."
        )
    ]
    sections = [
        Section("Which claims hold", [claims(analyses, out), _verdicts(analyses)]),
        Section(
            "Cosines and returns",
            [comparison.cosines(analyses, out), comparison.returns(analyses, out), _numbers(analyses)],
        ),
    ]
    path = out / f"{NAME}.md"
    atomic_write(
        path, markdown.render(Document("Error amplification, policy by policy", lead, sections), ".", out).encode()
    )
    return path


def claims(analyses: Sequence[Analysis], folder: Path) -> Picture:
    """A cell for each claim and policy, α = 0 on the left and the best α on the right."""
    names = list(dict.fromkeys(claim.name for analysis in analyses for claim in analysis.claims))
    order = list(_LOOKS)
    with saved(folder, NAME):
        _, grid = figure(4.4 + 0.66 * len(analyses), 2.1 + 0.3 * len(names), 1, 2, sharey=True)
        for axes, is_plain in zip(grid[0], (True, False)):
            cells = np.full((len(names), len(analyses)), len(order))
            for column, analysis in enumerate(analyses):
                alpha = 0.0 if is_plain else best(analysis)
                for claim in analysis.claims:
                    if claim.alpha == alpha and (is_plain or alpha != 0):
                        cells[names.index(claim.name), column] = order.index(claim.verdict)
            colours = ListedColormap([colour for _, colour in _LOOKS.values()] + ["#ffffff"])
            axes.pcolormesh(
                cells[::-1], cmap=colours, vmin=-0.5, vmax=len(order) + 0.5, edgecolors="white", linewidth=2
            )
            signs = [sign for sign, _ in _LOOKS.values()] + [""]
            for (row, column), value in np.ndenumerate(cells[::-1]):
                axes.text(column + 0.5, row + 0.5, signs[value], ha="center", va="center", color=INK, fontsize=9)
            ticks = [f"T={a.conversion.timesteps}" + ("" if is_plain else f"\nα={best(a):g}") for a in analyses]
            axes.set_xticks(np.arange(len(analyses)) + 0.5, ticks, fontsize=7.5)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            axes.set_title("plain conversion, α = 0" if is_plain else "CRPI, best α", pad=46)
            _tasks(axes, analyses, len(names))
        grid[0, 0].set_yticks(np.arange(len(names)) + 0.5, names[::-1])
    return picture(
        NAME,
        "Which of the paper's claims hold for which policy",
        "Blue ✓: the 95 % interval lies on the claim's side of zero; orange ✗: on the other side; grey ·: zero is inside; –: moot, "
        "because there is no loss to explain; blank: no claim about this α.",
    )


def _tasks(axes, analyses: Sequence[Analysis], height: int) -> None:
    tasks = [f"{analysis.task}, {analysis.obs}" for analysis in analyses]
    for task in dict.fromkeys(tasks):
        places = [place for place, other in enumerate(tasks) if other == task]
        words = (
            task.replace(",", "").replace("_", "\n").replace(" ", "\n")
        )  # one below the other: a policy may have a single column
        axes.text(
            np.mean(places) + 0.5,
            height + 0.15,
            words,
            ha="center",
            va="bottom",
            fontsize=8,
            linespacing=1.1,
            color=INK,
        )
        axes.axvline(places[0], color=INK, linewidth=0.8)


def _verdicts(analyses: Sequence[Analysis]) -> Table:
    columns = [Column("claim", number=False)]
    rows: dict[str, list[Entry]] = {}
    for analysis in analyses:
        for method in _pair(analysis):
            columns.append(
                Column(
                    f"{analysis.task}, {label(analysis, method.alpha)}, T={analysis.conversion.timesteps}", number=False
                )
            )
    names = list(dict.fromkeys(claim.name for analysis in analyses for claim in analysis.claims))
    for name in names:
        rows[name] = [words(name)]
        for analysis in analyses:
            found = {claim.alpha: claim for claim in analysis.claims if claim.name == name}
            for method in _pair(analysis):
                claim = found.get(method.alpha)
                rows[name].append(Entry(_LOOKS[claim.verdict][0] if claim else ""))
    return Table("verdicts", columns, list(rows.values()))


def _numbers(analyses: Sequence[Analysis]) -> Table:
    sums = ("ANN", "SNN", "lost to states", "lost to actions", "states, actions first", "actions, actions first")
    others = ("correction", "consistency", "drift", "errors shuffled", "random signs", "Gaussian", "‖δ‖")
    columns = [Column("policy", number=False), *(Column(name) for name in (*sums, *others))]
    rows = []
    for analysis in analyses:
        for method in _pair(analysis):
            cosines = [method.cosines[name].mean for name in ("correction", "consistency", "drift")]
            noise = [method.disturbed[kind].reward_sum.mean for kind in ("shuffled", "flipped", "gaussian")]
            rows.append(
                [
                    words(f"{analysis.task}, {label(analysis, method.alpha)}, T={analysis.conversion.timesteps}"),
                    *(Entry(f"{value:.0f}") for value in (analysis.ann.mean, method.reward_sum.mean)),
                    *(
                        Entry(f"{one.mean:.1f}")
                        for one in (method.state, method.action, method.state_other, method.action_other)
                    ),
                    *(Entry(f"{value.mean:+.2f}" if value else "–") for value in cosines),
                    *(Entry(f"{value:.0f}") for value in noise),
                    Entry(f"{method.error.mean:.2f}"),
                ]
            )
    return Table("numbers", columns, rows, "Means over episodes; the intervals are in each analysis' own report.")


def _pair(analysis: Analysis) -> list[MethodRecord]:
    """Plain conversion and the best α, where they differ."""
    return [analysis.of(alpha) for alpha in dict.fromkeys((0.0, best(analysis)))]
