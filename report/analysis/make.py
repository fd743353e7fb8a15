"""From an analysis to report.md, report.html and figures."""

from __future__ import annotations

from pathlib import Path

from analysis.document import Analysis
from report import markdown, page
from report.analysis import figures, sections
from report.analysis.sections import summary
from runtime.files import atomic_write

__all__ = ["summary", "write"]

MARKDOWN, HTML, FIGURES = "report.md", "report.html", "figures"


def write(analysis: Analysis, out: str | Path) -> Path:
    """Writes the pages into `out`; returns the path of report.html. Raises OSError where the disk refuses."""
    out = Path(out)
    pictures = figures.all_of(analysis, out / FIGURES)
    document = sections.document(analysis, pictures)
    atomic_write(out / MARKDOWN, markdown.render(document, FIGURES, out).encode())
    atomic_write(out / HTML, page.render(document, out / FIGURES).encode())
    return out / HTML
