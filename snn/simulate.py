"""One decision of a chunk of environments, layer by layer: each layer runs all its steps before the next begins."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
from torch import Tensor

from snn.activity import Recorder
from snn.carry import CarryRule
from snn.checks import ConversionError
from snn.cpu.events import Events
from snn.graph.graph import Graph
from snn.layer import Program, SpikingLayer
from snn.memory_layout import flatten, unflatten
from snn.neuron import Neuron
from snn.recurrence import Block, advance
from snn.slots import Slots


@dataclass
class Chunk:
    """Slots lo..hi of which those at `places` (on the host; `active` [rows] on the device) decide, with their `alpha`
    [rows]; `steps` are simulated at a time."""

    lo: int
    hi: int
    places: np.ndarray
    active: Tensor
    alpha: Tensor
    steps: int


def cut(
    program: Program, timesteps: int, slots: int, max_bytes: int, rows: int | None
) -> tuple[list[tuple[int, int]], int]:
    """Ranges of slots that are computed together (beyond `slots` they are padding), and how many steps at a time.

    They follow from `max_bytes` for the currents and spikes of one range, and from its number of `rows`, if given.
    Raises ConversionError if one step of one environment (or of `rows` of them) does not fit."""
    per_step = program.bytes_per_step
    fitting = max_bytes // per_step  # environment-steps
    together = rows or max(1, min(slots, fitting // timesteps))
    if fitting < together:
        raise ConversionError(
            f"max_batch_bytes={max_bytes} is less than the {per_step * together} bytes that one simulation step "
            f"of {together} environment(s) takes"
        )
    if rows is None and slots > together:  # chunks of equal size
        together = -(-slots // -(-slots // together))
    end = slots if rows is None else -(-slots // rows) * rows
    return [(lo, min(lo + together, end)) for lo in range(0, end, together)], min(timesteps, fitting // together)


def decode(graph: Graph, values: dict[int, Tensor], wanted: Iterable[int]) -> None:
    """Adds the values `wanted`, from the means of neurons and from known values, by the operations between (exact under
    all codings)."""
    for value in wanted:
        if value not in values:
            decode(graph, values, graph.inputs(value))
            values[value] = graph.op(value)(*(values[i] for i in graph.inputs(value)))


class Simulation:
    """Runs a network's phases on chunks."""

    def __init__(
        self, program: Program, neuron: Neuron, carry: CarryRule, timesteps: int, slots: Slots, recorder: Recorder
    ) -> None:
        self.program, self.neuron, self.carry, self.timesteps = program, neuron, carry, timesteps
        self.slots, self.recorder = slots, recorder

    def run(self, x: Tensor, chunk: Chunk) -> dict[int, Tensor]:
        """The decoded outputs for x [rows, ...], by their values' numbers; the slots keep the residuals."""
        graph = self.program.graph
        values = {0: x}
        for phase in self.program.phases:
            decode(graph, values, phase.exact)
            values |= self._spike([self.program.layer_of[value] for value in phase.neurons], values, chunk)
            decode(graph, values, phase.decoded)
        return {value: values[value] for value in self.program.returned}

    def _spike(self, layers: list[SpikingLayer], values: dict[int, Tensor], chunk: Chunk) -> dict[int, Tensor]:
        """The layers' decoded outputs."""
        controls, slots, coding = self.slots.controls, np.arange(chunk.lo, chunk.hi), self.neuron.coding
        # What known values send, computed once for all T steps.
        known = [{value: flatten(values[value]) for value in layer.analog} for layer in layers]
        analog = [layer.synapse(given)[None] if given else None for layer, given in zip(layers, known, strict=True)]
        starts = [controls.start(layer, slots, self._kept(layer, chunk)) for layer in layers]
        size = len(coding.state) if chunk.steps < self.timesteps else 0
        states = [layer.theta.new_empty(size, len(slots), layer.units) for layer in layers]
        means = [layer.theta.new_zeros(len(slots), layer.units) for layer in layers]
        for t0 in range(0, self.timesteps, chunk.steps):
            steps = min(chunk.steps, self.timesteps - t0)
            sent: dict[int, Tensor | Events] = {}
            for i, layer in enumerate(layers):
                current = self._current(layer, sent, analog[i], steps, t0)
                for source in layer.spiking:
                    if self.program.layer_of[source].until == layer.index:
                        del sent[source]
                spikes = self._advance(layer, current, starts[i], states[i], means[i], chunk, t0, steps)
                if layer.sends is not None:
                    sent[layer.value] = spikes
        for layer in layers:
            controls.observe(layer, slots, chunk.places, self._kept(layer, chunk))
        return {layer.value: unflatten(mean, layer.shape) for layer, mean in zip(layers, means, strict=True)}

    def _current(
        self, layer: SpikingLayer, sent: dict[int, Tensor | Events], analog: Tensor | None, steps: int, t0: int
    ) -> Tensor:
        """The layer's current [steps or 1, rows, units] without its bias."""
        if not layer.spiking:
            return cast(Tensor, analog)
        events = sent[layer.spiking[0]]
        if isinstance(events, Events) and layer.synapse.of_events:
            return layer.synapse.of_events(events)
        spikes = {source: cast(Tensor, sent[source]).flatten(0, 1) for source in layer.spiking}
        current = layer.synapse(spikes).unflatten(0, (steps, -1))
        if analog is not None and not self.neuron.coding.sends_once:
            return current + analog
        if analog is not None and t0 == 0:
            current[:1] += analog
        return current

    def _kept(self, layer: SpikingLayer, chunk: Chunk) -> Tensor:
        return self.slots.kept(layer)[chunk.lo : chunk.hi]

    def _advance(
        self,
        layer: SpikingLayer,
        current: Tensor,
        start: Tensor,
        state: Tensor,
        decoded: Tensor,
        chunk: Chunk,
        t0: int,
        steps: int,
    ) -> Tensor | Events:
        """The layer's spikes [steps, rows, units] from its current, if any layer needs them; its mean in `decoded`."""
        rows, constant, sends = chunk.hi - chunk.lo, not layer.spiking, layer.sends
        if sends is None:
            out = current.new_empty(steps, 1, 1)
        elif constant or current.dtype is not sends or not layer.synapse.owns_result:
            out = current.new_empty(steps, rows, layer.units, dtype=sends)
        else:
            out = current  # spikes replace the currents that made them
        events = Events.room(out, chunk.active) if layer.as_events else None
        counts, above = self.recorder.room(layer, chunk.lo, chunk.hi, self.timesteps)
        block = Block(
            current=current,
            constant=constant,
            out=out,
            emit=sends is not None,
            kept=self._kept(layer, chunk),
            start=start,
            active=chunk.active,
            alpha=chunk.alpha,
            state=state,
            decoded=decoded,
            theta=layer.theta,
            bias=layer.synapse.bias,
            gain=layer.gain,
            fan_out=layer.fan_out,
            t0=t0,
            timesteps=self.timesteps,
            counts=counts,
            above=above,
            events=events,
        )
        advance(self.neuron, self.carry, block)
        return out if events is None else events
