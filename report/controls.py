"""The section on CRPI's controls: the same perturbation with its meaning taken away."""

from __future__ import annotations

from pathlib import Path

from report import figures
from report.curves import Curves
from report.document import Block, Column, Entry, Section, Table, Text, gap, number, percent, signed, span, words
from report.numbers import Row


def section(rows: list[Row], tasks: list[str], curves: list[Curves], obs: str, folder: Path) -> Section | None:
    """Each mode's gain over plain conversion, or None where no control was run or planned. `curves`: the controls'."""
    controlled = {row.network for row in rows if row.variant.is_control}
    if not controlled:
        return None
    shown = [row for row in rows if row.network in controlled and not row.variant.is_off]
    columns = [
        Column("Method", number=False),
        Column("Carried", "CRPI's residual, or what a control carries instead", number=False),
        *(
            Column(task, "gain over plain conversion in returns, over the same episodes, with its 95 % interval")
            for task in tasks
        ),
        Column("All, % of ANN", "mean gain relative to each task's ANN, with its 95 % interval"),
    ]
    body = []
    for row in shown:
        head = [words(row.network.label if row.network else ""), words(row.variant.short)]
        whole = Entry("–")
        if row.gain:
            whole = number(row.gain[0], f"{100 * row.gain[0]:+.1f}", percent(*row.gain[1], sign=True))
        body.append([*head, *(_gain(row, task) for task in tasks), whole])
    text = (
        "Random draws from the residuals that the episode has shown; shuffled permutes them across units; carry takes the "
        "last membrane itself, unclipped: v[0] = (1 − α)·v_base + α·v[T]. What a control gains can't be owed to CRPI's "
        "residual."
    )
    blocks: list[Block] = [Text(text), Table(f"controls_{obs}", columns, body)]
    pictures = [
        figures.controls(shown, folder, f"controls_{obs}"),
        figures.alphas(curves, folder, f"alpha_controls_{obs}"),
    ]
    return Section("CRPI beside its controls", [*blocks, *(picture for picture in pictures if picture)])


def _gain(row: Row, task: str) -> Entry:
    cell = row.cells[task]
    if cell.status != "ok":
        return gap(cell.status, "")
    if cell.gain is None:
        return Entry("–", "no plain conversion on the same episodes")
    alphas = ", ".join(f"{alpha:g}" for alpha in cell.alphas)
    return number(cell.gain[0], signed(cell.gain[0]), f"{span(*cell.gain[1], sign=True)} α={alphas}")
