"""Work divided over torch's number of threads, for compiled functions that release the interpreter's lock."""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def bounds(count: int, least: int) -> list[int]:
    """`count` pieces of work cut into a contiguous range per thread: [0, ..., count]. `least` pieces a thread, or fewer
    threads: a second one costs more than it brings where there is little to do."""
    threads = max(1, min(torch.get_num_threads(), count // max(1, least)))
    return [count * i // threads for i in range(threads + 1)]


def together(jobs: list[Callable[[], None]]) -> None:
    """Runs all jobs, the first one here; returns when the last is done."""
    waiting = [_pool(len(jobs)).submit(job) for job in jobs[1:]]
    jobs[0]()
    for job in waiting:
        job.result()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="snn-kernel")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
