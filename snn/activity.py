"""Counting spikes and synaptic operations while the network runs."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Activity:
    """What a layer did since counting began.

    name       the source layer's name
    units      neurons
    dead       neurons with theta = 0
    decisions  [slots] decisions counted
    spikes     [T, slots] nonzero spikes, whatever their sign or magnitude
    sops       [T, slots] synaptic operations: each spike times its unit's synapses into the next layer (borders exact)
    above      [slots] share of units, averaged over decisions, whose mean input current (under differential coding:
               final running mean) exceeds theta, and so can't be expressed; nan where nothing was counted
    """

    name: str
    units: int
    dead: int
    decisions: np.ndarray
    spikes: np.ndarray
    sops: np.ndarray
    above: np.ndarray


class Recorder:
    """Whole-number counts per layer, step and slot."""

    def __init__(self) -> None:
        self.on = False
        self._counts: dict[int, np.ndarray] = {}
        self._above: dict[int, np.ndarray] = {}
        self._decisions = np.zeros(0, np.int64)

    def room(self, rows: int, timesteps: int) -> tuple[np.ndarray, np.ndarray]:
        """Zeros for one block: counts [2, T, rows] ([2, 0, rows] while not counting) and above [rows]."""
        return np.zeros((2, timesteps if self.on else 0, rows), np.int64), np.zeros(rows, np.int64)

    def add(self, layer: int, lo: int, hi: int, counts: np.ndarray, above: np.ndarray) -> None:
        """Add one block's counts of slots lo..hi."""
        if self.on:
            total = self._counts[layer] = _grown(self._counts.get(layer), (2, counts.shape[1], hi))
            total[:, :, lo:hi] += counts
            over = self._above[layer] = _grown(self._above.get(layer), (hi,))
            over[lo:hi] += above

    def decided(self, slots: np.ndarray) -> None:
        if self.on and len(slots):
            self._decisions = _grown(self._decisions, (int(slots.max()) + 1,))
            self._decisions[slots] += 1

    def reset(self, mask=None) -> None:
        if mask is None:
            self._counts, self._above, self._decisions = {}, {}, np.zeros(0, np.int64)
            return
        slots = np.flatnonzero(np.asarray(torch.as_tensor(mask).cpu(), dtype=bool))
        for array in (*self._counts.values(), *self._above.values(), self._decisions):
            array[..., slots[slots < array.shape[-1]]] = 0

    def read(self, layers, slots: int, timesteps: int) -> list[Activity]:
        decisions = _grown(self._decisions, (slots,))[:slots].copy()
        result = []
        for layer in layers:
            counts = _grown(self._counts.get(layer.index), (2, timesteps, slots))[:, :, :slots]
            over = _grown(self._above.get(layer.index), (slots,))[:slots]
            with np.errstate(invalid="ignore"):
                above = over / (decisions * float(layer.units))
            spikes, sops = counts.copy()
            result.append(Activity(layer.name, layer.units, layer.dead, decisions, spikes, sops, above))
        return result


def _grown(array: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """The array, its last axis filled up with zeros to at least `shape`."""
    if array is None:
        return np.zeros(shape, np.int64)
    missing = shape[-1] - array.shape[-1]
    if missing <= 0:
        return array
    return np.concatenate([array, np.zeros((*array.shape[:-1], missing), np.int64)], axis=-1)
