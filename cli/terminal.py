"""Printing: no run ends because its reader is gone or its encoding lacks a letter, and each line of a sweep's jobs
names its job."""

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any, TextIO

# A pipe whose reader has gone, and a terminal that was closed.
_GONE = (errno.EPIPE, errno.EIO)


def outlast() -> None:
    """Has standard output and error go on after whoever reads them is gone; errors go to the output if they are closed.

    A letter that their encoding lacks becomes a question mark. Does nothing to streams that someone has put in their
    place, nor a second time.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # or the next file opened would take the number, and be printed to
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            stream.reconfigure(errors="replace")
            setattr(sys, name, _Stream(stream))
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")
    sys.stderr = sys.stderr or sys.stdout


def labelled(label: str) -> redirect_stdout[Any]:
    """While this lasts, each line on standard output begins with `label`."""
    stream: Any = _Stream(sys.stdout, label)  # all that print and tqdm use of a stream
    return redirect_stdout(stream)


class _Stream:
    def __init__(self, stream: TextIO, label: str = ""):
        self._stream, self._label, self._begins = stream, label, True

    def write(self, text: str) -> int:
        lines = text.splitlines(keepends=True)
        begins = [self._begins, *(line.endswith("\n") for line in lines)]
        self._begins = begins[-1]
        # In one piece, since other processes write to the same terminal.
        text = "".join(self._label * begin + line for begin, line in zip(begins, lines))
        self._lasting(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._lasting(self._stream.flush)

    def _lasting(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except OSError as error:
            if error.errno not in _GONE:
                raise
            # The descriptor itself, so that what is still in the buffer goes there too.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
