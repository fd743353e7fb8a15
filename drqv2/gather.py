"""Compiled assembly of a batch from episodes in memory: rows of states; images, stacked and shifted in one pass.

contents: what holds the episodes, uint8 [N] or float32 [N]. starts: int64 [B], the place in it at which each sample's
episode begins (or would, if only a window of it is there). steps: int64 [B], the decisions whose observations are
wanted. rows: int64 [B], where in `out` they go.
"""

from __future__ import annotations

import numba
import numpy as np

from snn.cpu.jit import jit


@jit(parallel=True)
def gather_shifted(
    contents: np.ndarray,
    starts: np.ndarray,
    steps: np.ndarray,
    rows: np.ndarray,
    stack: int,
    pad: int,
    shifts: np.ndarray,
    out: np.ndarray,
) -> None:
    """Stacks of `stack` frames ending at `steps`, shifted as DrQ-v2's random-shift augmentation does.

    Before an episode's start its first frame repeats.
    shifts: int64 [B, 2], (down, right) in 0..2·pad, of the crop inside the image padded by `pad` with its border
    pixels (Yarats et al. 2021, Section 3.1: bilinear interpolation at whole-pixel shifts is this crop).
    out: uint8 [≥ B, stack·channels, size, size], oldest frame first.
    """
    channels, size = out.shape[1] // stack, out.shape[2]
    frame_bytes = channels * size * size
    for b in numba.prange(len(steps)):
        down = shifts[b, 0] - pad
        right = shifts[b, 1] - pad
        low = max(0, -right)  # output columns low..high come from inside the image, the rest repeats its border
        high = min(size, size - right)
        for k in range(stack):
            start = starts[b] + max(0, steps[b] - (stack - 1 - k)) * frame_bytes
            frame = contents[start : start + frame_bytes].reshape((channels, size, size))
            for c in range(channels):
                for y in range(size):
                    source = frame[c, min(max(y + down, 0), size - 1)]
                    target = out[rows[b], k * channels + c, y]
                    # Slices rather than loops over x: with the index check gone they become plain copies.
                    target[low:high] = source[low + right : high + right]
                    target[:low] = source[0]
                    target[high:] = source[size - 1]


# Not parallel: a batch of rows is copied in microseconds, and a second thread's waiting would take a core from others.
@jit()
def gather_rows(contents: np.ndarray, starts: np.ndarray, steps: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    """States [D] of the decisions `steps`; out: float32 [≥ B, D]."""
    width = out.shape[1]
    for b in range(len(steps)):
        start = starts[b] + steps[b] * width
        out[rows[b]] = contents[start : start + width]
