"""Compiled assembly of a batch from episodes in mapped memory: frame stacking and image shifts in one pass."""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def _pointer(typingctx, address):
    """An integer address as a C pointer, which numba.carray turns into an array."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(address), codegen


@numba.njit(parallel=True, cache=True, nogil=True)
def gather_shifted(addresses, steps, stack, channels, size, pad, shifts, out):
    """Stacks of `stack` frames ending at `steps`, shifted as DrQ-v2's random-shift augmentation does.

    addresses: int64 [B], where each sample's episode's frames uint8 [L+1, channels, size, size] begin.
    steps: int64 [B], the newest frame of each stack; before an episode's start its first frame repeats.
    shifts: int64 [B, 2], (down, right) in 0..2·pad, of the crop inside the image padded by `pad` with its border
    pixels (Yarats et al. 2021, Section 3.1: bilinear interpolation at whole-pixel shifts is this crop).
    out: uint8 [B, stack·channels, size, size], oldest frame first.
    """
    pixels = size * size
    frame_bytes = channels * pixels
    for b in numba.prange(len(steps)):
        down = shifts[b, 0] - pad
        right = shifts[b, 1] - pad
        low = max(0, -right)  # output columns low..high come from inside the image, the rest repeats its border
        high = min(size, size - right)
        for k in range(stack):
            step = max(0, steps[b] - (stack - 1 - k))
            frame = numba.carray(_pointer(addresses[b] + step * frame_bytes), (channels, size, size), np.uint8)
            for c in range(channels):
                for y in range(size):
                    source = frame[c, min(max(y + down, 0), size - 1)]
                    target = out[b, k * channels + c, y]
                    # Slices rather than loops over x: with the index check gone they become plain copies.
                    target[low:high] = source[low + right : high + right]
                    target[:low] = source[0]
                    target[high:] = source[size - 1]


# Not parallel: a batch of rows is copied in microseconds, and a second thread's waiting would take a core from others.
@numba.njit(cache=True, nogil=True)
def gather_rows(addresses, steps, out):
    """Float32 rows: out[b] = the row `steps[b]` of the array [L+1, D] that begins at `addresses[b]`."""
    width = out.shape[1]
    for b in range(len(steps)):
        row = numba.carray(_pointer(addresses[b] + steps[b] * width * 4), (width,), np.float32)
        out[b] = row
