"""Other processes: Python in one of its own, and what is seen of any through /proc."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def python(*words, cwd: Path = ROOT, code: int = 0, **env: str | None) -> subprocess.CompletedProcess[str]:
    """`python <words>` with the checkout on its path and one thread; its exit code must be `code`. None in `env` leaves
    a variable out."""
    given = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | env
    given = {name: value for name, value in given.items() if value is not None}
    done = subprocess.run([sys.executable, *map(str, words)], cwd=cwd, env=given, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done


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
