"""What the benchmarks share: contenders that take turns on one machine, and tables that say which machine it was."""

import argparse
import contextlib
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from runtime import arguments
from runtime.versions import versions

ROOT = Path(__file__).resolve().parent.parent
OUT = {"type": Path, "help": "also write the tables here"}
DEVICE = {"choices": ["cpu", "cuda"], "default": "cpu", "help": "where the networks compute, on both sides"}


def options(description: str, **keywords: dict[str, Any]) -> argparse.Namespace:
    """The command line: by option its keywords for argparse."""
    named = {f"--{name.replace('_', '-')}": keywords for name, keywords in keywords.items()}
    return arguments.parser(description, named).parse_args()


def peer_folder(file: str, repository: str) -> dict[str, Any]:
    """The option --peer: a folder with `file`, of a checkout of `repository`."""

    def folder(text: str) -> Path:
        if not (Path(text) / file).is_file():
            raise argparse.ArgumentTypeError(f"{text} has no {file}")
        return Path(text).absolute()

    return {"type": folder, "required": True, "help": f"the folder of {file} in a checkout of {repository}"}


class Contender(contextlib.AbstractContextManager):
    """A process that finds modules in `folder` before ours of that name, and sleeps until it is asked.

    There benchmarks.<benchmark>.<function>(**arguments) gives what measures: repeats → a figure.
    """

    def __init__(self, benchmark: str, function: str, folder: Path = ROOT, **arguments: Any) -> None:
        environment = {"MUJOCO_GL": "egl"} | os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "benchmarks.contenders", benchmark, function, json.dumps(arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=folder, env=environment, **pipes)
        if self._line("ready") is None:
            raise SystemExit(f"{function} {arguments}: didn't start; see its message above")

    def ask(self, number: int) -> float:
        """What it measures over so many repeats."""
        print(number, file=self._process.stdin, flush=True)
        return float(self._line("measured"))

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self, start: str) -> str | None:
        # Peers print more than what they are asked.
        return next((line.removeprefix(start) for line in self._process.stdout if line.startswith(start)), None)


def serve(benchmark: str, function: str, arguments: str) -> None:
    """The contender's side: answers each line, a number of repeats, by what is measured."""
    measure = getattr(importlib.import_module(f"benchmarks.{benchmark}"), function)(**json.loads(arguments))
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
    turns = [{name: measure() for name, measure in contenders.items()} for _ in range(rounds)]
    return {name: [turn[name] for turn in turns] for name in contenders}


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def table(figures: dict[str, list[float]], unit: str, bases: Sequence[str], higher_is_better: bool = True) -> str:
    """A row for each contender, with how many times better than each of `bases` it is."""
    median = {name: statistics.median(values) for name, values in figures.items()}
    rows = []
    for name, values in figures.items():
        ratios = [(median[name] / median[base]) ** (1 if higher_is_better else -1) for base in bases]
        spread = f"{median[name]:.1f} ({min(values):.1f}-{max(values):.1f})"
        rows.append([name, spread, *(f"{ratio:.2f}×" for ratio in ratios)])
    against = [f"against the {base.replace(',', '')}" for base in bases]
    return markdown(["", f"{unit}, median (min-max)", *against], rows)


def publish(parts: Sequence[str], out: Path | None) -> None:
    """Prints date, processor, GPU, cores, versions, commit and the parts as paragraphs; writes them to `out`, too."""
    import torch

    known = versions()
    gpu = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
    machine = (
        f"{date.today()}, {known['processor']}, {os.cpu_count()} cores, {gpu}torch {known['torch']}, "
        f"Python {known['python']}, commit {known['commit'][:10]}"
    )
    text = "\n\n".join([machine, *parts]) + "\n"
    print(text)
    if out:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    serve(*sys.argv[1:])
