"""What the jobs of a sweep give back, wherever Hydra's launcher ran them: here, in other processes, on other machines.

Hydra hands a job's return value to its sweeper only, and a launcher whose job was killed raises, which would end the
sweep without its report. So a launcher of ours stands between the two while a sweep runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher


@dataclass(frozen=True)
class Failure:
    """What a failed job returns: why it failed, and which terminal or file has been told (device and inode)."""

    cause: str
    told: tuple[int, int] | None = None


@dataclass
class Sweep:
    """`failures`: one line for each job that failed."""

    failures: list[str] = field(default_factory=list)


def stderr() -> tuple[int, int] | None:
    """Which file this process's error lines go to."""
    try:
        status = os.fstat(2)
        return status.st_dev, status.st_ino
    except OSError:
        return None


@contextmanager
def watched() -> Iterator[Sweep]:
    """While this lasts, what Hydra's launchers bring back is noted in the `Sweep`."""
    sweep, original = Sweep(), Plugins.instantiate_launcher

    def instantiate(plugins: Plugins, *args: Any, **kwargs: Any) -> Any:
        return _Watched(original(plugins, *args, **kwargs), sweep)

    Plugins.instantiate_launcher = instantiate  # type: ignore[method-assign]
    try:
        yield sweep
    finally:
        Plugins.instantiate_launcher = original  # type: ignore[method-assign]


class _Watched:
    """A launcher as its sweeper sees it: `launch` returns, whatever became of the jobs."""

    def __init__(self, launcher: Launcher, sweep: Sweep):
        # Kept as it is: submitit sends the launcher itself to its jobs.
        self._launcher, self._sweep = launcher, sweep

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        try:
            with _submitit_goes_on(self._launcher):
                returns = self._launcher.launch(job_overrides, initial_job_idx=initial_job_idx)
        except BrokenProcessPool as error:  # joblib, whose pool ends with any of its processes
            first, last = initial_job_idx, initial_job_idx + len(job_overrides) - 1
            cause = f"one of the processes of jobs {first} to {last} was killed: {str(error).splitlines()[0]}"
            self._note(
                Failure(f"{cause} Finished jobs keep their results, the others are missing; run the command again")
            )
            return [_returned(None) for _ in job_overrides]
        for number, one in enumerate(returns, initial_job_idx):
            if isinstance(one.return_value, Failure):
                self._note(one.return_value, f"job {number}: ")
        return returns

    def _note(self, failure: Failure, where: str = "") -> None:
        self._sweep.failures.append(failure.cause)
        if failure.told is None or failure.told != stderr():
            print(f"error: {where}{failure.cause}", file=sys.stderr)


def _returned(value: Any) -> JobReturn:
    job = JobReturn()
    job.status, job.return_value = JobStatus.COMPLETED, value
    return job


@contextmanager
def _submitit_goes_on(launcher: Launcher) -> Iterator[None]:
    """Of several submitit jobs, one that left no result returns a `Failure`; the plugin would raise and forget the rest."""
    if "submitit" not in type(launcher).__module__:
        yield
        return
    from submitit.core import core, utils

    original = core.Job.results

    def results(job: core.Job) -> list[Any]:
        try:
            return original(job)
        except (utils.UncompletedJobError, utils.FailedJobError) as error:
            return [_returned(Failure(_why_lost(job, error)))]

    core.Job.results = results  # type: ignore[method-assign]
    try:
        yield
    finally:
        core.Job.results = original  # type: ignore[method-assign]


def _why_lost(job: Any, error: Exception) -> str:
    from submitit.core import utils

    log = f"its log: {job.paths.stderr}"
    if isinstance(error, utils.FailedJobError):
        # Its own traceback stands between two rules; the last line says what it died of.
        trace = str(error).split("-" * 22)[1:2] or [str(error)]
        return f"submitit's job {job.job_id} failed: {trace[0].strip().splitlines()[-1]}; {log}"
    return f"submitit's job {job.job_id} ended without a result, killed or out of time; {log}"
