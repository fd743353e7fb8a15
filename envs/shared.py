"""An array that several processes see, in memory that has no name and so can't outlive them.

multiprocessing's shared blocks are files in /dev/shm, which stay behind when the process that owns them is killed,
and whose size containers limit. A memory file is freed by the kernel with its last descriptor.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile

import numpy as np


def create() -> int:
    """File descriptor of a new, empty shared file; it can be handed to child processes."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("envs", 0)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def resize(descriptor: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Makes the file as large as such an array."""
    os.ftruncate(descriptor, math.prod(shape) * np.dtype(dtype).itemsize)


def attach(descriptor: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The file's contents as an array; zeros until someone writes."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(descriptor, size), dtype).reshape(shape)
