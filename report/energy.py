"""Energy of one decision from counted operations (Xu et al. 2026, Table 4).

The ANN costs a multiply-accumulate per weight use. A spiking network costs a synaptic operation (SOP) per spike that
arrives at a synapse; a spike counts once, whatever its sign or magnitude. Its first layer receives an analog
observation, which no spike count covers: hence three sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evaluation.result import EpisodeRecord, LayerRecord, MacsRecord
from report.method import Network


@dataclass(frozen=True)
class Preset:
    """Joules per multiply-accumulate and per synaptic operation."""

    name: str
    source: str
    mac: float
    sop: float


PRESETS = (
    Preset("paper", "Xu et al. 2026, Table 4: 12.5 pJ per multiply-accumulate, 77 fJ per SOP", 12.5e-12, 77e-15),
    Preset(
        "45nm", "45 nm CMOS, Horowitz 2014: 4.6 pJ per multiply-accumulate, 0.9 pJ per accumulate", 4.6e-12, 0.9e-12
    ),
)


@dataclass(frozen=True)
class Cost:
    """Operations of one decision. `macs`: of the ANN, all layers; `analog`: multiply-accumulates of the spiking
    network's layers whose input is analog; `analog_times`: how often the network's input reaches them within a
    decision; `sops`: mean over decisions, layer by layer (each layer's spikes times their fan-out)."""

    macs: int
    analog: int
    analog_times: int
    sops: dict[str, float]

    def ann(self, preset: Preset) -> float:
        """Joules of the ANN."""
        return self.macs * preset.mac

    def spikes_only(self, preset: Preset) -> float:
        """Joules of the spikes alone, the paper's way: the analog layers left out."""
        return sum(self.sops.values()) * preset.sop

    def analog_once(self, preset: Preset) -> float:
        """Joules with every analog layer computed once, its current kept for the other simulation steps."""
        return self.spikes_only(preset) + self.analog * preset.mac

    def analog_always(self, preset: Preset) -> float:
        """Joules with the analog layers computed anew at every simulation step at which they get an input."""
        return self.spikes_only(preset) + self.analog * self.analog_times * preset.mac


def cost(
    network: Network, macs: list[MacsRecord], layers: list[LayerRecord], episodes: Iterable[EpisodeRecord]
) -> Cost:
    """The cost of one decision, averaged over all decisions of `episodes`; `layers`: the spiking layers, in order.

    Raises ValueError where the episodes hold no counts.
    """
    decisions, totals = 0, [0] * len(layers)
    for episode in episodes:
        if episode.sops is None:
            raise ValueError("these episodes hold no counts of synaptic operations")
        decisions += episode.decisions
        totals = [total + sum(steps) for total, steps in zip(totals, episode.sops, strict=True)]
    if not decisions:
        raise ValueError("no episode to count synaptic operations in")
    # Differential coding sends the observation once, rate coding at every step.
    steps = int(network.timesteps) if network.coding == "rate" else 1
    return Cost(
        macs=sum(layer.macs for layer in macs),
        analog=sum(layer.macs for layer in analog_layers(macs, layers)),
        analog_times=steps,
        sops={layer.name: total / decisions for layer, total in zip(layers, totals)},
    )


def analog_layers(macs: list[MacsRecord], layers: list[LayerRecord]) -> list[MacsRecord]:
    """The layers of the source network that receive no spikes: the first one, and in a hybrid the one behind the part
    that stays analog."""
    spiking = {layer.name for layer in layers}
    before = [None, *(layer.name for layer in macs[:-1])]
    return [layer for layer, source in zip(macs, before) if source not in spiking]
