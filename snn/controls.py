"""CRPI's controls: the same amount of perturbation with its meaning taken away, to tell CRPI's gain from dithering.

residual   the method: each unit gets its own residual
carry      v[0] = v[T], unclipped
shuffled   each environment's residuals of the last decision, in units of theta, are permuted across a layer's live
           units: same values, wrong units
random     each unit draws from the residuals (in units of theta) that the environment's layer has shown over the
           episode so far, all decisions and live units alike: same distribution, no memory of any one decision

Draws are a pure function of (seed, the environment's key, its decision index, the layer), on every device.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from snn import checks
from snn.device import placed
from snn.layer import SpikingLayer

_POOL = 4096  # residuals kept per environment and layer: a uniform sample of all shown in the episode
_DRAW, _KEEP = 0, 1  # two independent streams


class Controls:
    """Keys, decision counters and (mode random) the pools of residuals; nothing at all for other carry rules."""

    def __init__(self, control: str | None, seed: int) -> None:
        self.control, self.seed = control, seed
        self._keys = np.zeros(0, np.uint64)
        self._index = np.zeros(0, np.int64)  # decisions since the key was set: the draws' index
        self._age = np.zeros(0, np.int64)  # decisions in this episode
        self._pools: dict[int, np.ndarray] = {}  # per layer, [slots, _POOL]

    def grow(self, slots: int) -> None:
        """Room for `slots` environments; a new one's key is its slot."""
        new = np.arange(len(self._keys), slots, dtype=np.uint64)
        if len(new):
            self._keys = np.append(self._keys, new)
            self._index, self._age = (np.pad(counts, (0, len(new))) for counts in (self._index, self._age))

    def restart(self, mask: np.ndarray | None, keys: Sequence[int] | None = None) -> None:
        """An episode begins in the slots of `mask` (None: in all); with keys, so do their streams."""
        slots = np.arange(len(self._keys)) if mask is None else np.flatnonzero(mask)
        self._age[slots] = 0
        if keys is not None:
            whole = [checks.whole("key", key, 0, 2**64 - 1) for key in keys]
            self._keys[slots] = np.array(whole, np.uint64)[slots]
            self._index[slots] = 0

    def start(self, layer: SpikingLayer, slots: np.ndarray, kept: Tensor) -> Tensor:
        """The residuals [rows, units] that the coming decision starts from, in place of those `kept`."""
        if self.control is None:
            return kept
        live = layer.live
        relative = np.zeros(kept.shape)
        source = _on_host(layer.relative(kept)) if self.control == "shuffled" else relative
        for row, slot in enumerate(slots):
            if slot >= len(self._keys) or self._age[slot] == 0 or len(live) == 0:
                continue
            rng = self._rng(_DRAW, layer.index, slot)
            if self.control == "shuffled":
                relative[row, live] = rng.permutation(source[row, live])
            else:
                relative[row, live] = self._pools[layer.index][slot, rng.integers(_POOL, size=len(live))]
        return placed(relative, kept.device).to(kept.dtype) * layer.theta

    def observe(self, layer: SpikingLayer, slots: np.ndarray, places: np.ndarray, kept: Tensor) -> None:
        """Mode random: take the residuals of the `places` that decided into the environments' pools."""
        if self.control != "random":
            return
        live = layer.live
        pools = self._pools.get(layer.index, np.zeros((0, _POOL)))
        if len(pools) < len(self._keys):
            pools = np.pad(pools, ((0, len(self._keys) - len(pools)), (0, 0)))
        self._pools[layer.index] = pools
        relative = _on_host(layer.relative(kept))
        for row, slot in zip(places, slots[places]) if len(live) else ():
            rng = self._rng(_KEEP, layer.index, slot)
            # Reservoir: after k decisions each place holds any of them with equal chance.
            replaced = rng.random(_POOL) < 1 / (self._age[slot] + 1)
            drawn = relative[row, live[rng.integers(len(live), size=_POOL)]]
            pools[slot] = np.where(replaced, drawn, pools[slot])

    def decided(self, slots: np.ndarray) -> None:
        """One decision has been taken in these slots."""
        self._index[slots] += 1
        self._age[slots] += 1

    def get_state(self) -> tuple[Any, ...]:
        return copy.deepcopy((self._keys, self._index, self._age, self._pools))

    def set_state(self, state: tuple[Any, ...]) -> None:
        self._keys, self._index, self._age, self._pools = copy.deepcopy(state)

    def _rng(self, stream: int, layer: int, slot: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, int(self._keys[slot]), int(self._index[slot]), layer, stream])


def _on_host(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()
