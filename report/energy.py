"""Energy of one decision from counted operations (Xu et al. 2026, Table 4).

The ANN costs a multiply-accumulate per weight use. A spiking network costs a synaptic operation (SOP) per spike that
arrives at a synapse; a spike counts once, whatever its sign or magnitude. Its first layer receives an analog
observation, which no spike count covers: hence three sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
    decision; `sops`: mean over decisions, all layers (each layer's spikes times their fan-out)."""

    macs: int
    analog: int
    analog_times: int
    sops: float

    def joules(self, preset: Preset) -> tuple[float, float, float, float]:
        """Of the ANN; of the spikes alone, the paper's way; with every analog layer computed once, its current kept for
        the other simulation steps; with the analog layers computed anew at every simulation step at which they get an
        input."""
        spikes = self.sops * preset.sop
        once, always = (self.analog * times * preset.mac for times in (1, self.analog_times))
        return self.macs * preset.mac, spikes, spikes + once, spikes + always


def sops_per_decision(episodes: Sequence[EpisodeRecord]) -> float:
    """Synaptic operations of all layers, averaged over all decisions; episodes without counts don't get here (see
    `report.jobs`)."""
    counts = [sum(map(sum, episode.sops or ())) for episode in episodes]
    return sum(counts) / sum(episode.decisions for episode in episodes)


def cost(
    network: Network, macs: list[MacsRecord], layers: list[LayerRecord], episodes: Sequence[EpisodeRecord]
) -> Cost:
    """The cost of one decision, averaged over all decisions of `episodes`; `layers`: the spiking layers, in order."""
    return Cost(
        macs=sum(layer.macs for layer in macs),
        analog=sum(layer.macs for layer in analog_layers(macs, layers)),
        # Differential coding sends the observation once, rate coding at every step.
        analog_times=int(network.timesteps) if network.coding == "rate" else 1,
        sops=sops_per_decision(episodes),
    )


def mean(costs: Sequence[Cost]) -> Cost:
    """The mean over policies or tasks, which may differ in their networks' widths."""
    macs, analog = (round(np.mean([getattr(cost, name) for cost in costs])) for name in ("macs", "analog"))
    return Cost(macs, analog, costs[0].analog_times, float(np.mean([cost.sops for cost in costs])))


def analog_layers(macs: list[MacsRecord], layers: list[LayerRecord]) -> list[MacsRecord]:
    """The layers of the source network that receive no spikes: the first one, and in a hybrid the one behind the part
    that stays analog."""
    spiking = {layer.name for layer in layers}
    before = [None, *(layer.name for layer in macs[:-1])]
    return [layer for layer, source in zip(macs, before) if source not in spiking]
