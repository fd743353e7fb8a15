"""sweep.json: what a sweep set out to do, written before its first job, so that a report can tell what is missing."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ValidationError, model_validator

from evaluation.result import finite
from runtime.errors import UserError
from runtime.schema import Document, Record

PLAN = "sweep.json"


class PlannedJob(Record):
    """One job. `folder` is relative to the sweep's; `skipped`: why it will do nothing, None where it runs."""

    folder: str
    config: Annotated[dict[str, Any], BeforeValidator(finite)]
    skipped: str | None = None


class SweepPlan(Document):
    """`command`: the words of the command line; `jobs`: in the order in which they run, each in a folder of its own."""

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
