"""The time-stepped reference: all layers step by step, with the pure functions only; and what it shows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from snn.device import beside
from snn.recurrence import fresh, initial
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
        self.layer, self.neuron = layer, spiking.neuron
        self.v0 = initial(self.neuron, spiking.carry.rule, layer.theta, start, alpha)
        self.state = fresh(self.neuron, layer.theta, self.v0, layer.synapse.bias)
        self.history: dict[str, list[Tensor]] = {"spikes": [], "membranes": [], "rates": [], "currents": []}

    def step(self, wx: Tensor, t: int) -> Tensor:
        neuron, bias, before = self.neuron, self.layer.synapse.bias, self.state
        x, *after = neuron.coding.step(neuron.fire, neuron.slack, self.layer.theta, wx, bias, beside(t, wx), *before)
        self.state = tuple(after)
        shown = (x, self.state[0], neuron.coding.rate(x, *before), neuron.coding.current(wx, bias, *before))
        for key, value in zip(self.history, shown, strict=True):
            self.history[key].append(value)
        return x

    @property
    def mean(self) -> Tensor:
        return self.neuron.coding.mean(beside(len(self.history["spikes"]), self.v0), *self.state)


def _simulate(spiking, layers, x: Tensor, starts, alpha) -> list[_Neurons]:
    neurons = [_Neurons(spiking, layer, starts[layer.index], alpha) for layer in layers]
    dtype = spiking.state_dtype
    for t in range(1, spiking.timesteps + 1):
        # Rate: the input at every step. Differential: once; its running mean stays.
        sent = torch.zeros_like(x) if t > 1 and spiking.neuron.coding.sends_once else x
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
