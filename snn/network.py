"""The spiking network: a converted module that decides for a batch of environments and remembers between decisions."""

import numpy as np
import torch
from torch import Tensor

from snn.activity import Activity, Recorder
from snn.carry import CRPI
from snn.chunks import Chunking
from snn.device import placed
from snn.errors import ConversionError
from snn.graph.chain import Chain
from snn.info import LayerInfo
from snn.layer import BuiltSegment, Layer
from snn.memory import Memory
from snn.neuron import Neuron
from snn.reference import Trace, trace
from snn.simulate import Chunk, Simulation


class SpikingNetwork:
    """A converted network. Made by `snn.convert` or `snn.load`.

    Each row of the batch is one environment with a slot of its own, in which its residuals live from one decision to
    the next. `reset` begins an episode, a call decides once.

    timesteps        T, simulation steps a decision
    neuron           rule, coding, number of magnitudes
    thresholds       per layer, one per channel (convolution) or unit
    max_batch_bytes  bound on the memory of one chunk's spikes and currents
    chunk_rows       environments computed together; None: as many as fit. With a number, every chunk is padded to it,
                     so that a row's result depends on its slot and the thread count only, not on the other rows.
    """

    def __init__(
        self,
        chain: Chain,
        thresholds: list[Tensor],
        neuron: Neuron,
        timesteps: int,
        crpi: CRPI | None,
        compute_dtype: torch.dtype,
        max_batch_bytes: int,
        chunk_rows: int | None,
    ) -> None:
        self.compute_dtype = compute_dtype
        self.state_dtype = torch.float32 if compute_dtype is torch.bfloat16 else compute_dtype
        self.chain = chain.to(dtype=self.state_dtype)
        self.device = chain.device
        self.thresholds = [theta.to(self.device, self.state_dtype) for theta in thresholds]
        self.neuron, self.timesteps = neuron, timesteps
        self.chunking = Chunking(max_batch_bytes, chunk_rows)
        self._segments: list[BuiltSegment] = []
        self._in_shape: tuple[int, ...] | None = None
        self._crpi = crpi
        self._memory = Memory(neuron, self.carry)
        self._recorder = Recorder()

    # --- what a caller sets and asks ---------------------------------------------------------------------------

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
        if (before.rule, before.seed) != (self.carry.rule, self.carry.seed) or crpi is None:
            self._memory = Memory(self.neuron, self.carry)
            self._memory.fit(self._built_layers)

    @property
    def carry(self) -> CRPI:
        """What `crpi` comes to: None is plain conversion, alpha = 0."""
        return CRPI(0.0) if self._crpi is None else self._crpi

    @property
    def layers(self) -> list[LayerInfo]:
        """The spiking layers in order: name, kind, neuron, thresholds, units without a threshold."""
        return [
            LayerInfo.of(stage, theta, self.neuron)
            for stage, theta in zip(self.chain.stages, self.thresholds, strict=True)
        ]

    @property
    def max_batch_bytes(self) -> int:
        return self.chunking.max_bytes

    @property
    def chunk_rows(self) -> int | None:
        return self.chunking.rows

    def __repr__(self) -> str:
        n = self.neuron
        return (
            f"SpikingNetwork({n.rule.name}, {n.coding.name}, T={self.timesteps}, {self.crpi}, "
            f"layers={[layer.name for layer in self.layers]})"
        )

    def to(self, device: torch.device | str) -> "SpikingNetwork":
        """Move to another device; what was carried is forgotten. Returns self."""
        self.device = torch.device(device)
        self.chain = self.chain.to(self.device)
        self.thresholds = [theta.to(self.device) for theta in self.thresholds]
        self._in_shape, self._segments = None, []
        self._memory.fit([])
        self._memory.forget()
        return self

    # --- episodes and state ------------------------------------------------------------------------------------

    def reset(self, mask=None, keys=None) -> None:
        """An episode begins: v[0] of the next decision is v_base.

        mask  None: every environment. Otherwise booleans, one per slot.
        keys  whole numbers >= 0, one per slot: the streams of randomness of modes random and shuffled. An environment's
              draws depend only on (seed, key, decision index). Without keys a slot's own number is its key, and its
              decision index goes on counting.
        Raises ConversionError for a mask or keys of the wrong length or type.
        """
        self._memory.reset(mask, keys)

    def get_state(self) -> dict:
        """A copy of all that the next decision depends on, for `set_state`."""
        return {"in_shape": self._in_shape, "memory": self._memory.get_state()}

    def set_state(self, state: dict) -> None:
        """Go back to a state of this same network."""
        if state["in_shape"] is not None:
            self._build(state["in_shape"])
        self._memory.set_state(state["memory"])

    # --- one decision ------------------------------------------------------------------------------------------

    @torch.no_grad()
    def __call__(self, x: Tensor, slots=None) -> Tensor:
        """Decide once for a batch.

        x      [B, ...] observations as the module takes them (integers or floats)
        slots  which environment each row is; None: row i is environment i, and B stays the same until a `reset()`
        Returns [B, ...], the decoded output of the last layer in this network's precision (float32 for bfloat16).
        Raises ConversionError for a wrong shape, values that aren't finite, or a batch size that changed.
        """
        x = self._checked(x)
        slots = self._checked_slots(slots, len(x))
        plan = self.chunking.plan(self._segments, self.timesteps, self._memory.slots)
        self._memory.grow(self._memory.slots, plan.capacity)
        simulation = Simulation(self.neuron, self.carry.rule, self.timesteps, self._memory, self._recorder)
        y = torch.empty(len(x), *self._segments[-1].out_shape, dtype=self.state_dtype, device=self.device)
        for lo, hi in plan.chunks:
            members = np.flatnonzero((slots >= lo) & (slots < hi))
            if len(members) == 0:
                continue
            places = slots[members] - lo
            active = placed(np.isin(np.arange(hi - lo), places), self.device)
            chunk = Chunk(lo, hi, places, active, self._alpha_of(np.arange(lo, hi)), plan.steps)
            h = self._placed(x, members, places, hi - lo)
            for segment in self._segments:
                h = simulation.run(segment, h, chunk)
            y[placed(members, self.device)] = h[placed(places, self.device)]
        self._memory.controls.decided(slots)
        self._recorder.decided(slots)
        return y

    def trace(self, x: Tensor, slots=None) -> Trace:
        """What the next decision would do, step by step, next to the source network; nothing is carried.

        x, slots as for a call. See `snn.Trace`, whose histories take 16 T bytes for each unit and row (float32).
        """
        x = self._checked(x)
        known = self._memory.slots
        if slots is None and known not in (0, len(x)):
            raise ConversionError(f"the batch has {len(x)} rows, but {known} environments run; name their slots")
        slots = _numbers(slots, len(x))
        starts = [self._memory.start(layer, slots) for layer in self._built_layers]
        return trace(self, x, starts, self._alpha_of(slots))

    def residuals(self) -> list[Tensor]:
        """What the last decision left, per layer [slots, units], in units of theta (0 for units without a threshold):
        CRPI's residual max(v[T] - v[0], -c[T]), under the carry rule "carry" v[T] - v_base. Zeros at an episode's start, and no
        layers before the first decision."""
        return self._memory.residuals()

    # --- activity ----------------------------------------------------------------------------------------------

    def record(self, on: bool = True) -> None:
        """Count spikes and synaptic operations from now on (or stop)."""
        self._recorder.on = on

    def activity(self) -> list[Activity]:
        """What was counted since `record` or `reset_activity`, per layer. See `snn.Activity`."""
        return self._recorder.read(self._built_layers, self._memory.slots, self.timesteps)

    def reset_activity(self, mask=None) -> None:
        """Forget the counts, of all slots or of those in a boolean mask."""
        self._recorder.reset(mask)

    # --- inside ------------------------------------------------------------------------------------------------

    @property
    def _built_layers(self) -> list[Layer]:
        return [layer for segment in self._segments for layer in segment.layers]

    def _checked(self, x: Tensor) -> Tensor:
        x = torch.as_tensor(x).to(self.device)
        if x.dim() < 2:
            raise ConversionError(f"the input must have a batch dimension, got shape {tuple(x.shape)}")
        if x.is_floating_point() and not torch.isfinite(x).all():
            raise ConversionError("the input holds values that are not finite")
        x = x.to(self.state_dtype)
        shape = tuple(x.shape[1:])
        if shape != self._in_shape:
            if self._memory.slots and self._memory.kept:
                raise ConversionError(f"the input's shape changed from {self._in_shape} to {shape}; reset first")
            self._build(shape)
        return x

    def _checked_slots(self, slots, batch: int) -> np.ndarray:
        known = self._memory.slots
        if slots is None:
            if known not in (0, batch):
                raise ConversionError(
                    f"the batch has {batch} rows, but {known} environments are running; name the rows' slots, or begin "
                    "anew with reset()"
                )
        slots = _numbers(slots, batch)
        known = max(known, int(slots.max()) + 1 if batch else 0)
        alpha = self.carry.alpha
        if isinstance(alpha, Tensor) and len(alpha) < known:
            raise ConversionError(f"alpha holds {len(alpha)} values for {known} environments")
        self._memory.grow(known)
        return slots

    def _build(self, in_shape: tuple[int, ...]) -> None:
        if in_shape == self._in_shape:
            return
        segments, shape, first = [], in_shape, 0
        for segment in self.chain.segments:
            built = BuiltSegment(segment, first, shape, self.thresholds, self.state_dtype, self.compute_dtype)
            segments.append(built)
            first, shape = first + len(built.layers), built.out_shape
        self._segments, self._in_shape = segments, in_shape
        self._memory.fit(self._built_layers)

    def _alpha_of(self, slots: np.ndarray) -> Tensor:
        return placed(self.carry.of(slots), self.device).to(self.state_dtype)

    def _placed(self, x: Tensor, members: np.ndarray, places: np.ndarray, rows: int) -> Tensor:
        """The rows `members` of x at `places` of a batch of `rows`, zeros elsewhere."""
        if len(members) == rows and (places == np.arange(rows)).all() and (np.diff(members) == 1).all():
            return x[members[0] : members[0] + rows]
        batch = x.new_zeros(rows, *x.shape[1:])
        batch[placed(places, self.device)] = x[placed(members, self.device)]
        return batch


def _numbers(slots, batch: int) -> np.ndarray:
    """The slots of a batch's rows on the host, int64. Raises ConversionError where they can't be that."""
    if slots is None:
        return np.arange(batch)
    numbers = np.asarray(torch.as_tensor(slots).cpu()).astype(np.int64)
    if numbers.shape != (batch,) or len(np.unique(numbers)) != batch or (batch and numbers.min() < 0):
        raise ConversionError(f"slots must be {batch} different whole numbers >= 0, one per row")
    return numbers
