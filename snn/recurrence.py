"""One layer over several simulation steps: on the CPU by the compiled kernel, elsewhere by torch.

Both take the same arguments and leave the same results; tests hold them against each other.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from snn import codings, crpi
from snn.cpu import events, kernels
from snn.cpu.kernels import M_IN, M_OUT, STATE_ROWS, C, V
from snn.device import beside
from snn.neuron import Neuron

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


@dataclass
class Block:
    """What a layer's recurrence reads and writes for R environments and S of the T steps.

    See `snn.kernels.compiled` for the arrays; here all are tensors but `units_of` and `fired_of` (numpy,
    for the compiled way only).
    """

    current: Tensor
    constant: bool
    out: Tensor
    emit: bool
    start: Tensor
    kept: Tensor
    active: Tensor
    alpha: Tensor
    state: Tensor
    theta: Tensor
    bias: Tensor
    gain: Tensor
    fan_out: Tensor
    counts: Tensor
    above: Tensor
    t0: int
    timesteps: int
    units_of: np.ndarray = field(default_factory=lambda: events.NOTHING[0])
    fired_of: np.ndarray = field(default_factory=lambda: events.NOTHING[1])

    @property
    def last(self) -> bool:
        return self.t0 + self.out.shape[0] == self.timesteps


def advance(neuron: Neuron, mode: str, block: Block) -> None:
    """Run the layer's recurrence over the block's steps, by the way that its device asks for."""
    (by_kernel if block.theta.device.type == "cpu" else by_torch)(neuron, mode, block)


def by_kernel(neuron: Neuron, mode: str, block: Block) -> None:
    """The compiled way (CPU tensors only)."""
    b = block
    kernel = kernels.compiled(
        neuron, _NUMPY[b.theta.dtype], b.current.dtype is torch.bfloat16, b.out.dtype is torch.bfloat16
    )
    arrays = (b.start, b.kept, b.active, b.alpha, b.state, b.theta, b.bias, b.gain, b.fan_out)
    spikes = (_array(b.out), b.emit, b.units_of, b.fired_of)
    head = (mode == "carry", _array(b.current), b.constant, *spikes, *map(_array, arrays))
    kernels.run(
        kernel, (b.out.shape[0], *b.kept.shape), (head, (b.t0 == 0, b.last, b.t0)), b.counts.numpy(), b.above.numpy()
    )


def _array(tensor: Tensor) -> np.ndarray:
    return (tensor.view(torch.uint16) if tensor.dtype is torch.bfloat16 else tensor).numpy()


def by_torch(neuron: Neuron, mode: str, block: Block) -> None:
    """The same with torch operations, on any device."""
    b, dtype = block, block.theta.dtype
    differential = neuron.coding is codings.DIFFERENTIAL
    v0 = crpi.initial(b.start, b.alpha[:, None], b.theta, neuron.rule, mode)
    if b.t0 == 0:
        v, c, m_in, m_out = v0, torch.zeros_like(v0), b.bias.expand_as(v0), torch.zeros_like(v0)
    else:
        v, c, m_in, m_out = b.state.clone()
    silent = ~b.active[:, None]
    for step in range(b.out.shape[0]):
        t = b.t0 + step + 1
        wx = b.current[0 if b.constant else step].to(dtype)
        if differential:
            wx = torch.zeros_like(wx) if b.constant and t > 1 else wx
            x, v, c, m_in, m_out = codings.differential_step(
                neuron.fire, neuron.slack, b.theta, wx, beside(t, wx), v, c, m_in, m_out
            )
        else:
            x, v, c = codings.rate_step(neuron.fire, neuron.slack, b.theta, wx + b.bias, v, c)
        x = torch.where(silent, torch.zeros_like(x), x)
        if b.counts.shape[1]:
            fired = x != 0
            b.counts[0, t - 1] += fired.sum(1)
            b.counts[1, t - 1] += (fired * b.fan_out).sum(1)
        if b.emit:
            b.out[step] = x if b.out.dtype is dtype else x * b.gain
    keep = b.active[:, None]
    for row, value in zip((V, C, M_IN, M_OUT), (v, c, m_in, m_out), strict=True):
        b.state[row] = torch.where(keep, value, b.state[row])
    if b.last:
        b.kept.copy_(torch.where(keep, crpi.residual(v, v0, c, mode), b.kept))
        if b.counts.shape[1]:
            mean = m_in if differential else (c - v0 + v) / beside(b.timesteps, v)
            over = (mean > b.theta) & (b.theta > 0) & keep
            b.above += over.sum(1)


def new_state(rows: int, units: int, like: Tensor) -> Tensor:
    """Room for a layer's V, C, M_IN and M_OUT, [4, rows, units]; inactive rows are never written."""
    return torch.empty(STATE_ROWS, rows, units, dtype=like.dtype, device=like.device)
