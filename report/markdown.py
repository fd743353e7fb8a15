"""The report as Markdown, figures and videos beside it."""

from __future__ import annotations

import os
from pathlib import Path

from report.document import Block, Column, Document, Entry, Picture, Table, Text, Video


def render(document: Document, figures: str, out: Path) -> str:
    """The whole text. `figures`: the folder of pictures, relative to the report; `out`: where the report will stand."""
    parts = [f"# {document.title}", *(_block(text, figures, out) for text in document.lead)]
    for section in document.sections:
        parts += [f"## {section.title}", *(_block(block, figures, out) for block in section.blocks)]
    return "\n\n".join(parts) + "\n"


def _block(block: Block, figures: str, out: Path) -> str:
    if isinstance(block, Text):
        return f"> **Note.** {words(block.text)}" if block.warning else words(block.text)
    if isinstance(block, Picture):
        return f"![{block.alt}]({figures}/{block.name}.png)" + (f"\n\n{words(block.caption)}" if block.caption else "")
    if isinstance(block, Video):
        path = Path(os.path.relpath(block.path, out)).as_posix()
        return f"[{words(block.caption)}](<{path}>)"
    return _table(block)


def _table(table: Table) -> str:
    lines = [_row([_heading(column) for column in table.columns])]
    lines.append(_row(["---:" if column.number else ":---" for column in table.columns]))
    lines += [_row([_entry(entry) for entry in row]) for row in table.rows]
    return "\n".join(lines) + (f"\n\n{words(table.caption)}" if table.caption else "")


def _heading(column: Column) -> str:
    return words(column.name)


def _entry(entry: Entry) -> str:
    text = f"**{words(entry.text)}**" if entry.mark else words(entry.text)
    if not entry.note:
        return text
    return f"{text} ({words(entry.note)})" if text else words(entry.note)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def words(text: str) -> str:
    """One line of plain text as Markdown that shows it: what would mark up is escaped."""
    for character in "\\|*_<>`":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
