"""sweep.json: what a sweep set out to do, written before its first job, so that a report can tell what is missing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runtime.errors import UserError
from runtime.files import write_json

PLAN = "sweep.json"
VERSION = 1


@dataclass(frozen=True)
class PlannedJob:
    """One job. `folder` is relative to the sweep's; `skipped`: why it will do nothing, None where it runs."""

    folder: str
    config: dict[str, Any]
    skipped: str | None = None


@dataclass(frozen=True)
class Plan:
    """`command`: the words of the command line; `jobs`: in the order in which they run."""

    command: list[str]
    jobs: list[PlannedJob]


def write(plan: Plan, sweep: str | Path) -> Path:
    """Writes sweep.json into the sweep's folder, atomically."""
    path = Path(sweep) / PLAN
    write_json(path, {"version": VERSION, **asdict(plan)})
    return path


def read(path: str | Path) -> Plan:
    """Reads a sweep.json. Raises UserError, one line, where it isn't one."""
    try:
        document = json.loads(Path(path).read_bytes())
        if document.pop("version") != VERSION:
            raise ValueError(f"its version is not {VERSION}")
        return Plan(list(document["command"]), [PlannedJob(**job) for job in document["jobs"]])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a readable plan of a sweep ({error})") from None
