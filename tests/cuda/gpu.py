"""The CUDA device of the tests: this machine's, where torch has one, else a pretended one.

with gpu() as log: ...                         networks, in this process
python -m tests.cuda LOG train.py task=...     a whole program; LOG gets what `Log` counted, as JSON
"""

import contextlib
import sys
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import torch

REAL = torch.cuda.is_available()
_ROOT = str(Path(__file__).resolve().parents[2])


class Log:
    """`waits` of the host, by file:line of ours; `pinned`, bytes copied into page-locked memory, by thread; `devices`,
    what was made the current one, in order."""

    def __init__(self) -> None:
        self.waits: Counter[str] = Counter()
        self.pinned: Counter[str] = Counter()
        self.devices: list[str] = []

    def wait(self, *_: object, **__: object) -> None:
        self.waits[_line()] += 1

    def pin(self, tensor: torch.Tensor) -> None:
        self.pinned[threading.current_thread().name.partition("_")[0]] += tensor.nbytes


def _line() -> str:
    for frame, line in traceback.walk_stack(sys._getframe()):
        file = frame.f_code.co_filename
        if file.startswith(_ROOT) and "/.venv/" not in file and "/tests/cuda/" not in file:
            return f"{file.removeprefix(_ROOT)}:{line}"
    return "elsewhere"


_in_use: list[Log] = []


def log_in_use() -> Log:
    """What a script that runs on the device asks for."""
    return _in_use[-1]


@contextlib.contextmanager
def gpu() -> Iterator[Log]:
    """The device is there, in all threads that start inside."""
    if REAL:
        device = _counted()
    else:
        from tests.cuda.pretended import pretend

        device = pretend()
    with device as log:
        _in_use.append(log)
        try:
            yield log
        finally:
            _in_use.pop()


@contextlib.contextmanager
def _counted() -> Iterator[Log]:
    """torch itself warns of each call that waits for the GPU."""
    log, pin, choose = Log(), torch.Tensor.pin_memory, torch.cuda.set_device

    def pinned(tensor: torch.Tensor, *words: object) -> torch.Tensor:
        log.pin(tensor)
        return pin(tensor, *words)

    def chosen(device: torch.device) -> None:
        log.devices.append(str(device))
        choose(device)

    with (
        warnings.catch_warnings(),
        mock.patch.object(torch.Tensor, "pin_memory", pinned),
        mock.patch.object(torch.cuda, "set_device", chosen),
        mock.patch.object(warnings, "showwarning", log.wait),
    ):
        warnings.filterwarnings("always", "called a synchronizing CUDA operation")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield log
        finally:
            torch.cuda.set_sync_debug_mode("default")
