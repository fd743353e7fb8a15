"""From folders of results to report.md, report.html, results.csv and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from report import consumption, context, curves, episodes, figures, numbers, pages, paper, returns
from report.document import Document, Section, Table, Text
from report.evidence import Evidence, gather
from report.jobs import collect
from report.method import ann

CSV = "results.csv"


class Report(NamedTuple):
    """`page`: the path of report.html; `lines`: what a terminal shows of it, the jobs and the tables of returns."""

    page: Path
    lines: list[str]


def make(folders: Sequence[str | Path], out: str | Path) -> Report:
    """Writes the report on everything in and below `folders` into `out`.

    Raises UserError for folders that aren't there or hold nothing, OSError where the disk refuses.
    """
    out = Path(out)
    jobs, notes = collect(folders)
    evidence = gather(jobs)
    lead = [Text(context.summary(jobs)), *(Text(note, warning=True) for note in notes)]
    lines = [text.text for text in lead]
    kinds = evidence.observations()
    if paper.has(task for obs in kinds for task in evidence.tasks(obs)):
        lead.append(Text(f"Lines headed “paper” are not ours: {paper.SOURCE}."))
    sections = [section for obs in kinds for section in _observation(evidence, obs, out, several=len(kinds) > 1)]
    sections += [
        context.gaps(jobs),
        context.cut_short(jobs),
        context.videos(jobs),
        context.policies(evidence),
        context.provenance(evidence),
    ]
    title = "Conversion of policies to spiking networks"
    document = Document(title, lead, [section for section in sections if section])
    tables = [block for section in document.sections for block in section.blocks if isinstance(block, Table)]
    shown = [table for table in tables if table.name.startswith(("returns_", "controls_"))]
    episodes.write(evidence, out / CSV)
    return Report(pages.write(document, out), lines + [pages.plain(table) for table in shown])


def _observation(evidence: Evidence, obs: str, out: Path, several: bool) -> list[Section | None]:
    tasks = _ordered(evidence.tasks(obs))
    base, *rows = (numbers.row(evidence, method, tasks) for method in [ann(obs), *evidence.methods(obs)])
    all_curves = curves.of_observation(evidence, obs)
    crpi = [curve for curve in all_curves if curve.mode == "residual"]
    main = [base, *(row for row in rows if not row.method.variant.is_control)]
    steps = [
        picture
        for picture in (
            figures.timesteps(rows, out, f"timesteps_{obs}"),
            figures.timesteps_by_task(rows, tasks, out, f"timesteps_{obs}_tasks"),
        )
        if picture
    ]
    profiles = figures.profiles(main, out, f"profiles_{obs}")
    operations = figures.operations(rows, out, f"operations_{obs}")
    sections = [
        Section("Returns", returns.overview(obs, main, tasks, out)),
        returns.over_alpha(evidence, crpi, obs, out),
        Section("Return against simulation steps", [*steps]) if steps else None,
        Section("Return against synaptic operations", [operations]) if operations else None,
        Section("Performance profiles", [profiles]) if profiles else None,
        returns.controls(rows, tasks, [curve for curve in all_curves if curve not in crpi], obs, out),
        consumption.section(evidence, obs, out),
        returns.details(obs, [base, *rows], tasks),
        consumption.layers(evidence, obs),
    ]
    if not several:
        return sections
    return [section and Section(f"{section.title} ({obs})", section.blocks, section.folded) for section in sections]


def _ordered(tasks: list[str]) -> list[str]:
    known = paper.TASKS
    return sorted(tasks, key=lambda task: (known.index(task) if task in known else len(known), task))
