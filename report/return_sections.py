"""The sections on returns: Table 3 as the paper has it, return against α, CRPI beside its controls, and every place in
detail."""

from pathlib import Path

from report import curves, figures, paper
from report.evidence import Evidence
from report.formats import compact, ends, fine_percent, percent, plain, probability
from report.numbers import Cell, MethodRow, compare
from report.pages import Column, Entry, Section, Table, Text, count, estimate, gap, head, number, section, words

_HOW = {"off": "–", "given": "given", "honest": "selection episodes", "paper": "reported episodes: optimistic"}


def overview(obs: str, rows: list[MethodRow], tasks: list[str], out: Path) -> Section | None:
    """The paper's Table 3 beside ours, its limits, and its figure; `rows` starts with the ANN's."""
    spread = "mean return ± half a standard deviation (ddof 0, over all report episodes)"
    origin = ", from pixels; ours here are from states" if obs == "state" else ""
    theirs = f" Lines headed “paper” are the paper's own figures{origin}." if paper.has(tasks) else ""
    table = Table(
        f"returns_{obs}",
        columns=[
            Column("Method", "neuron and simulation steps T", number=False),
            Column("CRPI", "what is carried between decisions, and how α was chosen", number=False),
            *(Column(task[:1].upper() + task[1:].replace("_", " "), f"{task}: {spread}") for task in tasks),
            Column(
                "APR %", "average performance ratio: mean over tasks of SNN return / ANN return, with its 95 % interval"
            ),
            Column(
                "IQM %", "interquartile mean over all episodes, each relative to its task's ANN, with its 95 % interval"
            ),
            Column("CRPI's gain", "of the APR, paired over the same episodes, in %, with its 95 % interval"),
            Column(
                "P(gain) %", "probability that an episode earns more than one with CRPI off, with its 95 % interval"
            ),
        ],
        rows=[
            [
                words(row.method.network.label),
                words(row.method.carried),
                *(_return(row, task) for task in tasks),
                _apr(row),
                estimate(row.iqm, percent),
                estimate(row.gain, percent, sign=True),
                estimate(row.improvement, percent),
            ]
            for row in rows
        ]
        + [
            [
                words(f"{name}, T={timesteps}"),
                words("trained directly"),
                *(Entry("") for _ in tasks),
                Entry("", f"paper {apr:.2f}", apr / 100),
                *(Entry("") for _ in range(3)),
            ]
            for name, timesteps, apr in (paper.TRAINED_DIRECTLY if obs == "pixels" else [])
        ],
        caption="Episode return, mean ± half a standard deviation (ddof 0); SOPs: synaptic operations per decision."
        + theirs,
    )
    return section("Returns", table, *_limits(rows), figures.ratios(rows, out, f"apr_{obs}", obs))


def _limits(rows: list[MethodRow]) -> list[Text]:
    """What the table of returns can't say: how many gains on single tasks are significant, beside how many were tested,
    what the marks mean, and what is missing."""
    compared = compare(rows)
    apart = sum(p < 0.05 for p, _ in compared.values())
    left = [
        f"{method.label.replace('   ', ', ')} on {task}"
        for (method, task), (_, adjusted) in compared.items()
        if adjusted < 0.05
    ]
    finished = [cell for row in rows for cell in row.cells.values() if cell.status == "ok"]
    texts = {
        Text(
            f"Gains on single tasks: {len(compared)} could be tested, {apart} have a 95 % interval "
            f"without zero ({0.05 * len(compared):.1f} expected by chance); with Holm's adjustment for "
            f"{len(compared)} comparisons {len(left)} remain{': ' + '; '.join(left) if left else ''}."
        ): bool(compared),
        Text(
            "Intervals are of 95 %, over episodes. “n=…”: fewer than ten episodes, among which a rare failure may "
            "be absent; none is given below three. “bimodal”: some episodes earn less than half of the mean, so that "
            "the interval depends on how many of them there happen to be; none is given for n < 10."
        ): any(cell.mean.interval is None or cell.mean.mark or (cell.gain and cell.gain.mark) for cell in finished),
        Text(
            "An APR over some of the tasks can't be compared with one over all; the paper's is over the same tasks.",
            warning=True,
        ): any(row.counted and row.lacking for row in rows),
        Text("* some of the policies or seeds that belong here are missing; see the jobs below.", warning=True): any(
            cell.reason for cell in finished
        ),
        Text(
            "A task whose ANN earns nothing has no ratio: differences only, and doesn't count in an APR.", warning=True
        ): any(cell.status == "ok" and cell.mean.value <= 0 for cell in rows[0].cells.values()),
        Text("Where α was chosen on the reported episodes, as in the paper, the row is optimistic.", warning=True): any(
            row.method.variant.how == "paper" and row.counted for row in rows
        ),
    }
    return [text for text, holds in texts.items() if holds]


def over_alpha(evidence: Evidence, all_curves: list[curves.AlphaCurves], obs: str, out: Path) -> Section | None:
    """Return against α, and one α for all tasks beside one for each."""
    if not all_curves:
        return None
    table = Table(
        f"one_alpha_{obs}",
        columns=[
            *head("Method", "Episodes", "α per task"),
            Column("APR %, α per task", "on the episodes named"),
            Column("One α", "the best for all tasks together, on the episodes named"),
            Column("APR %, one α", "on the episodes named"),
            Column("APR %, α = 0", "on the episodes named"),
            Column("APR %, one α, reported episodes", "where all tasks played them with this α"),
        ],
        rows=[
            _one_alpha(evidence, curve, choice)
            for curve, choice in zip(all_curves, map(curves.one_alpha, all_curves))
            if choice
        ],
        caption="One α for all tasks beside one for each. Each APR but the last is measured on the episodes that the α "
        "was chosen on, so that it is optimistic, the one with an α per task more so. The ANN's returns are those of "
        "the report episodes.",
    )
    return section("Return against α", figures.alphas(all_curves, out, f"alpha_{obs}"), table)


def _one_alpha(evidence: Evidence, curve: curves.AlphaCurves, choice: curves.OneAlpha) -> list[Entry]:
    counts = {point.n for points in curve.tasks.values() for point in points.values()}
    several = " to ".join(map(str, sorted({min(counts), max(counts)})))
    fresh = curves.reported_ratio(evidence, curve, choice.alpha)
    return [
        words(curve.label),
        words(f"{curve.which}, {several} per task and α"),
        words(", ".join(f"{task} {alpha:g}" for task, alpha in choice.per_task.items())),
        number(choice.apr_per_task, fine_percent),
        number(choice.alpha, "{:g}".format),
        *(number(ratio, fine_percent) for ratio in (choice.apr, choice.apr_off, fresh)),
    ]


def controls(
    rows: list[MethodRow], tasks: list[str], all_curves: list[curves.AlphaCurves], obs: str, out: Path
) -> Section | None:
    """The gain over plain conversion of CRPI and of each control, the same perturbation with its meaning taken away;
    None where no control was run or planned. `all_curves`: the controls'."""
    controlled = {row.method.network for row in rows if row.method.variant.is_control}
    shown = [row for row in rows if row.method.network in controlled and not row.method.variant.is_off]
    if not shown:
        return None
    compared = compare(shown).values()
    apart, surviving = (sum(ps[index] < 0.05 for ps in compared) for index in (0, 1))
    lead = Text(
        "Random draws from the residuals that the episode has shown; shuffled permutes them across units; carry takes "
        "the last membrane itself, unclipped: v[0] = (1 − α)·v_base + α·v[T]. What a control gains can't be due to "
        f"CRPI's residual. Gains on single tasks: {len(compared)} could be tested, {apart} have an interval without "
        f"zero, {surviving} with Holm's adjustment."
    )
    table = Table(
        f"controls_{obs}",
        columns=[
            *head("Method"),
            Column("Carried", "CRPI's residual, or what a control carries instead", number=False),
            *(
                Column(task, "gain over plain conversion in returns, over the same episodes, with its 95 % interval")
                for task in tasks
            ),
            Column("All, % of ANN", "mean gain relative to each task's ANN, with its 95 % interval"),
        ],
        rows=[
            [
                words(row.method.network.label),
                words(row.method.variant.short),
                *(_cell_gain(row.cells[task]) for task in tasks),
                estimate(row.gain, percent, sign=True),
            ]
            for row in shown
        ],
    )
    return section(
        "CRPI beside its controls",
        lead,
        table,
        figures.controls(shown, out, f"controls_{obs}"),
        figures.alphas(all_curves, out, f"alpha_controls_{obs}") if all_curves else None,
    )


def details(obs: str, rows: list[MethodRow], tasks: list[str]) -> Section | None:
    """A row per method and task."""
    # A task without any policy would fill the table with dashes; the table of returns shows it.
    absent = [task for task in tasks if all(row.cells[task].status == "skipped" for row in rows)]
    compared = compare(rows)
    table = Table(
        f"details_{obs}",
        columns=[
            *head("Task", "Method", "CRPI"),
            Column("Episodes", "report episodes, all policies together"),
            Column("Policies", "training seeds"),
            Column("Mean", "mean return"),
            Column("½ std", "half a standard deviation over all report episodes, ddof 0"),
            Column("95 % interval", "of the mean, within training seeds"),
            Column("IQM", "interquartile mean, with its 95 % interval"),
            Column("% of ANN", "mean return / the ANN's on the same environment seeds"),
            Column("SOPs", "synaptic operations per decision"),
            Column("CRPI's gain", "mean difference to CRPI off over the same episodes, with its 95 % interval"),
            Column(
                "p", "paired t test of that difference; below it with Holm's adjustment for all gains of this table"
            ),
            Column("α", "one per policy and seed of environments"),
            Column("α from", "which episodes it was chosen on", number=False),
            Column("Spread, environment", "standard deviation over environment seeds within a training seed"),
            Column("Spread, training", "standard deviation of the training seeds' means; unknown with one"),
            Column("Paper", "the paper's mean ± half a standard deviation, from pixels"),
        ],
        rows=[
            _detail(row, task, compared.get((row.method, task), (None, None))[1])
            for task in tasks
            if task not in absent
            for row in rows
        ],
    )
    note = Text(
        "Spread between training seeds and between environment seeds are kept apart: the first says how much "
        "another training run would differ, the second how much another start of the episode would."
    )
    lacking = Text(f"Not here for want of a policy: {', '.join(absent)}.") if absent else None
    return section("Every method on every task", note, lacking, table, folded=True)


def _detail(row: MethodRow, task: str, adjusted: float | None) -> list[Entry]:
    cell = row.cells[task]
    first = [words(task), words(row.method.network.label), words(row.method.carried)]
    theirs = number(*_printed(row, task))
    if cell.status != "ok":
        return [*first, gap(cell.status, cell.reason), *(Entry("–") for _ in range(13)), theirs]
    return [
        *first,
        count(cell.mean.n, cell.reason),
        count(cell.policies),
        number(cell.mean.value),
        number(cell.half_std),
        number(cell.mean.interval and cell.mean.interval.low, ends(cell.mean)),
        estimate(cell.iqm),
        number(cell.ratio, percent),
        number(cell.sops, "{:,.0f}".format),
        estimate(cell.gain, sign=True),
        number(
            cell.gain.p if cell.gain else None,
            probability,
            "" if adjusted is None else f"adjusted {probability(adjusted)}",
        ),
        number(min(cell.alphas, default=None), _alphas(cell)),
        words(_HOW[row.method.variant.how]),
        number(cell.within),
        number(cell.between),
        theirs,
    ]


def _cell_gain(cell: Cell) -> Entry:
    if cell.status != "ok":
        return gap(cell.status)
    if cell.gain is None:
        return Entry("–", "no plain conversion on the same episodes")
    return estimate(cell.gain, sign=True, more=f"α={_alphas(cell)}")


def _return(row: MethodRow, task: str) -> Entry:
    cell = row.cells[task]
    value, text = _printed(row, task)
    theirs = f"paper {text}" if value is not None else ""
    if cell.status != "ok":
        return Entry(cell.status, theirs, mark=True)
    ours = f"{plain(cell.mean.value)} ± {plain(cell.half_std)}" + ("*" if cell.reason else "")
    chosen = f"α={_alphas(cell)}" if cell.alphas and row.method.variant.how != "given" else ""
    operations = "" if cell.sops is None else f"{compact(cell.sops)} SOPs"
    return number(cell.mean.value, ours, "; ".join(filter(None, (chosen, operations, theirs))))


def _apr(row: MethodRow) -> Entry:
    theirs = f"paper {row.printed_apr:.2f}" if row.printed_apr is not None else ""
    if row.apr is None:
        return Entry("–", theirs)
    part = f"{len(row.counted)} of {len(row.cells)} tasks" if row.lacking else ""
    bounds = "" if row.method.is_ann else ends(row.apr, percent)
    return number(row.apr.value, fine_percent, "; ".join(filter(None, (bounds, part, theirs))))


def _printed(row: MethodRow, task: str) -> tuple[float | None, str]:
    """The paper's return, and how it prints it."""
    if row.printed is None or task not in row.printed.returns:
        return None, ""
    mean, half = row.printed.returns[task]
    return mean, f"{mean:g} ± {half:g}"


def _alphas(cell: Cell) -> str:
    return ", ".join(f"{alpha:g}" for alpha in cell.alphas)
