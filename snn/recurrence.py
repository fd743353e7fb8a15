"""One layer over several simulation steps: on the CPU by the compiled kernel, elsewhere by torch.

Both take the same arguments, call the same pure functions and leave the same results; tests hold them against each
other.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snn.carry import CarryRule
from snn.cpu import kernels
from snn.cpu.events import NOTHING, Events
from snn.device import beside
from snn.neuron import Neuron

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


@dataclass
class Block:
    """What a layer's recurrence reads and writes for R environments and S of the T steps.

    See `snn.cpu.kernels.compiled` for the arrays; here all are tensors. With `events`, which only the compiled way
    knows, spikes are written as such.
    """

    current: Tensor
    constant: bool
    out: Tensor
    emit: bool
    kept: Tensor
    start: Tensor
    active: Tensor
    alpha: Tensor
    state: Tensor
    decoded: Tensor
    theta: Tensor
    bias: Tensor
    gain: Tensor
    fan_out: Tensor
    t0: int
    timesteps: int
    counts: Tensor
    above: Tensor
    events: Events | None = None


def advance(neuron: Neuron, carry: CarryRule, block: Block) -> None:
    """Run the layer's recurrence over the block's steps, by the way that its device asks for."""
    (by_kernel if block.theta.device.type == "cpu" else by_torch)(neuron, carry, block)


def by_kernel(neuron: Neuron, carry: CarryRule, block: Block) -> None:
    """The compiled way (CPU tensors only)."""
    b = block
    bf16 = torch.bfloat16
    kernel = kernels.compiled(
        neuron, (carry.initial, carry.keep), _NUMPY[b.theta.dtype], b.current.dtype is bf16, b.out.dtype is bf16
    )
    spikes = (_array(b.out), b.emit, *((b.events.units, b.events.fired) if b.events else NOTHING))
    tensors = (b.kept, b.start, b.active, b.alpha, b.state, b.decoded, b.theta, b.bias, b.gain, b.fan_out)
    arguments = (_array(b.current), b.constant, *spikes, *map(_array, tensors), b.t0, b.timesteps)
    kernels.run(kernel, (b.out.shape[0], *b.kept.shape), arguments, b.counts.numpy(), b.above.numpy())


def _array(tensor: Tensor) -> np.ndarray:
    return (tensor.view(torch.uint16) if tensor.dtype is torch.bfloat16 else tensor).numpy()


def initial(neuron: Neuron, carry: CarryRule, theta: Tensor, start: Tensor, alpha: Tensor) -> Tensor:
    """v[0] of a decision, [R, units], from what the last one left, `start` [R, units], for alpha [R]."""
    return carry.initial(start, alpha[:, None], neuron.rule.v_base * theta, neuron.rule.clip * theta)


def fresh(neuron: Neuron, theta: Tensor, v0: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    """The coding's state before the first step, each [R, units]."""
    return tuple(value.expand_as(v0) for value in neuron.coding.init(theta, v0, bias))


def by_torch(neuron: Neuron, carry: CarryRule, block: Block) -> None:
    """The same with torch operations, on any device."""
    b, coding, dtype = block, neuron.coding, block.theta.dtype
    v0 = initial(neuron, carry, b.theta, b.start, b.alpha)
    state = fresh(neuron, b.theta, v0, b.bias) if b.t0 == 0 else tuple(b.state.clone())
    active = b.active[:, None]
    for done in range(b.out.shape[0]):
        t = b.t0 + done + 1
        wx = b.current[0 if b.constant else done].to(dtype)
        if b.constant and coding.sends_once and t > 1:
            wx = torch.zeros_like(wx)
        x, *state = coding.step(neuron.fire, neuron.slack, b.theta, wx, b.bias, beside(t, wx), *state)
        x = torch.where(active, x, torch.zeros_like(x))
        if b.counts.shape[1]:
            fired = x != 0
            b.counts[0, t - 1] += fired.sum(1)
            b.counts[1, t - 1] += (fired * b.fan_out).sum(1)
        if b.emit:
            b.out[done] = x if b.out.dtype is dtype else x * b.gain
    if t < b.timesteps:
        for kept, value in zip(b.state, state, strict=True):
            kept.copy_(torch.where(active, value, kept))
        return
    total = beside(t, v0)
    b.kept.copy_(torch.where(active, carry.keep(state[0], v0, state[1]), b.kept))
    b.decoded.copy_(torch.where(active, coding.mean(total, *state), b.decoded))
    if b.counts.shape[1]:
        b.above += ((coding.mean_input(v0, total, *state) > b.theta) & (b.theta > 0) & active).sum(1)
