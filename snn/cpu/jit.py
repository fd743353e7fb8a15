"""numba.njit, whose compiled code is kept on disk for the next process wherever that can be done."""

import functools
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from numba import njit


def jit(**options: Any) -> Callable[[Callable], Callable]:
    """Decorates a function as `njit(nogil=True, **options)` does, with a cache if there is room for one.

    A read-only installation for a user without a home, or a full disk, costs the compilation of every process and a
    line on standard error, not the program.
    """

    def decorate(function: Callable) -> Callable:
        try:
            kernel = njit(nogil=True, cache=True, **options)(function)
        except RuntimeError as error:  # numba knows no folder that it may write to
            reason = str(error)
        else:
            reason = _refusal(kernel.stats.cache_path)
        if not reason:
            return kernel
        _say(reason)
        return njit(nogil=True, **options)(function)

    return decorate


@functools.cache
def _refusal(folder: str) -> str:
    """Why files can't be written in `folder`; nothing where they can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**20))
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return ""


@functools.cache
def _say(reason: str) -> None:
    if _say.cache_info().misses == 1:
        print(
            f"numba: compiled code can't be kept ({reason}); every process compiles anew. "
            "NUMBA_CACHE_DIR=FOLDER names a folder that can be written",
            file=sys.stderr,
        )
