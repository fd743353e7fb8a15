"""Counting spikes and synaptic operations while the network runs."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from snn.device import placed
from snn.layer import SpikingLayer


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
    """Whole-number counts per layer and slot, kept on the layer's device until they are read.

    A layer's are [2 T + 1, slots]: spikes by step, synaptic operations by step, units whose mean current exceeds theta.
    """

    def __init__(self) -> None:
        self.on = False
        self._counts: dict[int, Tensor] = {}
        self._decisions: Counter[int] = Counter()

    def room(self, layer: SpikingLayer, lo: int, hi: int, timesteps: int) -> tuple[Tensor, Tensor]:
        """What a block of slots lo..hi adds its counts to: [2, T, rows] (T = 0 while not counting) and [rows]."""
        steps = timesteps if self.on else 0
        counts = _grown(self._counts.get(layer.index) if self.on else None, steps, hi, layer.theta)
        if self.on:
            self._counts[layer.index] = counts
        return counts[:-1].view(2, steps, counts.shape[1])[:, :, lo:hi], counts[-1, lo:hi]

    def decided(self, slots: np.ndarray) -> None:
        """One decision has been taken in these slots."""
        if self.on:
            self._decisions.update(slots.tolist())

    def reset(self, mask: np.ndarray | None = None) -> None:
        if mask is None:
            self._counts, self._decisions = {}, Counter()
            return
        slots = np.flatnonzero(mask)
        for counts in self._counts.values():
            counts[:, placed(slots[slots < counts.shape[1]], counts.device)] = 0
        for slot in slots.tolist():
            del self._decisions[slot]

    def read(self, layers: list[SpikingLayer], slots: int, timesteps: int) -> list[Activity]:
        """See `SpikingNetwork.activity`."""
        if not layers:
            return []
        decisions = np.array([self._decisions[slot] for slot in range(slots)], np.int64)
        of_layers = [_grown(self._counts.get(x.index), timesteps, slots, x.theta)[:, :slots] for x in layers]
        every = torch.stack(of_layers).cpu().numpy()  # one transfer
        with np.errstate(invalid="ignore"):
            above = every[:, -1] / (decisions * np.array([[float(layer.units)] for layer in layers]))
        return [
            Activity(x.name, x.units, x.dead, decisions, counts[:timesteps], counts[timesteps:-1], share)
            for x, counts, share in zip(layers, every, above, strict=True)
        ]


def _grown(counts: Tensor | None, timesteps: int, slots: int, like: Tensor) -> Tensor:
    """A layer's counts for at least `slots` slots, new ones 0."""
    if counts is None:
        return like.new_zeros(2 * timesteps + 1, slots, dtype=torch.int64)
    return F.pad(counts, (0, slots - counts.shape[1])) if slots > counts.shape[1] else counts
