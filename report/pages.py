"""A document as Markdown, with its figures and videos beside it, and as one HTML file that needs no other."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from report.document import Block, Document, Table
from runtime.files import atomic_write

FIGURES = "figures"
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write(document: Document, out: Path, name: str = "report") -> Path:
    """Writes <name>.md and <name>.html into `out`, whose folder FIGURES holds the pictures; returns the latter's path.

    Raises OSError where the disk refuses.
    """
    for suffix in ("md", "html"):
        text = _TEMPLATES.get_template(f"page.{suffix}").render(document=document, out=out, figures=FIGURES)
        atomic_write(out / f"{name}.{suffix}", text.encode())
    return out / f"{name}.html"


def plain(table: Table) -> str:
    """The table for a terminal, without notes; rows that would be empty are left out."""
    rows = [[entry.text for entry in row] for row in table.rows if any(entry.text for entry in row[2:])]
    columns = list(zip([column.name for column in table.columns], *rows))
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in zip(*columns):
        cells = zip(row, table.columns, widths)
        lines.append(
            "  ".join(text.rjust(width) if column.number else text.ljust(width) for text, column, width in cells)
        )
    return "\n".join(line.rstrip() for line in lines)


def escaped(text: str) -> str:
    """One line of plain text as Markdown that shows it: what would mark up is escaped."""
    return " ".join(re.sub(r"([\\|*_<>`])", r"\\\1", text).split())


def _kind(block: Block) -> str:
    return type(block).__name__


def _anchor(title: str) -> str:
    return re.sub(r"\W", "-", title.lower())


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _beside(path: Path, out: Path) -> str:
    return Path(os.path.relpath(path, out)).as_posix()


def _whole(text: str) -> str:
    """Spaces at which a number must not be broken become spaces that don't break."""
    return re.sub(r" (?=±)|(?<=±) |(?<=,) (?=T=)|(?<=^paper) ", "\u00a0", text)


_TEMPLATES.filters |= {
    "kind": _kind,
    "anchor": _anchor,
    "data": _data,
    "beside": _beside,
    "whole": _whole,
    "md": escaped,
}
