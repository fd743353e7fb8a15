"""Sweeps on submitit go on past a job that was killed.

The one place where a function of another package is replaced while the program runs: hydra-submitit-launcher 1.2.0 asks
its jobs for their results one after the other, and the first that left none (killed, out of time or memory) ends the
sweep in a traceback while others still run. tests/cli/test_launchers.py kills such a job, with the versions that
requirements.txt pins.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.utils import JobReturn, JobStatus


@contextmanager
def reported_by(failure: Any) -> Iterator[None]:
    """While this lasts, a submitit job that left no result returns `failure(cause)` to Hydra."""
    from submitit.core import core, utils

    original = core.Job.results

    def results(job: Any) -> list[Any]:
        try:
            return original(job)
        except (utils.UncompletedJobError, utils.FailedJobError) as error:
            lost = not isinstance(error, utils.FailedJobError)
            died = "killed or out of time" if lost else str(error).strip().splitlines()[-1]
            cause = f"submitit's job {job.job_id} ended without a result, {died}; its log: {job.paths.stderr}"
            returned = JobReturn()
            returned.status, returned.return_value = JobStatus.COMPLETED, failure(cause)
            return [returned]

    core.Job.results = results  # type: ignore[assignment,method-assign]  # submitit offers no hook
    try:
        yield
    finally:
        core.Job.results = original  # type: ignore[method-assign]  # as above
