"""What a report consists of, before it is Markdown or HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from report.formats import plain


@dataclass(frozen=True)
class Entry:
    """One place in a table. `note`: a second, smaller line, its parts separated by "; "; `sort`: what the column sorts
    by (None: last, whatever the direction); `mark`: "" or why it holds no number ("failed", "missing", ...)."""

    text: str
    note: str = ""
    sort: float | str | None = None
    mark: str = ""


@dataclass(frozen=True)
class Column:
    """`hint`: what the column means, in a few words. `number`: aligned to the right."""

    name: str
    hint: str = ""
    number: bool = True


@dataclass(frozen=True)
class Table:
    """`rows`: [rows][columns]. `name`: an identifier within the report."""

    name: str
    columns: list[Column]
    rows: list[list[Entry]]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure in figures/<name>.png and .svg. `alt`: what it shows, for those who can't see it."""

    name: str
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Video:
    """An mp4 file on disk."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Text:
    """One paragraph. `warning`: it limits what the numbers say."""

    text: str
    warning: bool = False


Block = Table | Picture | Video | Text


@dataclass(frozen=True)
class Section:
    """`folded`: shown closed where the format can."""

    title: str
    blocks: list[Block] = field(default_factory=list)
    folded: bool = False


@dataclass(frozen=True)
class Document:
    """A whole report. `lead`: paragraphs under its title."""

    title: str
    lead: list[Text]
    sections: list[Section]


def head(*names: str) -> list[Column]:
    """Columns of words."""
    return [Column(name, number=False) for name in names]


def words(text: str, note: str = "") -> Entry:
    """An entry of words, sorted by them."""
    return Entry(text, note, sort=text)


def number(value: float | None, text: str | None = None, note: str = "") -> Entry:
    """An entry sorted by its value; a dash where there is none."""
    if value is None:
        return Entry("–", note)
    return Entry(plain(value) if text is None else text, note, value)


def count(value: int | None, note: str = "") -> Entry:
    """A whole number: "4,357,000"; a dash where there is none."""
    return number(value, "" if value is None else f"{value:,}", note)


def gap(status: str, reason: str = "") -> Entry:
    """A place without a number: the status, never a zero."""
    return Entry(status, mark=status, note=reason if len(reason) <= 60 else "")
