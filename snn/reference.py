"""The time-stepped reference: all layers step by step, with the pure functions only; and what it shows."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from snn.carry import CarryRule
from snn.device import beside
from snn.layer import Program, SpikingLayer
from snn.memory_layout import flatten, unflatten
from snn.neuron import Neuron
from snn.recurrence import fresh, initial
from snn.simulate import decode


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
    """A decision looked at: its layers, its output and the source network's, [B, ...] or as the source returns."""

    layers: list[LayerTrace]
    output: Any
    ann_output: Any


def trace(
    program: Program,
    neuron: Neuron,
    carry: CarryRule,
    timesteps: int,
    x: Tensor,
    starts: dict[int, Tensor],
    alpha: Tensor,
) -> Trace:
    """Simulate one decision of a built network time step by time step.

    x [B, ...] in the network's precision; starts: per layer what the last decision left, [B, units]; alpha [B].
    """
    graph = program.graph
    ann, values, layers = graph.ann(x), {0: x}, []
    for phase in program.phases:
        decode(graph, values, phase.exact)
        groups = {i: _Group(neuron, carry, program.layer_of[i], starts[i], alpha) for i in phase.neurons}
        for t in range(1, timesteps + 1):
            for group in groups.values():
                group.step(groups, values, t)
        for group in groups.values():
            layers.append(group.shown(ann[group.layer.value]))
            values[group.layer.value] = layers[-1].decoded
        decode(graph, values, phase.decoded)
    return Trace(layers, graph.pick(values), graph.pick(ann))


class _Group:
    """A layer's neurons: their state and history."""

    def __init__(self, neuron: Neuron, carry: CarryRule, layer: SpikingLayer, start: Tensor, alpha: Tensor) -> None:
        self.layer, self.neuron = layer, neuron
        self.v0 = initial(neuron, carry, layer.theta, start, alpha)
        self.state = fresh(neuron, layer.theta, self.v0, layer.synapse.bias)
        self.spikes = torch.zeros_like(self.v0)
        self.history: dict[str, list[Tensor]] = {"spikes": [], "membranes": [], "rates": [], "currents": []}

    def step(self, groups: "dict[int, _Group]", values: dict[int, Tensor], t: int) -> None:
        """One simulation step: of the spikes that the groups before this one have just sent, and of known values."""
        layer, synapse, neuron, before = self.layer, self.layer.synapse, self.neuron, self.state
        given = {source: groups[source].sent(synapse.dtype) for source in layer.spiking}
        for source in layer.analog:
            x = flatten(values[source])
            # Rate: at every step. Differential: once; its running mean stays.
            given[source] = torch.zeros_like(x) if t > 1 and neuron.coding.sends_once else x
        wx, bias = synapse(given).to(layer.theta.dtype), synapse.bias
        self.spikes, *after = neuron.coding.step(
            neuron.fire, neuron.slack, layer.theta, wx, bias, beside(t, wx), *before
        )
        self.state = tuple(after)
        rates, currents = neuron.coding.rate(self.spikes, *before), neuron.coding.current(wx, bias, *before)
        for key, value in zip(self.history, (self.spikes, self.state[0], rates, currents), strict=True):
            self.history[key].append(value)

    def sent(self, dtype: torch.dtype) -> Tensor:
        """The last spikes, as a layer of this dtype takes them."""
        return self.spikes if dtype is self.spikes.dtype else (self.spikes * self.layer.gain).to(dtype)

    def shown(self, ann: Tensor) -> LayerTrace:
        shape = self.layer.shape
        history = {key: unflatten(torch.stack(value), shape) for key, value in self.history.items()}
        mean = self.neuron.coding.mean(beside(len(self.history["spikes"]), self.v0), *self.state)
        decoded, v0 = unflatten(mean, shape), unflatten(self.v0, shape)
        return LayerTrace(self.layer.name, v0=v0, decoded=decoded, ann=ann, difference=decoded - ann, **history)
