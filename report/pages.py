"""A page of tables, figures and text, and its two forms: Markdown with figures and videos beside it, and one HTML file
that needs no other."""

import base64
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from evaluation.statistics import Estimate
from report.formats import ends, plain
from runtime.files import atomic_write

FIGURES = "figures"


@dataclass(frozen=True)
class Entry:
    """One place in a table. `note`: a second, smaller line, its parts separated by "; "; `sort`: what the column sorts
    by (None: last, whatever the direction); `mark`: set apart, as where a number is missing."""

    text: str
    note: str = ""
    sort: float | str | None = None
    mark: bool = False


@dataclass(frozen=True)
class Column:
    """`hint`: what the column means, in a few words. `number`: aligned to the right."""

    name: str
    hint: str = ""
    number: bool = True


@dataclass(frozen=True)
class Table:
    """`rows`: [rows][columns]. `name`: an identifier within the page."""

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
    blocks: list[Block]
    folded: bool = False


@dataclass(frozen=True)
class Page:
    """`lead`: paragraphs under its title."""

    title: str
    lead: list[Text]
    sections: list[Section]


def section(title: str, *blocks: Block | None, folded: bool = False) -> Section | None:
    """What there is of `blocks`, a table without rows being nothing; None where nothing is left."""
    kept = [block for block in blocks if block and not (isinstance(block, Table) and not block.rows)]
    return Section(title, kept, folded) if kept else None


def head(*names: str) -> list[Column]:
    """Columns of words."""
    return [Column(name, number=False) for name in names]


def words(text: str, note: str = "") -> Entry:
    """An entry of words, sorted by them."""
    return Entry(text, note, sort=text)


def number(value: float | None, text: str | Callable[[float], str] = plain, note: str = "") -> Entry:
    """An entry sorted by its value; a dash where there is none. `text`: what it reads, or how a number is written."""
    if value is None:
        return Entry("–", note)
    return Entry(text if isinstance(text, str) else text(value), note, value)


def count(value: int | None, note: str = "") -> Entry:
    """A whole number: "4,357,000"; a dash where there is none."""
    return number(value, "{:,}".format, note)


def estimate(value: Estimate | None, write: Callable[..., str] = plain, sign: bool = False, more: str = "") -> Entry:
    """A number with its interval, and `more` on a line of its own; a dash where there is none."""
    if value is None:
        return Entry("–")
    note = "; ".join(filter(None, (ends(value, write, sign), more)))
    return Entry(write(value.value, sign=sign), note, value.value)


def gap(status: str, reason: str = "") -> Entry:
    """A place without a number: the status, never a zero."""
    return Entry(status, mark=True, note=reason if len(reason) <= 60 else "")


def write(page: Page, out: Path, name: str = "report") -> Path:
    """Writes <name>.md and <name>.html into `out`, whose folder FIGURES holds the pictures; returns the latter's path.

    Raises OSError where the disk refuses.
    """
    for suffix in ("md", "html"):
        text = _TEMPLATES.get_template(f"page.{suffix}").render(page=page, out=out, figures=FIGURES)
        atomic_write(out / f"{name}.{suffix}", text.encode())
    return out / f"{name}.html"


def for_terminal(table: Table) -> str:
    """The table in columns of text, without notes; rows that would be empty are left out."""
    rows = [[entry.text for entry in row] for row in table.rows if any(entry.text for entry in row[2:])]
    aligned = []
    for column, *texts in zip(table.columns, *rows):
        cells = [column.name, *texts]
        width = max(map(len, cells))
        aligned.append([cell.rjust(width) if column.number else cell.ljust(width) for cell in cells])
    return "\n".join("  ".join(line).rstrip() for line in zip(*aligned))


def escaped(text: str) -> str:
    """One line of plain text as Markdown that shows it: what would mark up is escaped."""
    return " ".join(re.sub(r"([\\|*_<>`])", r"\\\1", text).split())


def _anchor(title: str) -> str:
    return re.sub(r"\W", "-", title.lower())


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _beside(path: Path, out: Path) -> str:
    return Path(os.path.relpath(path, out)).as_posix()


def _whole(text: str) -> str:
    """Spaces at which a number must not be broken become spaces that don't break."""
    return re.sub(r" (?=±)|(?<=±) |(?<=,) (?=T=)|(?<=^paper) ", "\u00a0", text)


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"anchor": _anchor, "data": _data, "beside": _beside, "whole": _whole, "md": escaped}
