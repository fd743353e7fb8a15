"""Several analyses side by side: which claim holds for which policy."""

from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.document import ANALYSIS, Analysis, EpisodeMean, MethodRecord
from report import pages, paper, plot
from report.analysis.figures import INKS, SHORT, TITLES, best, cosine_panels, label, named, network
from report.formats import plain, signed
from report.jobs import existing
from report.pages import Column, Entry, Page, Picture, Section, Table, Text, head, number, words

NAME = "overview"
_SIGNS = {
    "holds": Entry("✓"),
    "contrary": Entry("✗", mark=True),
    "open": Entry("·"),
    "moot": Entry("–"),
    None: Entry(""),
}
_KEY = {"plain conversion, α = 0": (plot.PLAIN, "o"), "with CRPI, best α": (plot.CRPI, "o")}


def collect(folders: Sequence[str | Path]) -> dict[Path, Analysis]:
    """Every analysis in and below `folders` by the folder that holds it, ordered by task, observations, neuron and T.

    Raises UserError for a folder that doesn't exist, and where an analysis can't be read.
    """
    paths = sorted({path for folder in existing(folders) for path in folder.rglob(ANALYSIS)})
    analyses = {path.parent: Analysis.read(path) for path in paths}
    order = {
        folder: (named(one), one.obs, one.conversion.neuron, one.conversion.timesteps)
        for folder, one in analyses.items()
    }
    return {folder: analyses[folder] for folder in sorted(analyses, key=order.__getitem__)}


def write(analyses: Sequence[Analysis], out: Path) -> Path:
    """Writes overview.md, overview.html and their figures into `out`; returns the path of the page."""
    text = (
        "Each column is a policy under one T. ✓ holds: on the claim's side of zero, with a p below 0.05 after Holm's "
        "adjustment for all claims of the policy's analysis; ✗ contrary: on the other side; · open: neither; – moot: "
        "there is no loss to explain; blank: no claim about this α."
    )
    sections = [
        Section("Which claims hold", [_verdicts(analyses)]),
        Section("Cosines and returns", [cosines(analyses, out), returns(analyses, out), _numbers(analyses)]),
    ]
    return pages.write(Page("Error amplification, policy by policy", [Text(text)], sections), out, NAME)


@plot.styled
def cosines(analyses: Sequence[Analysis], out: Path) -> Picture:
    """Correction, consistency and drift of every policy: plain conversion, the best α, and the flipped errors."""
    marks = []
    for place, analysis in enumerate(analyses):
        plain_snn, crpi = analysis.of(0.0), analysis.of(best(analysis))
        marks += [
            (place - 0.2, plain_snn.cosines, plot.PLAIN, "o"),
            (place, crpi.cosines, plot.CRPI, "o"),
            (place + 0.2, plain_snn.disturbed["flipped"].cosines, INKS["flipped"], "D"),
        ]
    figure = cosine_panels([_policy(analysis) for analysis in analyses], marks, dots=False)
    plot.key(figure, _KEY | {"ANN + errors of α = 0 with random signs": (INKS["flipped"], "D")}, columns=3)
    return plot.save(
        figure,
        out,
        "overview_cosines",
        alt="Correction, consistency and drift of every policy analysed",
        caption=f"Means over episodes with 95 % intervals. Grey bands: {paper.COSINES_SOURCE}. Where actions have one "
        "dimension (cartpole) a cosine is a sign.",
    )


@plot.styled
def returns(analyses: Sequence[Analysis], out: Path) -> Picture:
    """Returns relative to the ANN's: the network, CRPI, and the ANN with the network's errors in other orders."""
    shown = [analysis for analysis in analyses if analysis.ann.mean > 0]
    figure, [panel] = plot.axes(plot.WIDTH, 1.2 + 0.6 * len(shown))
    for place, analysis in enumerate(shown):
        plain_snn = analysis.of(0.0)
        rows = [
            (plain_snn.reward_sum, plot.PLAIN, "o"),
            (analysis.of(best(analysis)).reward_sum, plot.CRPI, "o"),
            *((plain_snn.disturbed[kind].reward_sum, line, "D") for kind, line in INKS.items()),
        ]
        for offset, (value, line, marker) in enumerate(rows):
            height = place - 0.35 + 0.14 * offset
            plot.mark(panel, height, value.estimate, 100 / analysis.ann.mean, ink=line, marker=marker)
        plot.reference(panel, y=place + 0.5, ink=plot.PALE, style="-")
    plot.reference(panel, x=100, ink=plot.INK)
    plot.labels(panel, [_policy(analysis) for analysis in shown])
    panel.set_xlabel("return, % of the ANN's")
    plot.key(figure, _KEY | {f"ANN + {SHORT[kind]}": (line, "D") for kind, line in INKS.items()}, columns=3)
    return plot.save(
        figure,
        out,
        "overview_returns",
        alt="Returns of every policy analysed, relative to the ANN's",
        caption="Circles: the spiking networks. Diamonds: the ANN with errors as large as those of plain conversion, "
        "arranged in other ways. Means over episodes with 95 % intervals. A policy whose ANN earns nothing is left "
        "out.",
    )


def _policy(analysis: Analysis) -> str:
    return f"{named(analysis).replace('_', ' ')}, {analysis.obs}, {network(analysis).label}"


def _columns(analyses: Sequence[Analysis]) -> list[tuple[str, Analysis, MethodRecord]]:
    """Each policy's plain conversion and its best α, where they differ."""
    return [
        (
            ", ".join(
                [named(analysis), analysis.obs, label(analysis, alpha), *network(analysis).label.split(", ")[1:]]
            ),
            analysis,
            analysis.of(alpha),
        )
        for analysis in analyses
        for alpha in dict.fromkeys((0.0, best(analysis)))
    ]


def _verdicts(analyses: Sequence[Analysis]) -> Table:
    columns = _columns(analyses)
    verdicts = [
        {claim.name: claim.verdict for claim in analysis.claims if claim.alpha == method.alpha}
        for _, analysis, method in columns
    ]
    return Table(
        "verdicts",
        columns=head("claim", *(title for title, _, _ in columns)),
        rows=[
            [words(name), *(_SIGNS[of_column.get(name)] for of_column in verdicts)]
            for name in dict.fromkeys(claim.name for analysis in analyses for claim in analysis.claims)
        ],
    )


def _numbers(analyses: Sequence[Analysis]) -> Table:
    sums = ("ANN", "SNN", "lost to states", "lost to actions", "states, actions first", "actions, actions first")
    others = ("correction", "consistency", "drift", "errors shuffled", "random signs", "Gaussian", "‖δ‖")
    return Table(
        "numbers",
        columns=[*head("policy"), *map(Column, (*sums, *others))],
        rows=[
            [
                words(title),
                *map(_mean, (analysis.ann, method.reward_sum, method.state, method.action)),
                *map(_mean, (method.state_other, method.action_other)),
                *(_mean(method.cosines[kind].mean, signed) for kind in TITLES),
                *(_mean(method.disturbed[kind].reward_sum) for kind in ("shuffled", "flipped", "gaussian")),
                _mean(method.error),
            ]
            for title, analysis, method in _columns(analyses)
        ],
        caption="Means over episodes; the intervals are in each analysis' own report.",
    )


def _mean(value: EpisodeMean | None, write: Callable[[float], str] = plain) -> Entry:
    return number(value.mean if value else None, write)
