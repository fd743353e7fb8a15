"""What the benchmarks share: contenders that take turns on one machine, and tables that say which machine it was."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from runtime.versions import versions

ROOT = Path(__file__).resolve().parent.parent


class Contender:
    """A process that finds modules in `folder` before ours of that name, and sleeps until it is asked."""

    def __init__(self, benchmark: str, words: str, folder: Path = ROOT) -> None:
        environment = {"MUJOCO_GL": "egl"} | os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", f"benchmarks.{benchmark}", *words.split()]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=folder, env=environment, **pipes)
        if self._line("ready") is None:
            raise SystemExit(f"{words}: didn't start; see its message above")

    def ask(self, number: int) -> float:
        """What it measures over so many repeats."""
        print(number, file=self._process.stdin, flush=True)
        return float(self._line("measured"))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self, start: str) -> str | None:
        # Peers print more than what they are asked.
        return next((line.removeprefix(start) for line in self._process.stdout if line.startswith(start)), None)


def asked_once(benchmark: str, words: str, folder: Path, number: int) -> float:
    """What a contender that is started for it measures."""
    with contextlib.closing(Contender(benchmark, words, folder)) as contender:
        return contender.ask(number)


def serve(measure: Callable[[int], float]) -> None:
    """The contender's side: answers each line, a number of repeats, by what `measure` makes of it."""
    print("ready", flush=True)
    for line in sys.stdin:
        print("measured", measure(int(line)), flush=True)


def milliseconds(work: Callable[[int], object], batch: int = 1) -> Callable[[int], float]:
    """Milliseconds of one of so many repeats of `work(number)`, which does `batch` of them at once."""
    work(0)
    work(1)

    def measure(repeats: int) -> float:
        calls = max(1, repeats // batch)
        begun = time.perf_counter()
        for number in range(calls):
            work(number)
        return (time.perf_counter() - begun) / (calls * batch) * 1e3

    return measure


def in_turns(rounds: int, contenders: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """One figure a round of each, the contenders taking turns."""
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            figures[name].append(measure())
    return figures


def table(figures: dict[str, list[float]], unit: str, bases: Sequence[str], higher_is_better: bool = True) -> str:
    """A row for each contender, with how many times better than each of `bases` it is."""
    median = {name: statistics.median(values) for name, values in figures.items()}
    against = " | ".join(f"against the {base.replace(',', '')}" for base in bases)
    lines = [f"| | {unit}, median (min-max) | {against} |", "|---" * (2 + len(bases)) + "|"]
    for name, values in figures.items():
        ratios = [(median[name] / median[base]) ** (1 if higher_is_better else -1) for base in bases]
        spread = f"{median[name]:.1f} ({min(values):.1f}-{max(values):.1f})"
        lines.append(f"| {name} | {spread} | " + " | ".join(f"{ratio:.2f}×" for ratio in ratios) + " |")
    return "\n".join(lines)


def publish(parts: Sequence[str], out: Path | None) -> None:
    """Prints date, processor, cores, versions, commit and the parts as paragraphs; writes them to `out`, too."""
    known = versions()
    machine = (
        f"{date.today()}, {known['processor']}, {os.cpu_count()} cores, torch {known['torch']}, "
        f"Python {known['python']}, commit {known['commit'][:10]}"
    )
    text = "\n\n".join([machine, *parts]) + "\n"
    print(text)
    if out:
        out.write_text(text, encoding="utf-8")
