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
from collections import Counter
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
    """By slot: keys, decision counters and (mode random) the pools of residuals, which other carry rules don't use."""

    def __init__(self, control: str | None, seed: int) -> None:
        self.control, self.seed = control, seed
        self._keys: dict[int, int] = {}  # a slot without one has its own number
        self._index: Counter[int] = Counter()  # decisions since the key was set: the draws' index
        self._age: Counter[int] = Counter()  # decisions in this episode
        self._pools: dict[tuple[int, int], np.ndarray] = {}  # by layer and slot, [_POOL]

    def restart(self, mask: np.ndarray | None, keys: Sequence[int] | None = None) -> None:
        """An episode begins in the slots of `mask` (None: in all); with keys, so do their streams."""
        whole = None if keys is None else [checks.whole("key", key, 0, 2**64 - 1) for key in keys]
        for slot in list(self._age) if mask is None else np.flatnonzero(mask).tolist():
            del self._age[slot]
            if whole is not None:
                self._keys[slot] = whole[slot]
                del self._index[slot]

    def start(self, layer: SpikingLayer, slots: np.ndarray, kept: Tensor) -> Tensor:
        """The residuals [rows, units] that the coming decision starts from, in place of those `kept`."""
        if self.control is None:
            return kept
        live = layer.live
        relative = np.zeros(kept.shape)
        source = _on_host(layer.relative(kept)) if self.control == "shuffled" else relative
        for row, slot in enumerate(slots.tolist()):
            if self._age[slot] == 0 or len(live) == 0:
                continue
            rng = self._rng(_DRAW, layer.index, slot)
            if self.control == "shuffled":
                relative[row, live] = rng.permutation(source[row, live])
            else:
                relative[row, live] = self._pools[layer.index, slot][rng.integers(_POOL, size=len(live))]
        return placed(relative, kept.device).to(kept.dtype) * layer.theta

    def observe(self, layer: SpikingLayer, slots: np.ndarray, places: np.ndarray, kept: Tensor) -> None:
        """Mode random: take the residuals of the `places` that decided into the environments' pools."""
        if self.control != "random":
            return
        live, relative = layer.live, _on_host(layer.relative(kept))
        for row, slot in zip(places, slots[places].tolist()) if len(live) else ():
            rng = self._rng(_KEEP, layer.index, slot)
            # Reservoir: after k decisions each place holds any of them with equal chance. The first fills all.
            replaced = rng.random(_POOL) < 1 / (self._age[slot] + 1)
            drawn = relative[row, live[rng.integers(len(live), size=_POOL)]]
            self._pools[layer.index, slot] = np.where(replaced, drawn, self._pools.get((layer.index, slot), drawn))

    def decided(self, slots: np.ndarray) -> None:
        """One decision has been taken in these slots."""
        for counter in (self._index, self._age):
            counter.update(slots.tolist())

    def get_state(self) -> tuple[Any, ...]:
        return copy.deepcopy((self._keys, self._index, self._age, self._pools))

    def set_state(self, state: tuple[Any, ...]) -> None:
        self._keys, self._index, self._age, self._pools = copy.deepcopy(state)

    def _rng(self, stream: int, layer: int, slot: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self._keys.get(slot, slot), self._index[slot], layer, stream])


def _on_host(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()
