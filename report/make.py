"""From folders of results to report.md, report.html, results.csv and figures."""

import csv
import io
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from evaluation.result import EpisodeRecord, Result, RolloutRecord
from report import curves, energy_sections, figures, job_sections, numbers, pages, paper, return_sections
from report.evidence import Evidence, gather
from report.jobs import collect
from report.method import ann
from report.pages import Page, Section, Table, Text, section
from runtime.files import atomic_write

CSV = "results.csv"
# A row per episode.
_COLUMNS = (
    *("folder", "task", "label", "obs", "policy_sha256", "training_seed", "frames", "method"),
    *("neuron", "rule", "coding", "n_thresholds", "timesteps", "calibration_steps", "percentile", "hybrid", "dtype"),
    *("mode", "alpha", "alpha_how", "alpha_chosen"),
    *("stream", "seed", "episode", "environment_seed", "return", "reward_sum", "decisions", "capped"),
    *("spikes", "sops", "sops_per_decision"),
)


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
    sections = [
        *(part for obs in kinds for part in _observation(evidence, obs, out, several=len(kinds) > 1)),
        job_sections.gaps(jobs),
        job_sections.cut_short(jobs),
        job_sections.videos(jobs),
        job_sections.policies(evidence),
        job_sections.provenance(evidence),
    ]
    page = Page("Conversion of policies to spiking networks", lead, [part for part in sections if part])
    shown = [
        pages.for_terminal(block)
        for part in page.sections
        for block in part.blocks
        if isinstance(block, Table) and block.name.startswith(("returns_", "controls_"))
    ]
    _write_csv(evidence, out / CSV)
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


def _write_csv(evidence: Evidence, path: Path) -> None:
    """Writes every episode of every finished or cut-short job. `return` is empty where max_decisions cut the episode
    short; `alpha` and what follows from a spiking network are empty for the ANN. An ANN's episode that several jobs
    share stands once, with the folder of the first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(evidence))
    atomic_write(path, text.getvalue().encode())


def _rows(evidence: Evidence) -> Iterable[dict[str, Any]]:
    rows: dict[Hashable, dict[str, Any]] = {}
    for job in evidence.jobs:
        result = job.result
        if result is None or result.ann is None or result.policy is None:
            continue
        for rollouts in [result.ann, *result.snn]:
            played = () if rollouts.alpha is None else (job.folder, rollouts.alpha, rollouts.stream)
            for episode in rollouts.episodes:
                key = (result.policy.sha256, tuple(episode.seed), episode.reward_sum, *played)
                rows.setdefault(key, {"folder": str(job.folder), **_row(result, rollouts, episode)})
    return rows.values()


def _row(result: Result, rollouts: RolloutRecord, episode: EpisodeRecord) -> dict[str, Any]:
    policy, conversion, alpha = result.policy, result.conversion, result.alpha
    assert policy and conversion and alpha
    row: dict[str, Any] = {
        "task": result.task,
        "label": result.config.get("label"),
        "obs": result.obs,
        "policy_sha256": policy.sha256,
        "training_seed": policy.training_seed,
        "frames": policy.frame,
        "method": "ann",
        "stream": rollouts.stream,
        "seed": result.seeds["seed"],
        "episode": episode.episode,
        "environment_seed": "/".join(map(str, episode.seed)),
        "return": episode.return_,
        "reward_sum": episode.reward_sum,
        "decisions": episode.decisions,
        "capped": int(episode.capped),
    }
    if rollouts.alpha is not None:
        names = ("neuron", "rule", "coding", "n_thresholds", "timesteps", "hybrid", "dtype", "mode")
        row |= {
            **{name: getattr(conversion, name) for name in names},
            "calibration_steps": conversion.calibration.get("steps"),
            "percentile": conversion.calibration.get("percentile"),
            "method": f"{conversion.neuron}_{conversion.timesteps}",
            "alpha": rollouts.alpha,
            "alpha_how": alpha.how,
            "alpha_chosen": int(rollouts.alpha == alpha.chosen),
        }
    if episode.sops is not None and episode.spikes is not None:
        sops = sum(map(sum, episode.sops))
        row |= {"spikes": sum(map(sum, episode.spikes)), "sops": sops, "sops_per_decision": sops / episode.decisions}
    return row
