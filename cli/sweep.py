"""A multirun: its plan and an estimate before it, what its jobs gave back, and the report after it.

Hydra composes and launches the jobs. They are planned here first, so that a report can tell what is missing, and what
Hydra's launchers bring back is gathered here, wherever the jobs ran: in this process, in others, on other machines.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import TaskFunction
from omegaconf import DictConfig, open_dict

from cli import lost_jobs, tuning
from cli.command_line import plain
from evaluation.progress import counted, readable
from evaluation.result import TRIAL
from report.__main__ import FOLDER
from report.duration import Estimator
from report.jobs import PLAN, PlannedJob, SweepPlan
from runtime.errors import UserError


@dataclass(frozen=True)
class Failure:
    """What a failed job returns. `refused`: the user can put it right; it is no fault of the program."""

    cause: str
    refused: bool = True


@dataclass
class SweepProgress:
    """A sweep's messages about its jobs and the time left; each process that runs jobs has its own copy."""

    differing: list[str]  #: the options whose values differ between the jobs
    jobs: int | None  #: how many there are; None where the sweeper decides as it goes
    seconds: list[float] = field(default_factory=list)  #: estimated, of each
    began: float = field(default_factory=time.monotonic)
    said: float = 0.0
    process: int = field(default_factory=os.getpid)

    def label(self, number: int, overrides: Sequence[str]) -> str:
        """The prefix of each line about job `number`."""
        own = [word for word in overrides if word.lstrip("+").partition("=")[0] in self.differing]
        return f"[{' '.join([f'{number + 1}/{self.jobs}' if self.jobs else f'trial {number}', *own])}] "

    def done(self, number: int) -> None:
        """Says at most once a minute how long the rest will take, where one process runs job after job."""
        now = time.monotonic()
        past, left = sum(self.seconds[: number + 1]), sum(self.seconds[number + 1 :])
        if os.getpid() == self.process and past and left and now - max(self.said, self.began) > 60:
            self.said = now
            print(f"about {readable((now - self.began) * left / past)} to go", flush=True)


def run(
    program: str, overrides: list[Override], job: Callable[[SweepProgress], TaskFunction], reported: bool
) -> list[str]:
    """Runs the jobs that `job(progress)` makes of each configuration; returns a line for each that failed.

    reported: the program is convert.py, whose jobs leave results to report on. Raises UserError for a sweep that can't
    be, before anything is written.
    """
    master = compose(program, [word(o) for o in overrides if not o.is_sweep_override()], return_hydra_config=True)
    tuning.check(master)
    folder, search = Path(str(master.hydra.sweep.dir)), tuning.is_search(master)
    combinations = [] if search else swept(master, overrides)
    options = {given.partition("=")[0] for words in combinations for given in set(words) - set(combinations[0])}
    differing = [name.lstrip("+") for name in (master.hydra.sweeper.params or () if search else options)]
    progress = SweepProgress(differing, len(combinations) or None)
    reported = reported and not search and not master.tune
    if reported:
        progress.seconds = _announce(SweepPlan.of([*map(word, overrides)], planned(program, combinations)), folder)
    words = [
        *map(word, overrides),
        "hydra.mode=MULTIRUN",
        f"hydra.sweep.dir='{str(folder).replace(chr(39), chr(92) + chr(39))}'",
    ]
    launcher = str(master.hydra.runtime.choices["hydra/launcher"])
    failures = _launched(program, words, job(progress), progress, launcher)
    if reported:
        failures += _report(folder)
    elif master.get("tune"):
        print("\n".join(tuning.lines(folder)))
    if search and (lost := int(master.hydra.sweeper.n_trials) - len([*folder.glob(f"*/{TRIAL}")])) > 0:
        failures.append(f"{counted(lost, 'trial')} failed")
    return failures


def word(override: Override) -> str:
    """An override as it was written."""
    return str(override.input_line)


def swept(master: DictConfig, overrides: list[Override]) -> list[list[str]]:
    """The words of each job, by Hydra's own sweeper. Raises UserError for an interval, from which it can't choose."""
    # The command line's own words come last and win.
    params = [f"{key}={value}" for key, value in (master.hydra.sweeper.params or {}).items()]
    given = [*OverridesParser.create().parse_overrides(params), *overrides]
    for override in given:
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise UserError(
                f"{word(override)}: an interval needs a sweeper that optimises, such as that of +sweep=tune"
            )
    [jobs] = BasicSweeper.split_arguments(given, None)
    return jobs


def planned(program: str, jobs: list[list[str]]) -> list[PlannedJob]:
    """Each job's folder, below the sweep's, its configuration, and why it will be skipped."""
    # Torch loads with this; the sweep needs it anyway.
    from evaluation import policy_choice
    from evaluation.settings import ConvertSettings

    plans = []
    for number, words in enumerate(jobs):
        composed = compose(program, words, return_hydra_config=True)
        with open_dict(composed):
            composed.hydra.job.num, composed.hydra.job.id = number, str(number)
            folder = str(composed.hydra.sweep.subdir)
            del composed["hydra"]
        values = plain(composed)
        try:
            skipped = policy_choice.why_skipped(ConvertSettings.from_dict(values))
        except (UserError, ValueError):
            skipped = None  # the job will fail, and say why
        plans.append(PlannedJob(folder=folder, config=values, skipped=skipped))
    return plans


def _announce(sweep: SweepPlan, folder: Path) -> list[float]:
    """Writes the plan and says what it will take; returns an estimate for each job, in seconds."""
    sweep.write(folder / PLAN)
    if skipped := Counter(str(job.config["env_name"]) for job in sweep.jobs if job.skipped):
        lacking = ", ".join(f"{task} ({number})" for task, number in skipped.items())
        print(f"skipped for want of a trained policy (jobs): {lacking}")
    estimator = Estimator()
    estimates = [estimator.job({} if job.skipped else job.config) for job in sweep.jobs]
    episodes, decisions, seconds = map(sum, zip(*estimates))
    print(
        f"{counted(len(sweep.jobs) - skipped.total(), 'job')}, at most {counted(episodes, 'episode')} of "
        f"{counted(decisions, 'decision')}: roughly {readable(seconds)} on two cores. "
        "Finished episodes are kept; run the same command again to resume.",
        flush=True,
    )
    return [estimate.seconds for estimate in estimates]


def _launched(program: str, words: list[str], task: TaskFunction, progress: SweepProgress, launcher: str) -> list[str]:
    """Has Hydra run the jobs; returns a line for each that failed, whatever became of its process."""
    engine = GlobalHydra.instance().hydra
    assert engine is not None
    try:
        with lost_jobs.reported_by(Failure) if launcher.startswith("submitit") else nullcontext():
            batches = engine.multirun(program, task, words, with_log_configuration=False)
    except BrokenProcessPool as error:  # joblib, whose pool ends with any of its processes
        return [
            f"one of the processes was killed: {str(error).splitlines()[0]} "
            "Finished jobs keep their results, the others are missing; run the command again"
        ]
    except ValueError as error:
        if progress.jobs:
            raise
        return [f"the search ended without a result: {error}"]  # Optuna, where no trial had a value
    returned = [job for batch in batches or [] for job in batch]
    return [
        progress.label(number, job.overrides or []) + job.return_value.cause
        for number, job in enumerate(returned)
        if isinstance(job.return_value, Failure)
    ]


def _report(sweep: Path) -> list[str]:
    # matplotlib loads only when there is something to draw.
    from report.make import make

    try:
        report = make([sweep], sweep / FOLDER)
        print("\n".join(["", *report.lines, "", f"report: {report.page.absolute()}"]))
    except (UserError, OSError) as error:
        return [f"no report: {error}; make it with: python -m report {sweep}"]
    return []
