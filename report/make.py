"""From folders of results to report.md, report.html, results.csv and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from report import consumption, context, controls, curves, episodes, figures, markdown, numbers, page, paper, returns
from report.context import count
from report.curves import Curves
from report.document import Block, Document, Section, Text
from report.evidence import Evidence, gather
from report.jobs import collect
from report.numbers import Row
from runtime.files import atomic_write

MARKDOWN, HTML, CSV, FIGURES = "report.md", "report.html", "results.csv", "figures"


def make(folders: Sequence[str | Path], out: str | Path) -> Path:
    """Writes the report on everything in and below `folders` into `out`; returns the path of report.html.

    Raises UserError for folders that aren't there or hold nothing, OSError where the disk refuses.
    """
    out = Path(out)
    jobs, notes = collect(folders)
    evidence = gather(jobs)
    document = _document(evidence, notes, out / FIGURES)
    episodes.write(evidence, out / CSV)
    atomic_write(out / MARKDOWN, markdown.render(document, FIGURES, out).encode())
    atomic_write(out / HTML, page.render(document, out / FIGURES).encode())
    return out / HTML


def _document(evidence: Evidence, notes: list[str], folder: Path) -> Document:
    lead = [Text(count(evidence.jobs)), *(Text(note, warning=True) for note in notes)]
    lead.append(Text(f"Lines headed “paper” are not ours: {paper.source()}."))
    sections: list[Section | None] = []
    for obs in evidence.observations():
        sections += _observation(evidence, obs, folder, several=len(evidence.observations()) > 1)
    sections += [
        context.gaps(evidence.jobs),
        context.cut_short(evidence.jobs),
        context.videos(evidence.jobs),
        context.policies(evidence),
        context.provenance(evidence),
    ]
    return Document("Conversion of DrQ-v2 policies to spiking networks", lead, [one for one in sections if one])


def _observation(evidence: Evidence, obs: str, folder: Path, several: bool) -> list[Section | None]:
    tasks = _ordered(evidence.tasks(obs))
    rows = [numbers.row(evidence, network, variant, tasks) for network, variant in evidence.rows(obs)]
    ann = numbers.ann_row(evidence, obs, tasks)
    over_alpha = _curves(evidence, obs)
    main = [ann, *(row for row in rows if not row.variant.is_control)]
    found: list[Section | None] = [
        Section("Returns", _returns(main, tasks, obs, folder)),
        _over_alpha(evidence, [one for one in over_alpha if one.mode == "residual"], obs, folder),
        _over_timesteps(rows, obs, folder),
        controls.section(rows, tasks, [one for one in over_alpha if one.mode != "residual"], obs, folder),
        consumption.section(evidence, obs, folder),
        returns.details(obs, [ann, *rows], tasks),
        consumption.layers(evidence, obs),
    ]
    if not several:
        return found
    return [Section(f"{one.title} ({obs})", one.blocks, one.folded) if one else None for one in found]


def _returns(rows: list[Row], tasks: list[str], obs: str, folder: Path) -> list[Block]:
    blocks: list[Block] = [returns.overview(obs, rows, tasks)]
    partial = [row for row in rows if row.counted and row.lacking]
    if partial:
        text = "An APR over some of the tasks can't be compared with one over all; the paper's is over the same tasks."
        blocks.append(Text(text, warning=True))
    if any(cell.reason and cell.status == "ok" for row in rows for cell in row.cells.values()):
        blocks.append(
            Text("* some of the policies or seeds that belong here are lacking; see the jobs below.", warning=True)
        )
    if any(cell.status == "ok" and cell.mean <= 0 for cell in rows[0].cells.values()):
        blocks.append(Text("A task whose ANN earns nothing has no ratio and counts in no APR.", warning=True))
    if any(row.variant.how == "paper" and row.counted for row in rows):
        text = "Where α was chosen on the reported episodes, as in the paper, the row is optimistic: they chose and report."
        blocks.append(Text(text, warning=True))
    picture = figures.ratios(rows, folder, f"apr_{obs}", obs)
    return [*blocks, picture] if picture else blocks


def _curves(evidence: Evidence, obs: str) -> list[Curves]:
    """Of every network and mode that has any."""
    modes = {(network, mode) for network, mode, _, _ in evidence.curves if network.obs == obs}
    ordered = sorted(modes, key=lambda key: (key[0].order, key[1]))
    return [one for network, mode in ordered if (one := curves.of_network(evidence, network, mode))]


def _over_alpha(evidence: Evidence, found: list[Curves], obs: str, folder: Path) -> Section | None:
    if not found:
        return None
    picture = figures.alphas(found, folder, f"alpha_{obs}")
    choices = [choice for one in found if (choice := curves.one_alpha(one))]
    reported = {}
    for choice in choices:
        network, mode = choice.curves.network, choice.curves.mode
        ratio = curves.reported_ratio(evidence, network, mode, choice.alpha, list(choice.per_task))
        if ratio is not None:
            reported[network.label, mode] = ratio
    blocks: list[Block] = [picture] if picture else []
    table = context.one_alpha_table(choices, reported, obs)
    return Section("Return against α", [*blocks, *(table.blocks if table else [])])


def _over_timesteps(rows: list[Row], obs: str, folder: Path) -> Section | None:
    picture = figures.timesteps(rows, folder, f"timesteps_{obs}")
    return Section("Return against simulation steps", [picture]) if picture else None


def _ordered(tasks: list[str]) -> list[str]:
    known = paper.tasks()
    return sorted(tasks, key=lambda task: (known.index(task) if task in known else len(known), task))
