"""What a network keeps from one decision to the next, for every environment."""

import numpy as np
import torch
from torch import Tensor

from snn.carry import CRPI
from snn.controls import Controls
from snn.device import placed
from snn.errors import ConversionError
from snn.layer import Layer
from snn.neuron import Neuron


class Memory:
    """Per layer and slot what the last decision left (see `snn.carry`), and the controls' keys and counters.

    slots   environments known so far
    kept    per layer [capacity, units]; rows beyond `slots` are padding
    """

    def __init__(self, neuron: Neuron, crpi: CRPI) -> None:
        self.neuron, self.rule = neuron, crpi.rule
        self.controls = Controls(crpi.rule.control, crpi.seed)
        self.slots = 0
        self.kept: list[Tensor] = []
        self._layers: list[Layer] = []

    def fit(self, layers: list[Layer]) -> None:
        """Serve these layers from now on; what was kept is forgotten."""
        self._layers, self.kept = layers, []

    def forget(self) -> None:
        """No environment is known any more."""
        self.slots, self.kept = 0, []
        self.controls.restart(None)

    def reset(self, mask, keys) -> None:
        """See `SpikingNetwork.reset`."""
        if mask is None:
            self.forget()
            if keys is None:
                return
            mask = np.ones(len(keys), dtype=bool)
        mask = np.asarray(torch.as_tensor(mask).cpu())
        if mask.dtype != bool or mask.ndim != 1 or len(mask) < self.slots:
            raise ConversionError(f"mask must be booleans, one for each of {self.slots} environments")
        if keys is not None and len(keys) != len(mask):
            raise ConversionError(f"keys must hold one number for each of {len(mask)} environments, got {len(keys)}")
        self.grow(len(mask))
        self.controls.restart(mask, keys)
        for kept, layer in zip(self.kept, self._layers, strict=True):
            kept[placed(np.flatnonzero(mask), kept.device)] = self._blank(layer)

    def grow(self, slots: int, capacity: int = 0) -> None:
        """Know at least `slots` environments and have room for `capacity`; new ones stand at an episode's start."""
        self.slots = max(self.slots, slots)
        capacity = max(capacity, self.slots)
        self.controls.grow(capacity)
        for i, layer in enumerate(self._layers):
            if i == len(self.kept):
                self.kept.append(layer.theta.new_empty(0, layer.units))
            missing = capacity - len(self.kept[i])
            if missing > 0:
                self.kept[i] = torch.cat([self.kept[i], self._blank(layer).expand(missing, -1)])

    def start(self, layer: Layer, slots: np.ndarray) -> Tensor:
        """What the coming decision of these slots starts from, [rows, units]; a copy."""
        i = layer.index
        if i < len(self.kept) and slots.max() < len(self.kept[i]):
            kept = self.kept[i][placed(slots, layer.theta.device)]
        else:
            kept = self._blank(layer).repeat(len(slots), 1)
        return self.controls.start(layer, slots, kept)

    def residuals(self) -> list[Tensor]:
        """See `SpikingNetwork.residuals`."""
        shown = []
        for layer, kept in zip(self._layers, self.kept):  # nothing is kept before the first decision
            kept = kept[: self.slots]
            shown.append(
                torch.where(
                    layer.theta > 0, kept / layer.theta - self._blank(layer) / layer.theta, torch.zeros_like(kept)
                )
            )
        return shown

    def get_state(self) -> dict:
        kept = [kept.clone() for kept in self.kept]
        return {"slots": self.slots, "kept": kept, "controls": self.controls.get_state()}

    def set_state(self, state: dict) -> None:
        self.slots = state["slots"]
        self.kept = [kept.clone() for kept in state["kept"]]
        self.controls.set_state(state["controls"])

    def _blank(self, layer: Layer) -> Tensor:
        return self.rule.blank(self.neuron.rule.v_base * layer.theta)
