"""What a result was computed with: package versions, this project's commit, the machine."""

import functools
import platform
import re
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path

_PACKAGES = ("torch", "numpy", "numba", "mujoco", "dm_control", "gymnasium", "hydra-core")


@functools.cache
def versions() -> dict[str, str]:
    """Name → version of Python, the packages that results depend on, this project's commit, system and processor."""
    return {
        "python": platform.python_version(),
        **{package: _version(package) for package in _PACKAGES},
        "commit": _commit(),
        "platform": platform.platform(),
        "processor": _processor(),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def _commit() -> str:
    describe = ["git", "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+changes"]
    try:
        return subprocess.run(
            describe, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _processor() -> str:
    with suppress(OSError):
        if named := re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8")):
            return named[1]
    return platform.processor() or "unknown"
