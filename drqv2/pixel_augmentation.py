"""Compiled assembly of a batch of pictures from episodes in memory: stacked and shifted in one pass."""

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
    """Stacks of `stack` frames ending at the decisions `steps`, shifted as DrQ-v2's random-shift augmentation does.

    contents: what holds the episodes, uint8 [N]; starts: int64 [B], where in it each sample's episode begins (or would,
    if only a window of it is there), before which its first frame repeats.
    shifts: int64 [B, 2], (down, right) in 0..2·pad, of the crop inside the image padded by `pad` with its border
    pixels (Yarats et al. 2021, Section 3.1: bilinear interpolation at whole-pixel shifts is this crop).
    out: uint8 [≥ B, stack·channels, size, size], oldest frame first; rows: int64 [B], where in it they go.
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
