"""Lossless compression between neighbouring frames of an episode, decoded window by window when a batch is sampled.

Every KEY-th frame is kept whole, the others as their difference (mod 256) from the frame before, each compressed
with Zstandard. On DeepMind Control tasks most pixels don't change from one decision to the next;
docs/tables/speed.md has the bytes and the milliseconds that KEY and LEVEL were chosen by.
"""

import threading
from dataclasses import dataclass

import numpy as np
import zstandard

from snn.cpu.jit import jit

KEY = 8
LEVEL = -1
_local = threading.local()


@dataclass(frozen=True)
class PackedFrames:
    """Frames uint8 [N, *element shape], compressed one after another in `data`; `ends`: int64 [N], where each ends."""

    shape: tuple[int, ...]
    data: np.ndarray
    ends: np.ndarray


def pack(frames: np.ndarray) -> PackedFrames:
    """Compresses frames uint8 [N, ...]."""
    deltas = frames.copy()
    deltas[1:] -= frames[:-1]
    deltas[::KEY] = frames[::KEY]
    compress = zstandard.ZstdCompressor(level=LEVEL).compress
    parts = [compress(delta.tobytes()) for delta in deltas]
    ends = np.cumsum([len(part) for part in parts]).astype(np.int64)
    return PackedFrames(frames.shape, np.frombuffer(b"".join(parts), np.uint8), ends)


def unpack_window(frames: PackedFrames, first: int, last: int, out: np.ndarray) -> int:
    """Decodes the frames `first` ... `last`, from the whole frame before `first` on (up to KEY - 1 more), into `out`.

    Returns the number of the frame at out[0].
    """
    begin = first // KEY * KEY
    ends = [0, *frames.ends[: last + 1].tolist()] if begin == 0 else frames.ends[begin - 1 : last + 1].tolist()
    # One per thread: an instance must not be used by two threads at once.
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    decompress, data = _local.decompressor.decompress, frames.data
    parts = [decompress(data[start:end]) for start, end in zip(ends, ends[1:])]
    _accumulate(np.frombuffer(b"".join(parts), np.uint8).reshape(len(parts), -1), KEY, out.reshape(len(out), -1))
    return begin


@jit()
def _accumulate(deltas: np.ndarray, key: int, out: np.ndarray) -> None:
    """out[i] = deltas[i] for every key-th frame, out[i-1] + deltas[i] mod 256 for the others."""
    for i in range(len(deltas)):
        if i % key == 0:
            out[i] = deltas[i]
        else:
            for j in range(deltas.shape[1]):
                out[i, j] = out[i - 1, j] + deltas[i, j]
