"""One decision of a chunk of environments, layer by layer: each layer runs all its steps before the next begins."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from snn.activity import Recorder
from snn.carry import CarryRule
from snn.cpu.events import NOTHING, Events
from snn.layer import BuiltSegment, Layer
from snn.memory import Memory
from snn.neuron import Neuron
from snn.recurrence import Block, advance
from snn.synapse import flatten, unflatten


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


class Simulation:
    """Runs a network's segments on chunks."""

    def __init__(self, neuron: Neuron, carry: CarryRule, timesteps: int, memory: Memory, recorder: Recorder) -> None:
        self.neuron, self.carry, self.timesteps = neuron, carry, timesteps
        self.memory, self.recorder = memory, recorder

    def run(self, segment: BuiltSegment, x: Tensor, chunk: Chunk) -> Tensor:
        """The segment's decoded output for x [rows, ...]; the residuals go into the memory."""
        for op in segment.pre:
            x = op(x)
        if not segment.layers:
            return segment.decode(x)
        controls, slots = self.memory.controls, np.arange(chunk.lo, chunk.hi)
        analog = segment.layers[0].synapse(flatten(x))[None]  # the input's current, computed once for all T steps
        starts = [controls.start(layer, slots, self._kept(layer, chunk)) for layer in segment.layers]
        size = len(self.neuron.coding.state) if chunk.steps < self.timesteps else 0
        shapes = [(len(slots), layer.units) for layer in segment.layers]
        states = [layer.theta.new_empty(size, *shape) for layer, shape in zip(segment.layers, shapes, strict=True)]
        decoded = [layer.theta.new_zeros(shape) for layer, shape in zip(segment.layers, shapes, strict=True)]
        for t0 in range(0, self.timesteps, chunk.steps):
            steps, current = min(chunk.steps, self.timesteps - t0), analog
            for i, layer in enumerate(segment.layers):
                following = segment.layers[i + 1] if i + 1 < len(segment.layers) else None
                spikes = self._advance(layer, following, current, starts[i], states[i], decoded[i], chunk, t0, steps)
                if isinstance(spikes, Events):
                    current = following.synapse.of_events(spikes)
                elif following is not None:
                    current = following.synapse(spikes.flatten(0, 1)).view(steps, len(slots), following.units)
        for layer in segment.layers:
            controls.observe(layer, slots, chunk.places, self._kept(layer, chunk))
        return segment.decode(unflatten(decoded[-1], segment.layers[-1].shape))

    def _kept(self, layer: Layer, chunk: Chunk) -> Tensor:
        return self.memory.kept[layer.index][chunk.lo : chunk.hi]

    def _advance(
        self, layer, following, current, start, state, decoded, chunk: Chunk, t0: int, steps: int
    ) -> Tensor | Events:
        """The layer's spikes [steps, rows, units] from its current. A last layer's are not needed: its sum is."""
        rows, constant = chunk.hi - chunk.lo, layer.synapse.analog
        if following is None:
            out = current.new_empty(steps, 1, 1)
        elif constant or current.dtype is not following.synapse.dtype:
            out = current.new_empty(steps, rows, layer.units, dtype=following.synapse.dtype)
        else:
            out = current  # spikes replace the currents that made them
        events = Events.room(out, chunk.active) if following is not None and following.synapse.event_driven else None
        units_of, fired_of = NOTHING if events is None else (events.units, events.fired)
        counts, above = self.recorder.room(layer, chunk.lo, chunk.hi, self.timesteps)
        block = Block(
            current=current,
            constant=constant,
            out=out,
            emit=following is not None,
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
            units_of=units_of,
            fired_of=fired_of,
        )
        advance(self.neuron, self.carry, block)
        return out if events is None else events
