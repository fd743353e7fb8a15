"""Synapses driven by events, on the CPU: work for the spikes that there are and none for those that aren't.

A trained policy's units fire at 0.5 to 10 % of the simulation steps, so that a dense convolution mostly multiplies by
zero. Here each spike adds its weights to the outputs that it reaches. For every output the spikes come in the order of
rows, columns and channels, whatever else is in the batch and however it is divided over threads. Measured figures:
docs/performance.md.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snn.cpu import threads
from snn.cpu.jit import jit
from snn.cpu.kernels import BLOCK
from snn.graph.operations import Op, Shape

_MIN_PLANES = 4  # planes (one step of one environment) below which a second thread costs more than it brings


@dataclass
class Events:
    """A layer's spikes in S steps of R environments of U units, block by block of `kernels.BLOCK` units.

    values  [S, R, U]       of a block's spikes, closed up at the block's beginning; what follows them means nothing
    units   [S, R, U]       uint16, which unit of its block each is of, ascending
    fired   [S, R, blocks]  int32, how many there are
    active  [R]             environments that decide; what the others' spikes would make is left undefined
    """

    values: Tensor
    units: np.ndarray
    fired: np.ndarray
    active: np.ndarray

    @classmethod
    def room(cls, values: Tensor, active: Tensor) -> "Events":
        """Uninitialised, in `values` [S, R, U]."""
        steps, rows, units = values.shape
        blocks = math.ceil(units / BLOCK)
        return cls(values, np.empty(values.shape, np.uint16), np.empty((steps, rows, blocks), np.int32), active.numpy())


NOTHING = np.empty((0, 0, 0), np.uint16), np.empty((0, 0, 0), np.int32)  # `units` and `fired` where spikes stay dense


def prepared(
    op: Op, weight: Tensor | None, device: torch.device, in_shape: Shape, out_shape: Shape
) -> Callable[[Events], Tensor] | None:
    """What computes `op`, without its bias, from events: W x, [S, R, units out] in memory order (height, width,
    channel), undefined where `active` is false. None where dense arithmetic does it better.

    weight: the operation's, in float32 or float64, a linear layer's columns in memory order.
    Event by event are computed: convolutions that are neither grouped nor dilated and padded by numbers, and linear
    layers behind a convolution. Those behind a linear layer are small, and rows of a batch share their weights.
    """
    if device.type != "cpu" or len(in_shape) != 3 or weight is None:
        return None
    if op.kind == "linear":
        return functools.partial(_by_planes, _linear_kernel, len(weight), (weight.T.contiguous().numpy(),))
    a = op.args
    if op.kind != "conv2d" or a["groups"] != 1 or list(a["dilation"]) != [1, 1] or isinstance(a["padding"], str):
        return None
    stride, (height, width) = a["stride"], weight.shape[2:]
    # Columns by their remainder mod the stride: a spike reaches those of one remainder, from the last to the first,
    # at neighbouring outputs. So its weights for a row of outputs lie next to each other, as these outputs do.
    taps = [list(range(remainder, width, stride[1]))[::-1] for remainder in range(stride[1])]
    order = [column for columns in taps for column in columns]
    first = np.cumsum([0, *map(len, taps)]).astype(np.int64)
    ordered = weight[:, :, :, order].permute(1, 2, 3, 0).contiguous().numpy().reshape(-1)
    sizes = np.array([*in_shape, *out_shape, height, width, *stride, *a["padding"]], np.int64)
    return functools.partial(_by_planes, _convolution_kernel, math.prod(out_shape), (ordered, first, sizes))


def _by_planes(
    kernel: Callable[[], Callable], out_units: int, arrays: tuple[np.ndarray, ...], events: Events
) -> Tensor:
    """The kernel's result, its planes (one step of one environment each) divided over threads."""
    values = events.values.numpy()
    steps, rows, units = values.shape
    planes = steps * rows
    out = events.values.new_empty(steps, rows, out_units)
    spikes = values.reshape(planes, units), events.units.reshape(planes, units), events.fired.reshape(planes, -1)
    everything = (events.active, *spikes, *arrays, out.numpy().reshape(planes, out_units))
    threads.divided(functools.partial(kernel(), *everything), planes, _MIN_PLANES)
    return out


# Multiply and add in one operation, rounded once, as dense arithmetic does.
_OPTIONS = {"error_model": "numpy", "fastmath": {"contract"}}


@functools.cache
def _linear_kernel() -> Callable:
    block_size = BLOCK  # a variable of this function, so that kernels on disk are of the same size

    def kernel(active, values, units, fired, weight, out, lo, hi):
        size = out.shape[1]
        for plane in range(lo, hi):
            if not active[plane % len(active)]:
                continue
            target = out[plane]
            for i in range(size):
                target[i] = 0
            for block in range(fired.shape[1]):
                u0 = block * block_size
                for j in range(u0, u0 + fired[plane, block]):
                    row, value = weight[u0 + units[plane, j]], values[plane, j]
                    for i in range(size):
                        target[i] += value * row[i]

    return jit(**_OPTIONS)(kernel)


@functools.cache
def _convolution_kernel() -> Callable:
    block_size = BLOCK

    def kernel(active, values, units, fired, weight, first, sizes, out, lo, hi):
        channels, width = sizes[0], sizes[2]
        out_channels, out_height, out_width = sizes[3], sizes[4], sizes[5]
        kernel_height, kernel_width, stride_y, stride_x, pad_y, pad_x = sizes[6:12]
        row_size = kernel_width * out_channels  # weights of one channel and one row of the kernel
        at = np.zeros(4, np.int64)
        value = np.zeros(4, values.dtype)
        for plane in range(lo, hi):
            if not active[plane % len(active)]:
                continue
            for i in range(out.shape[1]):
                out[plane, i] = 0
            for block in range(fired.shape[1]):
                u0, n, j = block * block_size, fired[plane, block], 0
                while j < n:
                    # The next up to four spikes of one place: their weights are added in one pass over the outputs.
                    place = (u0 + units[plane, u0 + j]) // channels
                    begin, end = place * channels, (place + 1) * channels
                    y = place // width + pad_y
                    x = place % width + pad_x
                    phase = x % stride_x
                    right = x // stride_x
                    left = right - (first[phase + 1] - first[phase]) + 1
                    skip = max(0, -left)
                    left, right = max(left, 0), min(right, out_width - 1)
                    size = max(0, right - left + 1) * out_channels
                    offset = (first[phase] + skip) * out_channels
                    found = 0
                    while found < 4 and j < n and u0 + units[plane, u0 + j] < end:
                        at[found] = (u0 + units[plane, u0 + j] - begin) * kernel_height * row_size + offset
                        value[found] = values[plane, u0 + j]
                        found += 1
                        j += 1
                    for k in range(found, 4):
                        at[k] = at[0]
                        value[k] = 0
                    a, b, c, d = value[0], value[1], value[2], value[3]
                    top = y - stride_y * min(y // stride_y, out_height - 1)  # row of the kernel that reaches lowest
                    for row in range(top, min(kernel_height, y + 1), stride_y):
                        out_y = (y - row) // stride_y
                        o, s = (out_y * out_width + left) * out_channels, row * row_size
                        target = out[plane, o : o + size]
                        w0 = weight[at[0] + s : at[0] + s + size]
                        if found == 1:
                            for i in range(size):
                                target[i] += a * w0[i]
                        else:
                            w1 = weight[at[1] + s : at[1] + s + size]
                            w2 = weight[at[2] + s : at[2] + s + size]
                            w3 = weight[at[3] + s : at[3] + s + size]
                            for i in range(size):
                                target[i] = (((target[i] + a * w0[i]) + b * w1[i]) + c * w2[i]) + d * w3[i]

    return jit(**_OPTIONS)(kernel)
