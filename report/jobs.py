"""What a sweep set out to do, and what there is to report of it: finished and failed jobs, and those that left nothing
or half a file.

sweep.json is written before a sweep's first job, so that a report can tell what is missing.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ValidationError, model_validator

from evaluation import result as results
from report import method
from runtime.errors import UserError
from runtime.files import sha256_file
from runtime.schema import Document, Record

PLAN = "sweep.json"

# From the best to the worst, each with its meaning; where several jobs were to fill one place in a table, the best one
# speaks for it.
STATUSES = {
    "ok": "finished",
    "cut short": "cut short by max_decisions",
    "failed": "failed",
    "damaged": "with a result that can't be read",
    "missing": "without a result",
    "skipped": "skipped for want of a policy",
    "foreign": "of another sweep in the same folder",
}

# Options of convert.py that change none of a job's numbers.
_BESIDE = ("store", "max_batch_bytes", "num_envs", "num_workers", "video", "save", "no_policy")
_FOREIGN = "the sweep whose folder it lies in did not plan it; report on it by its own folder"


class PlannedJob(Record):
    """One job. `folder` is relative to the sweep's; `skipped`: why it will do nothing, None where it runs."""

    folder: str
    config: Annotated[dict[str, Any], BeforeValidator(results.finite)]
    skipped: str | None = None


class SweepPlan(Document):
    """sweep.json. `command`: the words of the command line; `jobs`: in the order in which they run, each in a folder of
    its own."""

    KIND: ClassVar[str] = "plan of a sweep"

    version: Literal[1] = 1
    command: list[str]
    jobs: list[PlannedJob]

    @classmethod
    def of(cls, command: list[str], jobs: list[PlannedJob]) -> Self:
        """Raises UserError for jobs that would overwrite each other's results, or write outside the sweep's folder."""
        try:
            return cls(command=command, jobs=jobs)
        except ValidationError as error:
            raise UserError(str(error.errors()[0]["ctx"]["error"])) from None

    @model_validator(mode="after")
    def _folders(self) -> Self:
        folders = [PurePath(job.folder) for job in self.jobs]
        shared = [f"{folder} ({times} jobs)" for folder, times in Counter(folders).items() if times > 1]
        outside = [str(folder) for folder in folders if folder.is_absolute() or ".." in folder.parts]
        if shared or outside:
            words = f"the same folder for several jobs: {', '.join(shared)}" if shared else f"outside: {outside[0]}"
            raise ValueError(
                f"hydra.sweep.subdir: {words}; each job needs a folder of its own within the sweep's, such as "
                "hydra.sweep.subdir='${hydra.job.num}'"
            )
        return self


@dataclass(frozen=True)
class Job:
    """One job of a sweep, or one run by itself.

    `status`: "ok"; "cut short" (by max_decisions: it has no return); "failed" (it says why); "damaged" (its result
    can't be read); "missing" (planned, but it left nothing); "skipped" (there was no policy); "foreign" (a result in a
    sweep's folder that the sweep didn't plan). `reason` is empty for finished jobs. `config` is empty where nothing
    readable tells it.
    """

    folder: Path
    status: str
    reason: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    result: results.Result | None = None

    @property
    def task(self) -> str:
        """The task, headed by the policy's label."""
        name = self.result.task if self.result else str(self.config.get("env_name", "unknown"))
        return method.headed(name, self.config.get("label"))

    @property
    def obs(self) -> str:
        return self.result.obs if self.result else str(self.config.get("obs"))

    def artefact(self, name: str) -> Path | None:
        """A file beside the result, where the result names it with the hash that it has: one that was left there by
        another run, or replaced, is none of its own."""
        path = self.folder / name
        named = self.result.artefacts.get(name) if self.result else None
        return path if named and path.is_file() and not path.is_symlink() and sha256_file(path) == named else None

    @cached_property
    def methods(self) -> list[method.ReportMethod]:
        """What it computed, or was to compute; empty where nothing readable tells."""
        if self.result and self.result.status == "ok":
            return method.of_result(self.result)
        return method.of_config(self.config) if self.config else []


def existing(folders: Iterable[str | Path]) -> list[Path]:
    """The folders. Raises UserError for one that doesn't exist."""
    places = [Path(folder) for folder in folders]
    if absent := [place for place in places if not place.is_dir()]:
        raise UserError(f"{absent[0]}: no such folder; give a sweep, a run, an analysis, or a folder of these")
    return places


def collect(folders: Iterable[str | Path]) -> tuple[list[Job], list[str]]:
    """The jobs in and below `folders`, each once, in the order of their folders, and notes on what was odd.

    What one sweep left out and another finished, under the same configuration, is not missing.
    Raises UserError for a folder that doesn't exist, and where there is nothing to report at all.
    """
    places, notes = existing(folders), []
    plans: dict[Path, list[PlannedJob]] = {}
    for path in sorted(path for place in places for path in place.rglob(PLAN)):
        try:
            plans[path.parent.resolve()] = SweepPlan.read(path).jobs
        except UserError as error:
            notes.append(f"{error}; what this sweep left out is unknown")
    planned = {(sweep / job.folder).resolve(): job for sweep, of_sweep in plans.items() for job in of_sweep}
    jobs = {folder: _job(folder, job) for folder, job in planned.items()}
    for folder in {path.parent.resolve() for place in places for path in place.rglob(results.RESULT)} - planned.keys():
        job, in_a_sweep = _job(folder), plans.keys() & set(folder.parents)
        jobs[folder] = replace(job, status="foreign", reason=_FOREIGN) if in_a_sweep else job
    if not jobs:
        raise UserError(f"{', '.join(map(str, places))}: no {results.RESULT} and no sweep there; nothing to report")
    done = [_decisive(job.config) for job in jobs.values() if job.status == "ok"]
    wanted = [job for job in jobs.values() if job.status != "missing" or _decisive(job.config) not in done]
    return sorted(wanted, key=lambda job: _natural(job.folder)), notes


def _decisive(config: dict[str, Any]) -> dict[str, Any]:
    """The options that a job's numbers depend on."""
    return {name: value for name, value in config.items() if name not in _BESIDE}


def _job(folder: Path, planned: PlannedJob | None = None) -> Job:
    config = planned.config if planned else {}
    path = folder / results.RESULT
    if not path.exists():
        if planned and planned.skipped:
            return Job(folder, "skipped", planned.skipped, config)
        return Job(folder, "missing", "it left no result: the sweep was cut off, or is still running", config)
    try:
        if not path.is_file():
            raise UserError("not a file")
        result = results.read(folder)
    except UserError as error:
        return Job(folder, "damaged", str(error).removeprefix(f"{path}: "), config)
    shared = result.config.keys() & _decisive(config).keys()
    if other := sorted(name for name in shared if result.config[name] != config[name]):
        reason = f"its folder holds the result of another sweep, which differs in {', '.join(other)}"
        return Job(folder, "missing", reason, config)
    counts = [
        count
        for tried in result.snn
        if tried.stream == "report"
        for episode in tried.episodes
        for count in (episode.spikes, episode.sops, episode.above_threshold)
    ]
    needed = result.seeds.get("seed"), *(tried.alpha for tried in result.snn), *counts
    lacking = "it lacks the environments' seed, an α or counts of spikes"
    verdicts = {
        ("failed", str(result.cause)): result.status == "failed",
        ("damaged", lacking): None in needed,
        ("cut short", "max_decisions cut its episodes short"): result.capped,
    }
    status, reason = next((verdict for verdict, holds in verdicts.items() if holds), ("ok", ""))
    return Job(folder, status, reason, result.config, None if status == "damaged" else result)


def _natural(folder: Path) -> list[tuple[int, int, str]]:
    # Hydra's job folders are numbers: 10 comes after 9.
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in folder.parts]
