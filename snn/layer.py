"""A spiking layer as the network runs it, built for one input shape."""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from snn.checks import ConversionError, thresholds
from snn.graph.graph import Graph, Phase, between, phases
from snn.graph.operations import Shape
from snn.memory_layout import per_unit
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

    def relative(self, values: Tensor) -> Tensor:
        """Values [..., units] in units of theta, 0 for units without one."""
        return torch.where(self.theta > 0, values / self.theta, torch.zeros_like(values))


class Program:
    """A graph whose ReLUs are neurons, prepared for one input shape: its phases and their layers.

    Raises ConversionError, naming the layer, where shapes don't fit.
    """

    def __init__(self, graph: Graph, in_shape: Shape, compute_dtype: torch.dtype) -> None:
        self.graph, self.in_shape = graph, in_shape
        # Held so that whatever takes the place of one has another id: `Graph.versions` goes by ids.
        self._made_of = [*graph.modules(), *graph.buffers()]
        self._low = compute_dtype if compute_dtype is torch.bfloat16 else None
        zeros = torch.zeros(1, *in_shape, device=graph.device, dtype=graph.dtype)
        self._zeros = {value: torch.zeros_like(x) for value, x in graph.ann(zeros).items()}
        self.phases = phases(graph)
        self.returned: list[int] = pytree.tree_leaves(graph.outputs)
        self.layer_of: dict[int, SpikingLayer] = {}  # by the values that their neurons compute
        for phase in self.phases:
            self._build(phase)
        self.layers = list(self.layer_of.values())
        for phase in self.phases:
            for neuron in phase.neurons:
                self._count(phase, graph.inputs(neuron)[0])
            for value in phase.decoded:
                if any(graph.op(i).weighted for i in between(graph, value, phase)[1]):
                    self._count(phase, value)

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
        chains = {
            neuron: [graph.op(i) for i in inner]
            for neuron, (sources, inner) in parts.items()
            if len(sources) == 1 and all(len(graph.inputs(i)) == 1 for i in inner)
        }
        users = {n: [other for other in phase.neurons if n in parts[other][0]] for n in phase.neurons}
        for neuron in phase.neurons:
            (sources, inner), module = parts[neuron], graph.op(neuron)
            spiking = [value for value in sources if value in phase.neurons]
            synapse: Synapse | Junction
            if neuron in chains:
                # The analog input is computed once a decision and isn't a spike train: it keeps full precision. Spikes
                # that go into bfloat16 layers are sent as multiples of theta, exact in 8 bits; theta moves into the
                # weights, of all layers that they go to or of none.
                low = self._low if spiking and all(takes_scale(chains.get(x, [])) for x in users[spiking[0]]) else None
                scale = graph.op(spiking[0]).theta if low else None
                zeros = self._zeros[sources[0]]
                synapse = Synapse(chains[neuron], zeros, low or graph.dtype, scale, analog=not spiking)
            else:
                synapse = Junction(graph, self._zeros, sources, inner, graph.inputs(neuron)[0])
            (name, _), shape = graph.source_layer(neuron), tuple(self._zeros[neuron].shape[1:])
            if shape[0] != len(thresholds(f"thresholds of '{name}'", module.theta)):
                raise ConversionError(
                    f"layer '{name}' needs {shape[0]} thresholds, one per channel or unit, got {len(module.theta)}"
                )
            analog = [value for value in sources if value not in spiking]
            theta = per_unit(module.theta, shape).contiguous()
            index = len(self.layer_of)
            self.layer_of[neuron] = SpikingLayer(name, index, neuron, module, spiking, analog, synapse, shape, theta)
        for neuron in phase.neurons:
            layer, fed = self.layer_of[neuron], [self.layer_of[user] for user in users[neuron]]
            if fed:
                layer.sends = fed[0].synapse.dtype
                layer.as_events = all(user.synapse.of_events for user in fed)
                layer.until = fed[-1].index

    def _count(self, phase: Phase, value: int) -> None:
        """Add the synapses from the phase's layers to this value."""
        sources, inner = between(self.graph, value, phase)
        junction = Junction(self.graph, self._zeros, sources, inner, value)
        for layer in (self.layer_of[source] for source in sources if source in phase.neurons):
            layer.fan_out += junction.fan_out(layer.value).to(layer.fan_out.device)
