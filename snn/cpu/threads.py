"""Work divided over torch's number of threads, for compiled functions that release the interpreter's lock."""

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def divided(job: Callable[[int, int], T], count: int, least: int) -> list[T]:
    """`job(lo, hi)` for contiguous ranges of `count` pieces of work, one a thread, the first one's here; their results.
    `least` pieces a thread, or fewer threads: a second one costs more than it brings where there is little to do."""
    threads = max(1, min(torch.get_num_threads(), count // max(1, least)))
    first, *others = itertools.pairwise(count * i // threads for i in range(threads + 1))
    waiting = [_pool(threads).submit(job, lo, hi) for lo, hi in others]
    return [job(*first), *(done.result() for done in waiting)]


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="snn-kernel")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
