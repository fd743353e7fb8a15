"""From folders of results to report.md, report.html, results.csv and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from report import curves, energy_sections, episodes, figures, job_sections, numbers, pages, paper, return_sections
from report.evidence import Evidence, gather
from report.jobs import collect
from report.method import ann
from report.pages import Page, Section, Table, Text, section

CSV = "results.csv"


class Report(NamedTuple):
    """`page`: the path of report.html; `lines`: what a terminal shows of it, the jobs and the tables of returns."""

    page: Path
    lines: list[str]


def make(folders: Sequence[str | Path], out: Path) -> Report:
    """Writes the report on everything in and below `folders` into `out`.

    Raises UserError for folders that aren't there or hold nothing, OSError where the disk refuses.
    """
    jobs, notes = collect(folders)
    evidence = gather(jobs)
    lead = [Text(job_sections.summary(jobs)), *(Text(note, warning=True) for note in notes)]
    lines = [text.text for text in lead]
    kinds = evidence.observations()
    if paper.has(task for obs in kinds for task in evidence.tasks(obs)):
        lead.append(Text(f"Lines headed “paper” are not ours: {paper.SOURCE}."))
    sections = [part for obs in kinds for part in _observation(evidence, obs, out, several=len(kinds) > 1)]
    sections += [
        job_sections.gaps(jobs),
        job_sections.cut_short(jobs),
        job_sections.videos(jobs),
        job_sections.policies(evidence),
        job_sections.provenance(evidence),
    ]
    title = "Conversion of policies to spiking networks"
    page = Page(title, lead, [part for part in sections if part])
    tables = [block for part in page.sections for block in part.blocks if isinstance(block, Table)]
    shown = [pages.for_terminal(table) for table in tables if table.name.startswith(("returns_", "controls_"))]
    episodes.write(evidence, out / CSV)
    return Report(pages.write(page, out), lines + shown)


def _observation(evidence: Evidence, obs: str, out: Path, several: bool) -> list[Section | None]:
    # The paper's tasks first, whose order is that of the alphabet.
    tasks = sorted(evidence.tasks(obs), key=lambda task: (task not in paper.TASKS, task))
    base, *rows = (numbers.row(evidence, method, tasks) for method in [ann(obs), *evidence.methods(obs)])
    all_curves = curves.of_observation(evidence, obs)
    crpi = [curve for curve in all_curves if curve.mode == "residual"]
    controls = [curve for curve in all_curves if curve not in crpi]
    main = [base, *(row for row in rows if not row.method.variant.is_control)]
    sections = [
        return_sections.overview(obs, main, tasks, out),
        return_sections.over_alpha(evidence, crpi, obs, out),
        section(
            "Return against simulation steps",
            figures.timesteps(rows, out, f"timesteps_{obs}"),
            figures.timesteps_by_task(rows, tasks, out, f"timesteps_{obs}_tasks"),
        ),
        section("Return against synaptic operations", figures.operations(rows, out, f"operations_{obs}")),
        section("Performance profiles", figures.profiles(main, out, f"profiles_{obs}")),
        return_sections.controls(rows, tasks, controls, obs, out),
        energy_sections.per_decision(evidence, obs, out),
        return_sections.details(obs, [base, *rows], tasks),
        energy_sections.layers(evidence, obs),
    ]
    return [part and replace(part, title=f"{part.title} ({obs})") for part in sections] if several else sections
