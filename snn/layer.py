"""A spiking layer as the network runs it, built for one input shape."""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from snn.errors import ConversionError
from snn.given import thresholds
from snn.graph.graph import Graph, Phase, between, phases
from snn.graph.operations import Op, Shape
from snn.layout import per_unit
from snn.neuron_modules import SpikingNeuron
from snn.synapse import Junction, Synapse, takes_scale


@dataclass(eq=False)
class SpikingLayer:
    """A layer's neurons, and what makes their current.

    name, index  the layer's name, and its place among all layers; value: its number in the graph
    neurons      the module in the graph, which owns thresholds and what is carried
    spiking      values of the layers before it, whose spikes reach it; analog: of those that are known
    synapse      makes the current from them
    shape        logical shape of the units: (C, H, W) or (units,)
    theta        [units] thresholds, units in memory order; gain 1/theta (0 for dead units)
    fan_out      [units] synapses into the next layers, int32
    live         indices of the units that have a threshold, on the host; `dead`: how many have none
    sends        dtype of its spikes (in bfloat16 as multiples of theta), None if no layer needs them; as_events: how
    until        the index of the last layer that needs its spikes
    """

    name: str
    index: int
    value: int
    neurons: SpikingNeuron
    spiking: list[int]
    analog: list[int]
    synapse: Synapse | Junction
    shape: Shape
    theta: Tensor
    sends: torch.dtype | None = None
    as_events: bool = False
    until: int = -1

    def __post_init__(self) -> None:
        self.gain = torch.where(self.theta > 0, 1 / self.theta, torch.zeros_like(self.theta))
        self.units = self.theta.numel()
        self.live = np.flatnonzero((self.theta > 0).cpu().numpy())
        self.dead = self.units - len(self.live)
        self.fan_out = torch.zeros_like(self.theta, dtype=torch.int32)

    @property
    def bytes_sent(self) -> int:
        """Of one environment's spikes in one step. An event has its unit's number, two bytes, beside its value."""
        return 0 if self.sends is None else self.units * (self.sends.itemsize + 2 * self.as_events)

    def blank(self) -> Tensor:
        """What it carries at an episode's start, [units]."""
        return self.neurons.blank(self.theta)


class Program:
    """A graph whose ReLUs are neurons, prepared for one input shape: its phases and their layers.

    Raises ConversionError, naming the layer, where shapes don't fit.
    """

    def __init__(self, graph: Graph, in_shape: Shape, compute_dtype: torch.dtype) -> None:
        self.graph, self.in_shape = graph, in_shape
        self._low = compute_dtype if compute_dtype is torch.bfloat16 else None
        zeros = torch.zeros(1, *in_shape, device=graph.device, dtype=graph.dtype)
        self.shapes: dict[int, Shape] = {i: tuple(x.shape[1:]) for i, x in graph.ann(zeros)[0].items()}
        self.phases = phases(graph)
        self.returned: list[int] = pytree.tree_leaves(graph.outputs)
        self.layers: list[SpikingLayer] = []
        self._of: dict[int, SpikingLayer] = {}
        for phase in self.phases:
            self._build(phase)
        for layer in self.layers:
            for value in layer.spiking:
                self._of[value].until = layer.index
        for phase in self.phases:
            for neuron in phase.neurons:
                self._count(phase, graph.inputs(neuron)[0])
            for value in phase.decoded:
                if any(graph.op(i).weighted for i in between(graph, value, phase)[1]):
                    self._count(phase, value)

    def layer(self, value: int) -> SpikingLayer:
        """The layer whose neurons compute this value."""
        return self._of[value]

    def layers_of(self, phase: Phase) -> list[SpikingLayer]:
        """The phase's layers, in order."""
        return [self._of[value] for value in phase.neurons]

    @functools.cached_property
    def bytes_per_step(self) -> int:
        """Memory of one environment's step where it is largest: spikes that are still needed, and a layer's current.

        A current from known values is the same at all steps and needs no memory per step; its layer's spikes do.
        """
        most = 1
        for layer in self.layers:
            waiting = sum(before.bytes_sent for before in self.layers if before.index < layer.index <= before.until)
            current = layer.synapse.largest * layer.synapse.dtype.itemsize if layer.spiking else layer.bytes_sent
            most = max(most, waiting + current)
        return most

    def _build(self, phase: Phase) -> None:
        graph = self.graph
        parts = {neuron: between(graph, graph.inputs(neuron)[0], phase) for neuron in phase.neurons}
        chains = {neuron: self._chain(neuron, parts[neuron][0]) for neuron in phase.neurons}
        users = {n: [other for other in phase.neurons if n in parts[other][0]] for n in phase.neurons}

        def takes_multiples(neuron: int) -> bool:
            # The analog input is computed once a decision and isn't a spike train: it keeps full precision. Spikes that
            # go into bfloat16 layers are sent as multiples of theta, exact in 8 bits; theta moves into the weights.
            return self._low is not None and takes_scale(chains[neuron] or [])

        for neuron in phase.neurons:
            sources, inner = parts[neuron]
            spiking = [value for value in sources if value in phase.neurons]
            chain, module = chains[neuron], graph.op(neuron)
            low = self._low if spiking and all(map(takes_multiples, users[spiking[0]])) else None
            synapse: Synapse | Junction
            if chain is not None:
                scale = graph.op(spiking[0]).theta if low else None
                in_shape = self.shapes[sources[0]]
                synapse = Synapse(chain, in_shape, low or graph.dtype, scale, not spiking, graph.device, graph.dtype)
            else:
                synapse = self._junction(graph.inputs(neuron)[0], sources, inner)
            name, shape = graph.layer_name(neuron), self.shapes[neuron]
            if shape[0] != len(thresholds(f"thresholds of '{name}'", module.theta)):
                raise ConversionError(
                    f"layer '{name}' needs {shape[0]} thresholds, one per channel or unit, got {len(module.theta)}"
                )
            analog = [value for value in sources if value not in spiking]
            theta = per_unit(module.theta, shape).contiguous()
            layer = SpikingLayer(name, len(self.layers), neuron, module, spiking, analog, synapse, shape, theta)
            self.layers.append(layer)
            self._of[neuron] = layer
        for neuron in phase.neurons:
            fed = [self._of[user].synapse for user in users[neuron]]
            if fed:
                self._of[neuron].sends = fed[0].dtype
                self._of[neuron].as_events = all(synapse.event_driven for synapse in fed)

    def _chain(self, neuron: int, sources: list[int]) -> list[Op] | None:
        """The operations from the only source to a neuron, if they form a chain."""
        chain, value = [], self.graph.inputs(neuron)[0]
        while value not in sources:
            if len(self.graph.inputs(value)) > 1:
                return None
            chain.append(self.graph.op(value))
            value = self.graph.inputs(value)[0]
        return chain[::-1] if len(sources) == 1 else None

    def _junction(self, current: int, sources: list[int], inner: list[int]) -> Junction:
        steps = [(value, self.graph.op(value), self.graph.inputs(value)) for value in inner]
        shapes = {value: self.shapes[value] for value in sources}
        return Junction(sources, steps, current, shapes, self.graph.device, self.graph.dtype)

    def _count(self, phase: Phase, value: int) -> None:
        """Add the synapses from the phase's layers to this value."""
        sources, inner = between(self.graph, value, phase)
        junction = self._junction(value, sources, inner)
        for layer in (self._of[source] for source in sources if source in phase.neurons):
            layer.fan_out += junction.fan_out(layer.value).to(layer.fan_out.device)
