"""Finds what there is to report: finished and failed jobs, and those that left nothing or half a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation import result as results
from evaluation.result import RESULT, Result
from report import plan as plans
from runtime.errors import UserError

# From the best to the worst; where several jobs were to fill one place in a table, the best one speaks for it.
STATUSES = ("ok", "cut short", "failed", "damaged", "missing", "skipped")

# Options of convert.py that change none of a job's numbers.
_BESIDE = ("store", "max_batch_bytes", "num_envs", "num_workers", "video", "save", "no_policy")


@dataclass(frozen=True)
class Job:
    """One job of a sweep, or one run by itself.

    `status`: "ok"; "cut short" (by max_decisions: it has no return); "failed" (it says why); "damaged" (its result
    can't be read); "missing" (planned, but it left nothing); "skipped" (there was no policy). `reason` is empty for
    finished jobs. `config` is empty where nothing readable tells it.
    """

    folder: Path
    status: str
    reason: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    result: Result | None = None

    @property
    def task(self) -> str:
        return str(self.config.get("env_name", "unknown"))


def collect(folders: Iterable[str | Path]) -> tuple[list[Job], list[str]]:
    """The jobs in and below `folders`, each once, in the order of their folders, and notes on what was odd.

    What one sweep left out and another finished, under the same configuration, is not missing.
    Raises UserError for a folder that doesn't exist, and where there is nothing to report at all.
    """
    folders = [Path(folder) for folder in folders]
    jobs: dict[Path, Job] = {}
    notes: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; give a sweep, a run, or a folder that holds some")
        for path in sorted(folder.rglob(plans.PLAN)):
            try:
                plan = plans.read(path)
            except UserError as error:
                notes.append(f"{error}; what this sweep left out is unknown")
                continue
            for planned in plan.jobs:
                place = (path.parent / planned.folder).resolve()
                jobs[place] = _job(place, planned)
        for path in _results(folder):
            jobs.setdefault(path.parent.resolve(), _job(path.parent.resolve(), None))
    if not jobs:
        raise UserError(f"{', '.join(map(str, folders))}: no {RESULT} and no sweep there; nothing to report")
    done = [_what(job) for job in jobs.values() if job.status == "ok"]
    wanted = [job for job in jobs.values() if job.status != "missing" or _what(job) not in done]
    return sorted(wanted, key=lambda job: _natural(job.folder)), notes


def _what(job: Job) -> dict[str, Any]:
    return {name: value for name, value in job.config.items() if name not in _BESIDE}


def _results(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob(RESULT)) if path.is_file())


def _job(folder: Path, planned: plans.PlannedJob | None) -> Job:
    config = planned.config if planned else {}
    if not (folder / RESULT).exists():
        if planned and planned.skipped:
            return Job(folder, "skipped", planned.skipped, config)
        return Job(folder, "missing", "it left no result: the sweep was cut off, or is still running", config)
    try:
        result = results.read(folder)
    except UserError as error:
        reason = str(error).removeprefix(f"{folder / RESULT}: ")
        return Job(folder, "damaged", reason, config)
    if result.status == "failed":
        return Job(folder, "failed", str(result.cause), result.config, result)
    if result.capped:
        return Job(folder, "cut short", "max_decisions cut its episodes short", result.config, result)
    return Job(folder, "ok", "", result.config, result)


def _natural(folder: Path) -> tuple:
    # Hydra's job folders are numbers: 10 comes after 9.
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in folder.parts)
