"""The sections on returns: Table 3 as the paper has it, and every place of it in detail."""

from __future__ import annotations

from report import paper
from report.document import Column, Entry, Section, Table, Text, gap, number, percent, plain, signed, span, words
from report.numbers import Row


def overview(obs: str, rows: list[Row], tasks: list[str]) -> Table:
    """The paper's Table 3 with ours: `rows` starts with the ANN's."""
    columns = [
        Column("Method", "neuron and simulation steps T", number=False),
        Column("CRPI", "what is carried between decisions, and how α came about", number=False),
        *(
            Column(_short(task), f"{task}: mean return ± half a standard deviation (ddof 0, over all report episodes)")
            for task in tasks
        ),
        Column(
            "APR %", "average performance ratio: mean over tasks of SNN return / ANN return, with its 95 % interval"
        ),
        Column(
            "IQM %", "interquartile mean over all episodes, each relative to its task's ANN, with its 95 % interval"
        ),
        Column("CRPI's gain", "paired over the same episodes, in % of the ANN's return, with its 95 % interval"),
    ]
    body = []
    for row in rows:
        first = "ANN" if row.network is None else row.network.label
        label = "–" if row.network is None else row.variant.label
        body.append(
            [
                words(first),
                words(label),
                *(_return(row, task) for task in tasks),
                _apr(row, len(tasks)),
                _iqm(row),
                _gain(row),
            ]
        )
    body += _trained_directly(len(columns)) if obs == "pixels" else []
    caption = (
        "Episode return, mean ± half a standard deviation (ddof 0). Lines headed “paper” are the paper's own figures"
    )
    caption += ", from pixels; ours here are from states." if obs == "state" else "."
    return Table(f"returns_{obs}", columns, body, caption)


def details(obs: str, rows: list[Row], tasks: list[str]) -> Section:
    """A row per method and task."""
    columns = [
        Column("Task", number=False),
        Column("Method", number=False),
        Column("CRPI", number=False),
        Column("Episodes", "report episodes, all policies together"),
        Column("Policies", "training seeds"),
        Column("Mean", "mean return"),
        Column("½ std", "half a standard deviation over all report episodes, ddof 0"),
        Column("95 % interval", "bootstrap, stratified by task and training seed"),
        Column("IQM", "interquartile mean, with its 95 % interval"),
        Column("% of ANN", "mean return / the ANN's on the same environment seeds"),
        Column("CRPI's gain", "mean difference to CRPI off over the same episodes, with its 95 % interval"),
        Column("α", "one per policy and seed of environments"),
        Column("α from", "which episodes it was chosen on", number=False),
        Column("Spread, environment", "standard deviation over environment seeds within a training seed"),
        Column("Spread, training", "standard deviation of the training seeds' means; unknown with one"),
        Column("Paper", "the paper's mean ± half a standard deviation, from pixels"),
    ]
    # A task without any policy would fill the table with dashes; the table of returns shows it.
    absent = [task for task in tasks if all(row.cells[task].status == "skipped" for row in rows)]
    body = [_detail(row, task) for task in tasks if task not in absent for row in rows]
    notes = [
        Text(
            "Spread between training seeds and between environment seeds are kept apart: the first says how much another "
            "training run would differ, the second how much another start of the episode would."
        )
    ]
    if absent:
        notes.append(Text(f"Not here for want of a policy: {', '.join(absent)}."))
    return Section("Every method on every task", [*notes, Table(f"details_{obs}", columns, body)], folded=True)


def _detail(row: Row, task: str) -> list[Entry]:
    cell = row.cells[task]
    name = "ANN" if row.network is None else row.network.label
    head = [words(task), words(name), words("–" if row.network is None else row.variant.label)]
    theirs = number(*_paper(row, task))
    if cell.status != "ok":
        return [*head, gap(cell.status, cell.reason), *(Entry("–") for _ in range(11)), theirs]
    assert cell.interval and cell.iqm_interval
    gain = number(None)
    if cell.gain:
        gain = number(cell.gain[0], signed(cell.gain[0]), span(*cell.gain[1], sign=True))
    return [
        *head,
        number(cell.episodes, str(cell.episodes), cell.reason),
        number(cell.policies, str(cell.policies)),
        number(cell.mean),
        number(cell.half_std),
        number(cell.interval.low, span(*cell.interval)),
        number(cell.iqm, note=span(*cell.iqm_interval)),
        number(cell.ratio, f"{100 * cell.ratio:.1f}" if cell.ratio is not None else None),
        gain,
        number(min(cell.alphas, default=None), ", ".join(f"{alpha:g}" for alpha in cell.alphas)),
        words(how(row)),
        number(cell.within),
        number(cell.between),
        theirs,
    ]


def how(row: Row) -> str:
    """How a row's α came about."""
    if row.network is None or row.variant.is_off:
        return "–"
    return {"given": "given", "honest": "selection episodes", "paper": "reported episodes: optimistic"}[row.variant.how]


def _return(row: Row, task: str) -> Entry:
    cell = row.cells[task]
    value, text = _paper(row, task)
    theirs = f"paper {text}" if value is not None else ""
    if cell.status != "ok":
        return Entry(cell.status, theirs, mark=cell.status)
    mine = f"{plain(cell.mean)} ± {plain(cell.half_std)}" + ("*" if cell.reason else "")
    alphas = ", ".join(f"{alpha:g}" for alpha in cell.alphas)
    chosen = f"α={alphas}" if alphas and row.variant.how != "given" else ""
    return number(cell.mean, mine, "; ".join(filter(None, (chosen, theirs))))


def _apr(row: Row, tasks: int) -> Entry:
    theirs = f"paper {row.paper_apr:.2f}" if row.paper_apr is not None else ""
    if row.apr is None:
        return Entry("–", theirs)
    part = "" if len(row.counted) == tasks else f"{len(row.counted)} of {tasks} tasks"
    interval = percent(*row.apr_interval) if row.apr_interval else ""
    return number(row.apr, f"{100 * row.apr:.2f}", "; ".join(filter(None, (interval, part, theirs))))


def _iqm(row: Row) -> Entry:
    return (
        Entry("–")
        if row.iqm is None or not row.iqm_interval
        else number(row.iqm, f"{100 * row.iqm:.1f}", percent(*row.iqm_interval))
    )


def _gain(row: Row) -> Entry:
    if row.gain is None:
        return Entry("–")
    return number(row.gain[0], f"{100 * row.gain[0]:+.1f}", percent(*row.gain[1], sign=True))


def _paper(row: Row, task: str) -> tuple[float | None, str | None]:
    if row.paper is None or task not in row.paper.returns:
        return None, None
    mean, half = row.paper.returns[task]
    return mean, f"{mean:g} ± {half:g}"


def _trained_directly(width: int) -> list[list[Entry]]:
    rows = []
    for name, timesteps, apr in paper.trained_directly():
        rest = [Entry("") for _ in range(width - 5)]
        rows.append(
            [
                words(f"{name}, T={timesteps}"),
                words("trained directly"),
                *rest,
                Entry("", f"paper {apr:.2f}", apr / 100),
                Entry(""),
                Entry(""),
            ]
        )
    return rows


def _short(task: str) -> str:
    domain, _, rest = task.partition("_")
    return f"{domain.capitalize()} {rest.replace('_', ' ')}"
