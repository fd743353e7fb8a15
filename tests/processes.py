"""Other processes, seen through /proc."""

import time
from collections.abc import Callable
from pathlib import Path


def wait_for(condition: Callable[[], object], process=None, seconds: float = 600) -> None:
    """Until `condition` is true, which `process`, if one is given, must make it while it runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline and (process is None or process.poll() is None)
        time.sleep(0.02)


def read(pid: int, name: str) -> str:
    """A file of /proc/<pid>; nothing of a process that has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def is_running(pid: int) -> bool:
    return "State:\tZ" not in read(pid, "status") != ""


def children(pid: int) -> list[int]:
    return [int(child) for child in read(pid, f"task/{pid}/children").split()]


def descendants(pid: int) -> list[int]:
    return [pid_ for child in children(pid) for pid_ in (child, *descendants(child))]
