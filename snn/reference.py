"""The time-stepped reference: all layers step by step, with the pure functions only; and what it shows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from snn import codings, crpi
from snn.device import beside
from snn.synapse import flatten, unflatten


@dataclass(frozen=True)
class LayerTrace:
    """One layer over a decision. Shapes [T, B, ...] or [B, ...] with the layer's own (C, H, W) or (units,).

    spikes      x[t], in the unit of theta
    membranes   v[t], after the spike; v0 [B, ...]: before the first step
    rates       r[t], the rate-equivalent output
    currents    I[t], under differential coding M_in[t] + W x_in[t]
    decoded     [B, ...] mean of the rates: the layer's estimate of the source network's ReLU output
    ann         [B, ...] that ReLU output
    difference  decoded - ann
    """

    name: str
    spikes: Tensor
    membranes: Tensor
    v0: Tensor
    rates: Tensor
    currents: Tensor
    decoded: Tensor
    ann: Tensor
    difference: Tensor


@dataclass(frozen=True)
class Trace:
    """A decision looked at: its layers, its output and the source network's output, [B, ...]."""

    layers: list[LayerTrace]
    output: Tensor
    ann_output: Tensor


@torch.no_grad()
def trace(spiking, x: Tensor, starts: list[Tensor], alpha: Tensor) -> Trace:
    """Simulate one decision of a built network time step by time step.

    x [B, ...] in the network's precision; starts: per layer what the last decision left, [B, units]; alpha [B].
    """
    ann_output, relus = spiking.chain.ann(x)
    alpha = alpha[:, None]
    layers = []
    for segment in spiking._segments:
        for op in segment.pre:
            x = op(x)
        if segment.layers:
            steps = _simulate(spiking, segment.layers, flatten(x), starts, alpha)
            mean = steps[-1].mean
            layers += [
                _shown(layer, neurons, relus[layer.index]) for layer, neurons in zip(segment.layers, steps, strict=True)
            ]
            x = unflatten(mean, segment.layers[-1].shape)
        x = segment.decode(x)
    return Trace(layers, x, ann_output)


class _Neurons:
    """A layer's state and history."""

    def __init__(self, spiking, layer, start: Tensor, alpha: Tensor) -> None:
        neuron = spiking.neuron
        self.layer, self.neuron = layer, neuron
        self.v0 = self.v = crpi.initial(start, alpha, layer.theta, neuron.rule, spiking.mode)
        self.c = torch.zeros_like(self.v)
        self.m_in, self.m_out = layer.synapse.bias.expand_as(self.v), torch.zeros_like(self.v)
        self.history: dict[str, list[Tensor]] = {"spikes": [], "membranes": [], "rates": [], "currents": []}

    def step(self, wx: Tensor, t: int) -> Tensor:
        n, theta = self.neuron, self.layer.theta
        if n.coding is codings.DIFFERENTIAL:
            current, before = self.m_in + wx, self.m_out
            x, self.v, self.c, self.m_in, self.m_out = codings.differential_step(
                n.fire, n.slack, theta, wx, beside(t, wx), self.v, self.c, self.m_in, self.m_out
            )
            rate = before + x
        else:
            current = wx + self.layer.synapse.bias
            x, self.v, self.c = codings.rate_step(n.fire, n.slack, theta, current, self.v, self.c)
            rate = x
        for key, value in zip(self.history, (x, self.v, rate, current), strict=True):
            self.history[key].append(value)
        return x

    @property
    def mean(self) -> Tensor:
        steps = len(self.history["spikes"])
        return self.m_out if self.neuron.coding is codings.DIFFERENTIAL else self.c / beside(steps, self.c)


def _simulate(spiking, layers, x: Tensor, starts, alpha) -> list[_Neurons]:
    neurons = [_Neurons(spiking, layer, starts[layer.index], alpha) for layer in layers]
    dtype = spiking.state_dtype
    for t in range(1, spiking.timesteps + 1):
        # Rate: the input at every step. Differential: once; its running mean stays.
        sent = torch.zeros_like(x) if t > 1 and spiking.neuron.coding is codings.DIFFERENTIAL else x
        for i, (layer, group) in enumerate(zip(layers, neurons, strict=True)):
            spikes = group.step(layer.synapse(sent).to(dtype), t)
            if i + 1 < len(layers):
                low = layers[i + 1].synapse.dtype
                sent = spikes if low is dtype else (spikes * layer.gain).to(low)
    return neurons


def _shown(layer, neurons: _Neurons, ann: Tensor) -> LayerTrace:
    history = {key: unflatten(torch.stack(value), layer.shape) for key, value in neurons.history.items()}
    decoded = unflatten(neurons.mean, layer.shape)
    return LayerTrace(
        name=layer.name,
        v0=unflatten(neurons.v0, layer.shape),
        decoded=decoded,
        ann=ann,
        difference=decoded - ann,
        **history,
    )
