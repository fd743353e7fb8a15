"""The section on energy: Table 4, counted from the spikes of the reported episodes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from report import energy, figures, paper
from report.document import Block, Column, Entry, Section, Table, Text, number, plain, words
from report.energy import PRESETS, Cost
from report.evidence import Evidence
from report.method import Network, Variant

Costs = dict[tuple[Network, Variant], dict[str, Cost]]


def section(evidence: Evidence, obs: str, folder: Path) -> Section | None:
    """Energy per decision of every method, or None where nothing was counted."""
    costs = costs_of(evidence, obs)
    if not costs:
        return None
    blocks: list[Block] = [
        Text(
            "Synaptic operations (SOPs) are counted from the real spikes of the reported episodes: each spike times the "
            "synapses that it reaches in the next layer, borders counted exactly, a spike once whatever its sign or "
            "magnitude. The first layer receives an analog observation and no spikes. The paper's sum seems to leave it "
            "out; the other two count its multiply-accumulates once per decision (its current is the same at every "
            "simulation step) and at every step. Under differential coding the observation is sent once, so that the "
            "two are the same."
        )
    ]
    for preset in PRESETS:
        blocks.append(_table(costs, preset, obs))
    means = [
        (f"{network.label}   {variant.short}", mean(list(by_task.values())))
        for (network, variant), by_task in costs.items()
    ]
    for preset in PRESETS:
        picture = figures.energy(means, preset, folder, f"energy_{obs}_{preset.name}")
        if picture:
            blocks.append(picture)
    return Section("Energy per decision", blocks)


def layers(evidence: Evidence, obs: str) -> Section | None:
    """SOPs and spikes of every layer."""
    columns = [
        Column("Method", number=False),
        Column("CRPI", number=False),
        Column("Task", number=False),
        Column("Layer", number=False),
        Column("Units"),
        Column("Silent", "units that never fired in calibration"),
        Column("θ", "range over the units that fired"),
        Column("Spikes", "per unit and simulation step, in %"),
        Column("SOPs", "per decision"),
        Column("First step", "share of the SOPs at the first simulation step, in %"),
        Column("Above θ", "share of mean input currents above θ, which spikes can't express, in %"),
    ]
    rows = []
    for network, variant in _methods(evidence, obs):
        for task in evidence.tasks(obs):
            found = evidence.reported.get((network, variant, task))
            if found:
                rows += _layers(evidence, network, variant, task)
    return Section("Every layer", [Table(f"layers_{obs}", columns, rows)], folded=True) if rows else None


def costs_of(evidence: Evidence, obs: str) -> Costs:
    """Method → task → cost, over the reported episodes."""
    found: Costs = {}
    for network, variant in _methods(evidence, obs):
        for task in evidence.tasks(obs):
            reported = evidence.reported.get((network, variant, task))
            if reported:
                episodes = [episode for one in reported.values() for episode in one.episodes.values()]
                cost = energy.cost(network, evidence.macs(obs, task), evidence.layers[network, task], episodes)
                found.setdefault((network, variant), {})[task] = cost
    return found


def _methods(evidence: Evidence, obs: str) -> list[tuple[Network, Variant]]:
    # Controls are there for their returns; what they cost says nothing.
    return [(network, variant) for network, variant in evidence.rows(obs) if not variant.is_control]


def mean(costs: list[Cost]) -> Cost:
    """The mean over tasks, which may differ in their networks' widths; layers are told by name."""
    names = dict.fromkeys(name for cost in costs for name in cost.sops)
    return dataclasses.replace(
        costs[0],
        macs=round(np.mean([cost.macs for cost in costs])),
        analog=round(np.mean([cost.analog for cost in costs])),
        sops={name: float(np.mean([cost.sops.get(name, 0.0) for cost in costs])) for name in names},
    )


def _table(costs: Costs, preset: energy.Preset, obs: str) -> Table:
    columns = [
        Column("Method", number=False),
        Column("CRPI", number=False),
        Column("Tasks", "over which operations are averaged"),
        Column("Operations", "ANN: multiply-accumulates; SNN: SOPs; per decision"),
        Column("Spikes only, µJ", "the paper's way; for the ANN its multiply-accumulates"),
        Column("Analog layer once, µJ"),
        Column("Analog layer at every step, µJ"),
        Column("% of the ANN", "spikes only / analog layer once / analog layer at every step"),
    ]
    rows = []
    tasks = {task: cost for by_task in costs.values() for task, cost in by_task.items()}
    base = mean(list(tasks.values()))
    theirs = paper.ann_energy() if preset.name == "paper" else None
    joules = base.ann(preset)
    rows.append(
        [
            words("ANN"),
            words("–"),
            number(len(tasks), str(len(tasks))),
            number(base.macs, f"{base.macs:,}", f"paper {theirs.operations:.3g}" if theirs else ""),
            number(joules, micro(joules), f"paper {theirs.microjoules:g}" if theirs else ""),
            Entry("–"),
            Entry("–"),
            Entry("100"),
        ]
    )
    for (network, variant), by_task in costs.items():
        cost = mean(list(by_task.values()))
        theirs = paper.energy(network) if preset.name == "paper" else None
        sums = [cost.spikes_only(preset), cost.analog_once(preset), cost.analog_always(preset)]
        sops = sum(cost.sops.values())
        rows.append(
            [
                words(network.label),
                words(variant.label),
                number(len(by_task), str(len(by_task))),
                number(sops, f"{sops:,.0f}", f"paper {theirs.operations:.3g}" if theirs else ""),
                number(sums[0], micro(sums[0]), f"paper {theirs.microjoules:g}" if theirs else ""),
                number(sums[1], micro(sums[1])),
                number(sums[2], micro(sums[2])),
                number(sums[0] / cost.ann(preset), " / ".join(f"{100 * one / cost.ann(preset):.1f}" for one in sums)),
            ]
        )
    caption = f"Preset {preset.name}: {preset.source}."
    if obs == "state" and preset.name == "paper":
        caption += " The paper's figures are of its network from pixels, ours here of a smaller one from states."
    return Table(f"energy_{obs}_{preset.name}", columns, rows, caption)


def micro(joules: float) -> str:
    """Microjoules, three significant figures."""
    value = 1e6 * joules
    return plain(value) if value >= 1 else f"{value:.3g}"


def _layers(evidence: Evidence, network: Network, variant: Variant, task: str) -> list[list[Entry]]:
    found = evidence.reported[network, variant, task]
    episodes = [episode for one in found.values() for episode in one.episodes.values()]
    decisions = sum(episode.decisions for episode in episodes)
    rows = []
    for index, layer in enumerate(evidence.layers[network, task]):
        spikes = sum(sum(episode.spikes[index]) for episode in episodes if episode.spikes)
        sops = np.sum([episode.sops[index] for episode in episodes if episode.sops], axis=0)
        above = sum(e.decisions * e.above_threshold[index] for e in episodes if e.above_threshold) / decisions
        rate = spikes / (layer.units * decisions * len(sops))
        theta = "–" if layer.theta_min is None else f"{layer.theta_min:.3g} to {layer.theta_max:.3g}"
        rows.append(
            [
                words(network.label),
                words(variant.label),
                words(task),
                words(layer.name),
                number(layer.units, f"{layer.units:,}"),
                number(layer.dead, f"{layer.dead:,}"),
                Entry(theta, sort=layer.theta_max),
                number(rate, f"{100 * rate:.2f}"),
                number(sops.sum() / decisions, f"{sops.sum() / decisions:,.0f}"),
                number(sops[0] / sops.sum(), f"{100 * sops[0] / sops.sum():.1f}") if sops.sum() else Entry("–"),
                number(above, f"{100 * above:.2f}"),
            ]
        )
    return rows
