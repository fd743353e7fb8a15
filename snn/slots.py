"""What a network keeps from one decision to the next, for every environment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snn import checks
from snn.carry import CRPI
from snn.checks import ConversionError
from snn.crpi_controls import Controls
from snn.device import placed
from snn.layer import SpikingLayer


class Slots:
    """The environments that are known, `count` of them, and the controls' keys and counters.

    What a layer keeps of each slot (see `snn.carry`) is its neurons' `carried` [capacity, units]; rows beyond `count`
    are padding.
    """

    def __init__(self, crpi: CRPI, layers: Sequence[SpikingLayer] = ()) -> None:
        self.controls = Controls(crpi.rule.control, crpi.seed)
        self.count = 0
        self.fit(layers)

    def fit(self, layers: Sequence[SpikingLayer]) -> None:
        """Serve these layers from now on; what was kept is forgotten."""
        self._layers = list(layers)
        self._forget()

    def _forget(self) -> None:
        for layer in self._layers:
            layer.neurons.carried = None

    def kept(self, layer: SpikingLayer, rows: int = 0) -> Tensor:
        """What a layer keeps, [capacity, units], to be read and written; with more `rows` a copy, in which the new ones
        stand at an episode's start."""
        carried = layer.neurons.carried
        kept = layer.theta.new_empty(0, layer.units) if carried is None else carried
        return torch.cat([kept, layer.blank().expand(rows - len(kept), -1)]) if rows > len(kept) else kept

    @property
    def started(self) -> bool:
        """Has there been a decision since the layers, or all episodes, began?"""
        return any(layer.neurons.carried is not None for layer in self._layers)

    def reset(self, mask: Any, keys: Any) -> None:
        """See `SpikingNetwork.reset`."""
        if mask is None:
            self.count = 0
            self._forget()
            self.controls.restart(None)
            if keys is None:
                return
            mask = np.ones(len(keys), dtype=bool)
        mask = checks.mask(mask, self.count)
        if keys is not None and len(keys) != len(mask):
            raise ConversionError(f"keys must hold one number for each of {len(mask)} environments, got {len(keys)}")
        self.grow(len(mask), len(mask))
        self.controls.restart(mask, keys)
        for layer in self._layers:
            kept = self.kept(layer)
            kept[placed(np.flatnonzero(mask), kept.device)] = layer.blank()

    def grow(self, count: int, capacity: int) -> None:
        """Know at least `count` environments and have room for `capacity`; new ones stand at an episode's start."""
        self.count = max(self.count, count)
        capacity = max(capacity, self.count)
        for layer in self._layers:
            layer.neurons.carried = self.kept(layer, capacity)

    def start(self, layer: SpikingLayer, slots: np.ndarray) -> Tensor:
        """What the coming decision of these slots starts from, [rows, units]; a copy."""
        kept = self.kept(layer, int(slots.max()) + 1)
        return self.controls.start(layer, slots, kept[placed(slots, kept.device)])

    def get_state(self) -> dict[str, Any]:
        kept = [self.kept(layer).clone() for layer in self._layers]
        return {"count": self.count, "kept": kept, "controls": self.controls.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        # Before the first decision there are no layers yet.
        kept = state["kept"] or [layer.theta.new_empty(0, layer.units) for layer in self._layers]
        if [entry.shape[1] for entry in kept] != [layer.units for layer in self._layers]:
            raise ValueError("it has other layers")
        self.controls.set_state(state["controls"])
        self.count = state["count"]
        for layer, entry in zip(self._layers, kept, strict=True):
            layer.neurons.carried = entry.clone() if len(entry) else None
