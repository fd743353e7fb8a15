"""What every benchmark states of the machine that it ran on, and how its tables are given out."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

from runtime.versions import versions

ROOT = Path(__file__).resolve().parent.parent


def line() -> str:
    """Date, processor, cores, versions and commit."""
    known = versions()
    return (
        f"{date.today()}, {known['processor']}, {os.cpu_count()} cores, torch {known['torch']}, "
        f"Python {known['python']}, commit {known['commit'][:10]}"
    )


def process(benchmark: str, words: list[str], folder: Path) -> dict:
    """Arguments of subprocess for `benchmark` in a process that finds modules in `folder` before ours of that name."""
    environment = {"MUJOCO_GL": "egl"} | os.environ | {"PYTHONPATH": str(ROOT)}
    return {
        "args": [sys.executable, "-m", f"benchmarks.{benchmark}", *words],
        "cwd": folder,
        "env": environment,
        "stdout": subprocess.PIPE,
        "text": True,
    }


def publish(parts: list[str], out: Path | None) -> None:
    """Prints the parts as paragraphs and, with `out`, writes them there."""
    text = "\n\n".join(parts) + "\n"
    print(text)
    if out:
        out.write_text(text, encoding="utf-8")
