"""The spiking network: a converted module that decides for a batch of environments and remembers between decisions."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snn import checks
from snn.activity import Activity, Recorder
from snn.carry import CRPI, PLAIN
from snn.checks import ConversionError, Movable
from snn.device import placed
from snn.graph.graph import Graph, analog_inside
from snn.graph.operations import Shape
from snn.layer import Program, SpikingLayer
from snn.neuron import Neuron
from snn.reference import Trace, trace
from snn.simulate import Chunk, Simulation, cut
from snn.slots import Slots

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class LayerInfo:
    """A spiking layer.

    name     the source layer's name in the module; of neurons that several branches reach, the ReLU's
    kind     of that layer: linear | conv1d | conv2d | conv3d | conv_transpose1d | ... ; sum for several branches
    neuron   rule, coding and number of magnitudes
    theta    thresholds, [channels] or [units]
    dead     how many of them are 0: channels or units that never fired in calibration and stay silent
    """

    name: str
    kind: str
    neuron: Neuron
    theta: Tensor
    dead: int


class SpikingNetwork(Movable):
    """A converted network. Made by `snn.convert` or `snn.load`.

    Each row of the batch is one environment with a slot of its own, in which its residuals live from one decision to
    the next. `reset` begins an episode, a call decides once. Weights and thresholds are buffers; what is carried is
    no part of the state_dict (see `get_state`) and is forgotten when the network moves to another device or dtype.

    module           the source as operations under its own names, with neuron modules (`snn.IF`, ...) for its ReLUs,
                     which own the thresholds and what is carried
    neuron           rule, coding, number of magnitudes
    compute_dtype    precision of convolutions and linear layers behind the first spikes; `module.dtype`: of all else
    chunk_rows       environments computed together; None: as many as fit. With a number, every chunk is padded to it,
                     so that a row's result depends on its slot and the thread count only, not on the other rows.
    max_batch_bytes  bound on the memory of one chunk's spikes and currents
    """

    def __init__(
        self,
        module: Graph,
        neuron: Neuron,
        timesteps: int,
        crpi: CRPI | None,
        compute_dtype: torch.dtype,
        max_batch_bytes: int,
        chunk_rows: int | None,
    ) -> None:
        super().__init__()
        self.module = module
        self.neuron = neuron
        self.compute_dtype = compute_dtype
        self.max_batch_bytes = checks.whole("max_batch_bytes", max_batch_bytes)
        self.chunk_rows = None if chunk_rows is None else checks.whole("chunk_rows", chunk_rows)
        self._program: Program | None = None
        self._built_from: list[tuple[int, int, int]] = []
        self._crpi: CRPI | None = None
        self._slots = Slots(PLAIN)
        self._recorder = Recorder()
        self.timesteps = timesteps
        self.crpi = crpi
        super().train(False)

    # --- what a caller sets and asks ---------------------------------------------------------------------------

    @property
    def timesteps(self) -> int:
        """T, simulation steps a decision. Setting it forgets what was counted."""
        return self._timesteps

    @timesteps.setter
    def timesteps(self, timesteps: int) -> None:
        self._timesteps = checks.whole("timesteps", timesteps)
        self._recorder.reset()

    @property
    def crpi(self) -> CRPI | None:
        """What carries membranes from one decision to the next; None: nothing, each begins at v_base.

        With another carry rule or seed than before, or None, every environment stands at an episode's start.
        """
        return self._crpi

    @crpi.setter
    def crpi(self, crpi: CRPI | None) -> None:
        if crpi is not None and not isinstance(crpi, CRPI):
            raise ConversionError(f"crpi={crpi!r} must be a snn.CRPI, or None")
        before, self._crpi = self.carry, crpi
        for neurons in self._neurons:
            neurons.crpi = crpi
        if (before.rule, before.seed) != (self.carry.rule, self.carry.seed) or crpi is None:
            self._slots = Slots(self.carry, self._layers)

    @property
    def carry(self) -> CRPI:
        """What `crpi` comes to: None is plain conversion, alpha = 0."""
        return self._crpi or PLAIN

    @property
    def thresholds(self) -> list[Tensor]:
        """Per layer, one threshold per channel or unit."""
        return [neurons.theta for neurons in self._neurons]

    @property
    def layers(self) -> list[LayerInfo]:
        """The spiking layers in order: name, kind, neuron, thresholds, units without a threshold."""
        sources = [self.module.source_layer(value) for value in self.module.neurons]
        return [
            LayerInfo(name, kind, self.neuron, theta, int((theta == 0).sum()))
            for (name, kind), theta in zip(sources, self.thresholds, strict=True)
        ]

    @property
    def hybrid(self) -> bool:
        """Does it compute more than spikes between its layers (LayerNorm, Tanh)?"""
        return any(True for _ in analog_inside(self.module))

    @property
    def device(self) -> torch.device:
        return self.module.device

    def extra_repr(self) -> str:
        return f"{self.neuron.rule.name}, {self.neuron.coding.name}, T={self.timesteps}, {self.crpi}"

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("alpha", "mode", "seed"):
            raise ConversionError(f"{name} is CRPI's: set spiking.crpi = snn.CRPI(alpha, mode, seed), or None")
        if name in ("neuron", "compute_dtype", "max_batch_bytes", "chunk_rows") and name in self.__dict__:
            raise ConversionError(f"{name} is settled when a network is made: convert again with another one")
        super().__setattr__(name, value)

    def _apply(self, fn: Any, recurse: bool = True) -> "SpikingNetwork":
        super()._apply(fn, recurse)
        if self.compute_dtype is not torch.bfloat16 or self.module.dtype is torch.float64:
            self.__dict__["compute_dtype"] = self.module.dtype
        self._forget_program()
        return self

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        super()._load_from_state_dict(*arguments, **options)
        self._forget_program()

    @torch.inference_mode(False)
    def __deepcopy__(self, memo: dict[int, Any]) -> "SpikingNetwork":
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        apart = self.__dict__ | {"_program": None, "_slots": Slots(self.carry)}
        twin.__dict__.update({key: copy.deepcopy(value, memo) for key, value in apart.items()})
        twin.set_state(self.get_state())
        return twin

    # --- episodes and state ------------------------------------------------------------------------------------

    @torch.inference_mode(False)
    def reset(self, mask: Any = None, keys: Any = None) -> None:
        """An episode begins: v[0] of the next decision is v_base.

        mask  None: every environment. Otherwise booleans, one per slot.
        keys  whole numbers >= 0, one per slot: the streams of randomness of modes random and shuffled. An environment's
              draws depend only on (seed, key, decision index). Without keys a slot's own number is its key, and its
              decision index goes on counting.
        Raises ConversionError for a mask or keys of the wrong length or type.
        """
        self._slots.reset(mask, keys)

    @torch.inference_mode(False)
    def get_state(self) -> dict[str, Any]:
        """A copy of all that the next decision depends on, for `set_state`."""
        in_shape = None if self._program is None else self._program.in_shape
        return {"in_shape": in_shape, "slots": self._slots.get_state()}

    @torch.inference_mode(False)
    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to a state of this same network. Raises ConversionError for anything else."""
        try:
            if state["in_shape"] is not None:
                self._build(state["in_shape"])
            self._slots.set_state(state["slots"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConversionError(f"not a state of this network, as get_state gives it ({error})") from error

    # --- one decision ------------------------------------------------------------------------------------------

    @torch.inference_mode(False)
    @torch.no_grad()
    def forward(self, x: Tensor, slots: Any = None) -> Any:
        """Decide once for a batch.

        x      [B, ...] observations as the module takes them (integers or floats)
        slots  which environment each row is; None: row i is environment i, and B stays the same until a `reset()`
        Returns [B, ...], the decoded output in this network's precision (float32 for bfloat16), or what the source
        returns: a tuple, list or dict of such.
        Raises ConversionError for a wrong shape, values that aren't finite, or a batch size that changed.
        """
        x, slots, program = self._checked(x, slots)
        known = max(self._slots.count, int(slots.max()) + 1)
        self.carry.check(known)
        ranges, steps = cut(program, self.timesteps, known, self.max_batch_bytes, self.chunk_rows)
        self._slots.grow(known, ranges[-1][1])
        simulation = Simulation(program, self.neuron, self.carry.rule, self.timesteps, self._slots, self._recorder)
        outputs: dict[int, Tensor] = {}
        for lo, hi in ranges:
            members = np.flatnonzero((slots >= lo) & (slots < hi))
            if len(members) == 0:
                continue
            rows, places = hi - lo, slots[members] - lo
            deciding = np.bincount(places, minlength=rows) > 0
            # Rows that lie in their places already need no copies.
            together = len(members) == rows and (places == np.arange(rows)).all() and (np.diff(members) == 1).all()
            if together:
                part = x[members[0] : members[0] + rows]
            else:
                part = x.new_zeros(rows, *x.shape[1:])
                part[placed(places, x.device)] = x[placed(members, x.device)]
            chunk = Chunk(lo, hi, places, placed(deciding, x.device), self._alpha(np.arange(lo, hi), x), steps)
            for value, y in simulation.run(part, chunk).items():
                if together and rows == len(x):
                    outputs[value] = y.contiguous()
                    continue
                if value not in outputs:
                    outputs[value] = y.new_empty(len(x), *y.shape[1:])
                outputs[value][placed(members, x.device)] = y[placed(places, x.device)]
        self._slots.controls.decided(slots)
        self._recorder.decided(slots)
        return self.module.pick(outputs)

    @torch.inference_mode(False)
    @torch.no_grad()
    def trace(self, x: Tensor, slots: Any = None) -> Trace:
        """What the next decision would do, step by step, next to the source network; nothing is carried.

        x, slots as for a call. See `snn.Trace`, whose histories take 16 T bytes for each unit and row (float32).
        """
        x, slots, program = self._checked(x, slots)
        self.carry.check(int(slots.max()) + 1)
        starts = {layer.value: self._slots.start(layer, slots) for layer in program.layers}
        return trace(program, self.neuron, self.carry.rule, self.timesteps, x, starts, self._alpha(slots, x))

    def residuals(self) -> list[Tensor]:
        """What the last decision left, per layer [slots, units], in units of theta (0 for units without a threshold):
        CRPI's residual max(v[T] - v[0], -c[T]), under the carry rule "carry" v[T] - v_base. Zeros at an episode's
        start, and no layers before the first decision."""
        slots, layers = self._slots, self._layers if self._slots.started else []
        return [layer.relative(slots.kept(layer)[: slots.count]) - layer.relative(layer.blank()) for layer in layers]

    # --- activity ----------------------------------------------------------------------------------------------

    def record(self, on: bool = True) -> None:
        """Count spikes and synaptic operations from now on (or stop)."""
        self._recorder.on = on

    def activity(self) -> list[Activity]:
        """What was counted since `record` or `reset_activity`, per layer. See `snn.Activity`."""
        return self._recorder.read(self._layers, self._slots.count, self.timesteps)

    @torch.inference_mode(False)
    def reset_activity(self, mask: Any = None) -> None:
        """Forget the counts, of all slots or of those in a boolean mask."""
        self._recorder.reset(None if mask is None else checks.mask(mask, self._slots.count))

    # --- inside ------------------------------------------------------------------------------------------------

    @property
    def _neurons(self) -> list[Any]:
        return [self.module.op(value) for value in self.module.neurons]

    @property
    def _layers(self) -> list[SpikingLayer]:
        return [] if self._program is None else self._program.layers

    def _checked(self, x: Tensor, slots: Any) -> tuple[Tensor, np.ndarray, Program]:
        """A batch, the environment of each of its rows, and what decides for it. Without `slots` all that run must be
        there."""
        x = checks.tensor("the input", x).to(self.device)
        if x.dim() < 2 or not x.numel():
            raise ConversionError(f"the input must be a batch [B, ...] of at least one row, got {tuple(x.shape)}")
        x = checks.finite("the input", x, self.module.dtype)
        shape = tuple(x.shape[1:])
        before = shape if self._program is None else self._program.in_shape
        if shape != before and self._slots.count and self._slots.started:
            raise ConversionError(f"the input's shape changed from {before} to {shape}; reset first")
        if slots is None and self._slots.count not in (0, len(x)):
            raise ConversionError(
                f"the batch has {len(x)} rows, but {self._slots.count} environments are running; name their slots, or "
                "begin anew with reset()"
            )
        return x, checks.slots(slots, len(x)), self._build(shape)

    def _build(self, in_shape: Shape) -> Program:
        """The graph, prepared for inputs of this shape, from buffers as they are now."""
        now = self.module.versions()
        if self._program is None or in_shape != self._program.in_shape or now != self._built_from:
            self._program, self._built_from = Program(self.module, in_shape, self.compute_dtype), now
            self._slots.fit(self._program.layers)
        return self._program

    def _forget_program(self) -> None:
        self._slots.reset(None, None)
        self._program = None
        self._slots.fit([])
        self._recorder.reset()

    def _alpha(self, slots: np.ndarray, like: Tensor) -> Tensor:
        return placed(self.carry.of(slots), like.device).to(like.dtype)
