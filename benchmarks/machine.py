"""What every benchmark states of the machine that it ran on, and how its tables are given out."""

from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def line() -> str:
    """Date, processor, cores, versions and commit."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from runtime.versions import versions

    known = versions()
    return (
        f"{date.today()}, {known['processor']}, {os.cpu_count()} cores, torch {known['torch']}, "
        f"Python {known['python']}, commit {known['commit'][:10]}"
    )


def publish(parts: list[str], out: Path | None) -> None:
    """Prints the parts as paragraphs and, with `out`, writes them there."""
    text = "\n\n".join(parts) + "\n"
    print(text)
    if out:
        out.write_text(text, encoding="utf-8")
