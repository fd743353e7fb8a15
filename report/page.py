"""The report as one HTML file that needs no other: styles, script, pictures and videos stand in it."""

from __future__ import annotations

import base64
import html
from pathlib import Path

from report.document import Block, Document, Entry, Picture, Section, Table, Text

_HERE = Path(__file__).parent


def render(document: Document, figures: Path) -> str:
    """The whole page; the pictures' SVG files are read from `figures`."""
    contents = "".join(
        f'<li><a href="#{_anchor(section)}">{html.escape(section.title)}</a></li>' for section in document.sections
    )
    body = "\n".join(_section(section, figures) for section in document.sections)
    lead = "\n".join(_block(text, figures) for text in document.lead)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(document.title)}</title>
<style>
{(_HERE / "page.css").read_text()}</style>
</head>
<body>
<main>
<h1>{html.escape(document.title)}</h1>
{lead}
<nav aria-label="Contents"><ul>{contents}</ul></nav>
{body}
</main>
<script>
{(_HERE / "page.js").read_text()}</script>
</body>
</html>
"""


def _section(section: Section, figures: Path) -> str:
    blocks = "\n".join(_block(block, figures) for block in section.blocks)
    title = f'<h2 id="{_anchor(section)}">{html.escape(section.title)}</h2>'
    if section.folded:
        return f"<details><summary>{title}</summary>\n{blocks}\n</details>"
    return f"<section>{title}\n{blocks}\n</section>"


def _block(block: Block, figures: Path) -> str:
    if isinstance(block, Text):
        return f'<p class="{"warning" if block.warning else "text"}">{html.escape(block.text)}</p>'
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        source = _data("image/svg+xml", figures / f"{block.name}.svg")
        return _figure(f'<img src="{source}" alt="{html.escape(block.alt)}">', block.caption)
    return _figure(
        f'<video controls loop muted playsinline src="{_data("video/mp4", block.path)}"></video>', block.caption
    )


def _figure(inside: str, caption: str) -> str:
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{inside}{below}</figure>"


def _table(table: Table) -> str:
    heads = "".join(
        f'<th scope="col" class="{"number" if column.number else "words"}"'
        + (f' title="{html.escape(column.hint)}"' if column.hint else "")
        + f'><button type="button">{html.escape(column.name)}</button></th>'
        for column in table.columns
    )
    rows = "\n".join(
        "<tr>"
        + "".join(_entry(entry, column.number) for entry, column in zip(row, table.columns, strict=True))
        + "</tr>"
        for row in table.rows
    )
    caption = f'<p class="caption">{html.escape(table.caption)}</p>' if table.caption else ""
    return f"""<div class="scroll" tabindex="0" role="region" aria-label="Table">
<table id="{table.name}"><thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody></table></div>
{caption}"""


def _entry(entry: Entry, number: bool) -> str:
    kind = "number" if number else "words"
    if entry.mark:
        kind += " gap"
    sort = "" if entry.sort is None else f' data-sort="{html.escape(str(entry.sort))}"'
    note = "".join(f"<small>{html.escape(part)}</small>" for part in entry.note.split("; ") if part)
    cell = f'<td class="{kind}"{sort}>{html.escape(entry.text)}{note}</td>'
    for apart in (" ± ", ", T="):
        cell = cell.replace(apart, apart.replace(" ", "\u00a0"))
    return cell.replace("<small>paper ", "<small>paper\u00a0")


def _anchor(section: Section) -> str:
    return "".join(character if character.isalnum() else "-" for character in section.title.lower())


def _data(kind: str, path: Path) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
