"""The spiking network: a converted module that decides for a batch of environments and remembers between decisions."""

import numpy as np
import torch
from torch import Tensor

from snn import codings, crpi
from snn.activity import Activity, Recorder
from snn.chain import Chain
from snn.chunks import Chunking
from snn.controls import Controls
from snn.errors import ConversionError
from snn.info import LayerInfo
from snn.kernels import M_OUT, C
from snn.layer import BuiltSegment, Layer
from snn.neuron import Neuron
from snn.recurrence import Block, advance, new_state
from snn.synapse import flatten, unflatten
from snn.trace import Trace, trace

MAX_ALPHA = 2.0


class SpikingNetwork:
    """A converted network. Made by `snn.convert` or `snn.load`.

    Each row of the batch is one environment with a slot of its own, in which its residuals live from one decision to
    the next. `reset` begins an episode, a call decides once.

    timesteps        T, simulation steps a decision
    neuron           rule, coding, number of magnitudes
    thresholds       per layer, one per channel (convolution) or unit
    mode, seed       what CRPI carries: residual, random, shuffled or carry; the controls' randomness
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
        alpha: float | Tensor,
        compute_dtype: torch.dtype,
        mode: str,
        seed: int,
        max_batch_bytes: int,
        chunk_rows: int | None,
    ) -> None:
        self.compute_dtype = compute_dtype
        self.state_dtype = torch.float32 if compute_dtype is torch.bfloat16 else compute_dtype
        self.chain = chain.to(dtype=self.state_dtype)
        self.device = chain.device
        self.thresholds = [theta.to(self.device, self.state_dtype) for theta in thresholds]
        self.neuron, self.timesteps, self.mode, self.seed = neuron, timesteps, mode, seed
        self.chunking = Chunking(max_batch_bytes, chunk_rows)
        self.alpha = alpha
        self._segments: list[BuiltSegment] = []
        self._in_shape: tuple[int, ...] | None = None
        self._kept: list[Tensor] = []  # per layer, [slots, units]: what the last decision left
        self._controls = Controls(mode, seed)
        self._recorder = Recorder()
        self._slots = 0

    # --- what a caller sets and asks ---------------------------------------------------------------------------

    @property
    def alpha(self) -> float | Tensor:
        """CRPI's factor, in [0, 2]: one number, or a tensor with one per slot. 0 is plain conversion."""
        return self._alpha

    @alpha.setter
    def alpha(self, value: float | Tensor) -> None:
        as_tensor = torch.as_tensor(value, dtype=self.state_dtype)
        if as_tensor.dim() > 1 or not torch.isfinite(as_tensor).all() or not ((as_tensor >= 0) & (as_tensor <= MAX_ALPHA)).all():
            raise ConversionError(f"alpha={value!r} must be a number from 0 to {MAX_ALPHA:g}, or one per environment")
        self._alpha = float(value) if as_tensor.dim() == 0 else as_tensor.clone()

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
            f"SpikingNetwork({n.rule.name}, {n.coding.name}, T={self.timesteps}, alpha={self.alpha}, "
            f"mode={self.mode}, layers={[layer.name for layer in self.layers]})"
        )

    def to(self, device: torch.device | str) -> "SpikingNetwork":
        """Move to another device; what was carried is forgotten. Returns self."""
        self.device = torch.device(device)
        self.chain = self.chain.to(self.device)
        self.thresholds = [theta.to(self.device) for theta in self.thresholds]
        self._in_shape, self._segments, self._kept, self._slots = None, [], [], 0
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
        if mask is None:
            self._slots, self._kept = 0, []
            self._controls.restart(None)
            if keys is None:
                return
            mask = np.ones(len(keys), dtype=bool)
        mask = np.asarray(torch.as_tensor(mask).cpu())
        if mask.dtype != bool or mask.ndim != 1 or len(mask) < self._slots:
            raise ConversionError(f"mask must be booleans, one for each of {self._slots} environments")
        if keys is not None and len(keys) != len(mask):
            raise ConversionError(f"keys must hold one number for each of {len(mask)} environments, got {len(keys)}")
        self._grow(len(mask))
        self._controls.restart(mask, keys)
        rows = torch.from_numpy(mask).to(self.device)
        for kept, layer in zip(self._kept, self._built_layers, strict=True):
            kept[: len(mask)][rows] = crpi.blank(layer.theta, self.neuron.rule, self.mode)

    def get_state(self) -> dict:
        """A copy of all that the next decision depends on, for `set_state`."""
        return {
            "slots": self._slots,
            "in_shape": self._in_shape,
            "kept": [kept.clone() for kept in self._kept],
            "controls": self._controls.get_state(),
        }

    def set_state(self, state: dict) -> None:
        """Go back to a state of this same network."""
        if state["in_shape"] is not None:
            self._build(state["in_shape"])
        self._slots = state["slots"]
        self._kept = [kept.clone() for kept in state["kept"]]
        self._controls.set_state(state["controls"])

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
        rows = self.chunking.plan(self._segments, self.timesteps, self._slots)
        self._grow(self._slots, rows.capacity)
        y = torch.empty(len(x), *self._segments[-1].out_shape, dtype=self.state_dtype, device=self.device)
        for lo, hi in rows.chunks:
            members = np.flatnonzero((slots >= lo) & (slots < hi))
            if len(members) == 0:
                continue
            places = slots[members] - lo
            out = self._decide(_placed(x, members, places, hi - lo), lo, hi, places, rows.steps)
            y[torch.from_numpy(members).to(self.device)] = out[torch.from_numpy(places).to(self.device)]
        self._controls.decided(slots)
        return y

    def trace(self, x: Tensor, slots=None) -> Trace:
        """What the next decision would do, step by step, next to the source network; nothing is carried.

        x, slots as for a call. See `snn.Trace`, whose histories take 16 T bytes for each unit and row (float32).
        """
        x = self._checked(x)
        if slots is None and self._slots not in (0, len(x)):
            raise ConversionError(f"the batch has {len(x)} rows, but {self._slots} environments are running; name their slots")
        slots = np.arange(len(x)) if slots is None else np.asarray(slots, np.int64)
        start = [
            self._controls.start(i, slots, layer.theta, self._start_of(i, layer, slots))
            for i, layer in enumerate(self._built_layers)
        ]
        alpha = self._alpha_rows(0, int(slots.max()) + 1)[torch.from_numpy(slots).to(self.device)]
        return trace(self, x, start, alpha)

    def residuals(self) -> list[Tensor]:
        """What the last decision left, per layer [slots, units], in units of theta (0 for units without a threshold):
        CRPI's residual max(v[T] - v[0], -c[T]), under mode carry v[T] - v_base. Zeros at an episode's start."""
        base = self.neuron.rule.v_base if self.mode == "carry" else 0.0
        return [
            torch.where(layer.theta > 0, kept[: self._slots] / layer.theta - base, torch.zeros_like(kept[: self._slots]))
            for layer, kept in zip(self._built_layers, self._kept, strict=True)
        ]

    # --- activity ----------------------------------------------------------------------------------------------

    def record(self, on: bool = True) -> None:
        """Count spikes and synaptic operations from now on (or stop)."""
        self._recorder.on = on

    def activity(self) -> list[Activity]:
        """What was counted since `record` or `reset_activity`, per layer. See `snn.Activity`."""
        return self._recorder.read(self._built_layers, self._slots, self.timesteps)

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
        if self._in_shape != tuple(x.shape[1:]):
            if self._slots and self._kept:
                raise ConversionError(f"the input's shape changed from {self._in_shape} to {tuple(x.shape[1:])}; reset first")
            self._build(tuple(x.shape[1:]))
        return x

    def _checked_slots(self, slots, batch: int) -> np.ndarray:
        if slots is None:
            if self._slots not in (0, batch):
                raise ConversionError(
                    f"the batch has {batch} rows, but {self._slots} environments are running; name the rows' slots, "
                    "or begin anew with reset()"
                )
            slots = np.arange(batch)
        slots = np.asarray(torch.as_tensor(slots).cpu()).astype(np.int64)
        if slots.shape != (batch,) or len(np.unique(slots)) != batch or (batch and slots.min() < 0):
            raise ConversionError(f"slots must be {batch} different whole numbers >= 0, one per row")
        self._slots = max(self._slots, int(slots.max()) + 1 if batch else 0)
        if isinstance(self._alpha, Tensor) and len(self._alpha) < self._slots:
            raise ConversionError(f"alpha holds {len(self._alpha)} values for {self._slots} environments")
        return slots

    def _build(self, in_shape: tuple[int, ...]) -> None:
        if in_shape == self._in_shape:
            return
        segments, shape, first = [], in_shape, 0
        for segment in self.chain.segments:
            built = BuiltSegment(segment, first, shape, self.thresholds, self.state_dtype, self.compute_dtype)
            segments.append(built)
            first, shape = first + len(built.layers), built.out_shape
        self._segments, self._in_shape, self._kept = segments, in_shape, []

    def _grow(self, slots: int, capacity: int | None = None) -> None:
        self._slots = max(self._slots, slots)
        capacity = max(capacity or 0, self._slots)
        self._controls.grow(capacity)
        for i, layer in enumerate(self._built_layers):
            if i == len(self._kept):
                self._kept.append(self.thresholds[0].new_empty(0, layer.units))
            missing = capacity - len(self._kept[i])
            if missing > 0:
                blank = crpi.blank(layer.theta, self.neuron.rule, self.mode)
                self._kept[i] = torch.cat([self._kept[i], blank.expand(missing, -1)])

    def _start_of(self, i: int, layer: Layer, slots: np.ndarray) -> Tensor:
        if i < len(self._kept) and slots.max() < len(self._kept[i]):
            return self._kept[i][torch.from_numpy(slots).to(self.device)]
        return crpi.blank(layer.theta, self.neuron.rule, self.mode).repeat(len(slots), 1)

    def _alpha_rows(self, lo: int, hi: int) -> Tensor:
        alpha = torch.zeros(hi - lo, dtype=self.state_dtype, device=self.device)
        if isinstance(self._alpha, Tensor):
            part = self._alpha[lo:hi]
            alpha[: len(part)] = part.to(self.device)
        else:
            alpha.fill_(self._alpha)
        return alpha

    def _decide(self, x: Tensor, lo: int, hi: int, places: np.ndarray, steps: int) -> Tensor:
        active = torch.zeros(hi - lo, dtype=torch.bool, device=self.device)
        active[torch.from_numpy(places).to(self.device)] = True
        alpha = self._alpha_rows(lo, hi)
        for segment in self._segments:
            x = self._run_segment(segment, x, lo, hi, active, alpha, steps)
        self._recorder.decided(lo + places)
        return x

    def _run_segment(self, segment, x, lo, hi, active, alpha, steps) -> Tensor:
        for op in segment.pre:
            x = op(x)
        if not segment.layers:
            return segment.decode(x)
        rows = hi - lo
        slots = np.arange(lo, hi)
        first, last = segment.layers[0], segment.layers[-1]
        analog = first.synapse(flatten(x))[None]  # the input's current, computed once for all T steps
        starts = [
            self._controls.start(layer.index, slots, layer.theta, self._kept[layer.index][lo:hi])
            for layer in segment.layers
        ]
        states = [new_state(rows, layer.units, layer.theta) for layer in segment.layers]
        for t0 in range(0, self.timesteps, steps):
            s = min(steps, self.timesteps - t0)
            spikes = None
            for i, (layer, start, state) in enumerate(zip(segment.layers, starts, states, strict=True)):
                current = analog if layer is first else layer.synapse(spikes).view(s, rows, layer.units)
                emit = layer is not last
                out_dtype = segment.layers[i + 1].synapse.dtype if emit else current.dtype
                if emit and layer is not first and current.dtype is out_dtype:
                    out = current  # spikes replace the currents that made them
                else:
                    out = current.new_empty(s, rows if emit else 1, layer.units if emit else 1, dtype=out_dtype)
                counts, above = self._recorder.room(rows, self.timesteps)
                block = Block(
                    current, layer is first, out, emit, start, self._kept[layer.index][lo:hi], active, alpha, state, layer.theta,
                    layer.synapse.bias, layer.gain, layer.fan_out, counts, above, t0, self.timesteps,
                )  # fmt: skip
                advance(self.neuron, self.mode, block)
                self._recorder.add(layer.index, lo, hi, counts, above)
                spikes = out.view(s * rows, layer.units) if emit else None
        for layer in segment.layers:
            self._controls.observe(layer.index, slots, active, layer.theta, self._kept[layer.index][lo:hi])
        mean = states[-1][M_OUT] if self.neuron.coding is codings.DIFFERENTIAL else states[-1][C] / self.timesteps
        return segment.decode(unflatten(mean, last.shape))


def _placed(x: Tensor, members: np.ndarray, places: np.ndarray, rows: int) -> Tensor:
    """The rows `members` of x at `places` of a batch of `rows`, zeros elsewhere."""
    if len(members) == rows == places[-1] + 1 and (np.diff(places) == 1).all() and (np.diff(members) == 1).all():
        return x[members[0] : members[0] + rows]
    placed = x.new_zeros(rows, *x.shape[1:])
    placed[torch.from_numpy(places).to(x.device)] = x[torch.from_numpy(members).to(x.device)]
    return placed
