"""Lossless compression between neighbouring frames of an episode, decoded window by window when a batch is sampled.

Every KEY-th frame is kept whole, the others as their difference (mod 256) from the frame before, each compressed
with Zstandard. On DeepMind Control tasks most pixels don't change from one decision to the next;
docs/performance.md has the bytes and the milliseconds that KEY and LEVEL were chosen by.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
import zstandard

KEY = 8
LEVEL = -1
_local = threading.local()


@dataclass(frozen=True)
class PackedFrames:
    """Frames uint8 [N, *element shape], compressed one after another in `data`; `ends`: int64 [N], where each ends."""

    shape: tuple[int, ...]
    data: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return self.shape[0]


def pack(frames: np.ndarray) -> PackedFrames:
    """Compresses frames uint8 [N, ...]."""
    deltas = frames.copy()
    deltas[1:] -= frames[:-1]
    deltas[::KEY] = frames[::KEY]
    compress = zstandard.ZstdCompressor(level=LEVEL).compress
    parts = [compress(delta.tobytes()) for delta in deltas]
    ends = np.cumsum([len(part) for part in parts]).astype(np.int64)
    return PackedFrames(frames.shape, np.frombuffer(b"".join(parts), np.uint8), ends)


def window_length(span: int) -> int:
    """The most frames that decoding a window of `span` frames takes: it begins at the whole frame before it."""
    return span + KEY - 1


def unpack_windows(
    episodes: list[PackedFrames],
    first: np.ndarray,
    last: np.ndarray,
    out: np.ndarray,
    pool: ThreadPoolExecutor | None = None,
) -> np.ndarray:
    """Frames first[b] ... last[b] of episodes[b], from the whole frame before first[b] on, into out[b].

    out: uint8 [B, window_length(span), ...]. Returns int64 [B]: the number of the frame at out[b, 0].
    """
    begins = first // KEY * KEY

    def one(b: int) -> None:
        packed, begin = episodes[b], begins[b]
        ends = packed.ends[max(0, begin - 1) : last[b] + 1].tolist()
        starts = [0, *ends[:-1]] if begin == 0 else ends[:-1]
        decompress, data = _decompressor().decompress, packed.data
        parts = [decompress(data[start:end]) for start, end in zip(starts, ends if begin == 0 else ends[1:])]
        deltas = np.frombuffer(b"".join(parts), np.uint8).reshape(len(parts), -1)
        _accumulate(deltas, KEY, out[b].reshape(out.shape[1], -1))

    list((pool.map if pool else map)(one, range(len(episodes))))
    return begins


def _decompressor() -> zstandard.ZstdDecompressor:
    # One per thread: an instance must not be used by two threads at once.
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    return _local.decompressor


@numba.njit(cache=True, nogil=True)
def _accumulate(deltas, key, out):
    """out[i] = deltas[i] for every key-th frame, out[i-1] + deltas[i] mod 256 for the others."""
    for i in range(len(deltas)):
        if i % key == 0:
            out[i] = deltas[i]
        else:
            for j in range(deltas.shape[1]):
                out[i, j] = out[i - 1, j] + deltas[i, j]
