"""The sections on energy: Table 4, counted from the spikes of the reported episodes, and every layer's part of it."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from report import energy, figures, paper
from report.evidence import Evidence
from report.formats import fine_percent, percent, plain
from report.method import ReportMethod
from report.pages import Column, Entry, Section, Table, Text, count, head, number, section, words


def per_decision(evidence: Evidence, obs: str, out: Path) -> Section | None:
    """Energy per decision of every method, or None where nothing was counted."""
    costs: dict[ReportMethod, dict[str, energy.Cost]] = defaultdict(dict)
    for method, task in _counted(evidence, obs):
        costs[method][task] = _cost(evidence, method, task)
    if not costs:
        return None
    lead = Text(
        "Synaptic operations (SOPs) are counted from the real spikes of the reported episodes: each spike times the "
        "synapses that it reaches in the next layer, borders counted exactly, a spike once whatever its sign or "
        "magnitude. The first layer receives an analog observation and no spikes. The paper's sum seems to leave it "
        "out; the other two count its multiply-accumulates once per decision (its current is the same at every "
        "simulation step) and at every step. Under differential coding the observation is sent once, so that the "
        "two are the same."
    )
    means = {method: energy.mean(list(by_task.values())) for method, by_task in costs.items()}
    tables = [_table(costs, means, preset, obs) for preset in energy.PRESETS]
    pictures = [figures.energy(means, preset, out, f"energy_{obs}_{preset.name}") for preset in energy.PRESETS]
    return section("Energy per decision", lead, *tables, *pictures)


def layers(evidence: Evidence, obs: str) -> Section | None:
    """SOPs and spikes of every layer."""
    table = Table(
        f"layers_{obs}",
        columns=[
            *head("Method", "CRPI", "Task", "Layer"),
            Column("Units"),
            Column("Silent", "units that never fired in calibration; range over policies"),
            Column("θ", "range over the units that fired, of all policies"),
            Column("Spikes", "per unit and simulation step, in %"),
            Column("SOPs", "per decision"),
            Column("First step", "share of the SOPs at the first simulation step, in %"),
            Column("Above θ", "share of mean input currents above θ, which spikes can't express, in %"),
        ],
        rows=[row for method, task in _counted(evidence, obs) for row in _layers(evidence, method, task)],
    )
    return section("Every layer", table, folded=True)


def _counted(evidence: Evidence, obs: str) -> list[tuple[ReportMethod, str]]:
    # Controls are there for their returns; what they cost says nothing.
    methods = [method for method in evidence.methods(obs) if not method.variant.is_control]
    return [(method, task) for method in methods for task in evidence.tasks(obs) if evidence.strata(method, task)]


def _cost(evidence: Evidence, method: ReportMethod, task: str) -> energy.Cost:
    """Of all policies of a task, which may be of different widths, over all decisions."""
    layers, strata = evidence.layers[method.network, task], evidence.strata(method, task)
    costs = [
        energy.cost(method.network, evidence.policies[sha][2].macs, layers[sha], list(episodes.values()))
        for sha, episodes in strata.items()
    ]
    return replace(energy.mean(costs), sops=energy.sops_per_decision(evidence.episodes(method, task)))


def _table(
    costs: dict[ReportMethod, dict[str, energy.Cost]],
    means: dict[ReportMethod, energy.Cost],
    preset: energy.Preset,
    obs: str,
) -> Table:
    tasks = {task: cost for by_task in costs.values() for task, cost in by_task.items()}
    base = energy.mean(list(tasks.values()))
    comparable = preset.name == "paper" and tasks.keys() <= set(paper.TASKS)
    theirs = paper.ANN_ENERGY if comparable else None
    ann = [words("ANN"), words("–"), count(len(tasks)), *_beside(base.macs, base.joules(preset)[0], theirs)]
    rows = [[*ann, Entry("–"), Entry("–"), Entry("100")]]
    for method, cost in means.items():
        ann_joules, *sums = cost.joules(preset)
        rows.append(
            [
                words(method.network.label),
                words(method.carried),
                count(len(costs[method])),
                *_beside(cost.sops, sums[0], paper.energy(method.network) if comparable else None),
                *(number(joules, plain(1e6 * joules)) for joules in sums[1:]),
                number(sums[0] / ann_joules, " / ".join(percent(joules / ann_joules) for joules in sums)),
            ]
        )
    larger = " The paper's figures are of its network from pixels, ours here of a smaller one from states."
    return Table(
        f"energy_{obs}_{preset.name}",
        columns=[
            *head("Method", "CRPI"),
            Column("Tasks", "over which operations are averaged"),
            Column("Operations", "ANN: multiply-accumulates; SNN: SOPs; per decision"),
            Column("Spikes only, µJ", "the paper's way; for the ANN its multiply-accumulates"),
            Column("Analog layer once, µJ"),
            Column("Analog layer at every step, µJ"),
            Column("% of the ANN", "spikes only / analog layer once / analog layer at every step"),
        ],
        rows=rows,
        caption=f"Preset {preset.name}: {preset.source}." + (larger if obs == "state" and comparable else ""),
    )


def _beside(operations: float, joules: float, theirs: paper.Energy | None) -> list[Entry]:
    """Operations and microjoules, with the paper's where they can stand beside ours."""
    return [
        count(round(operations), f"paper {theirs.operations:.3g}" if theirs else ""),
        number(joules, plain(1e6 * joules), f"paper {theirs.microjoules:g}" if theirs else ""),
    ]


def _layers(evidence: Evidence, method: ReportMethod, task: str) -> list[list[Entry]]:
    """Of a task's policies those whose layers have the same names and widths together."""
    groups: dict[tuple[tuple[str, int], ...], list[str]] = defaultdict(list)
    strata, layers = evidence.strata(method, task), evidence.layers[method.network, task]
    for sha in strata:
        groups[tuple((layer.name, layer.units) for layer in layers[sha])].append(sha)
    rows = []
    for group in groups.values():
        episodes = [episode for sha in group for episode in strata[sha].values()]
        decisions = sum(episode.decisions for episode in episodes)
        for index, same in enumerate(zip(*(layers[sha] for sha in group), strict=True)):
            layer, dead = same[0], sorted({one.dead for one in same})
            low = min((one.theta_min for one in same if one.theta_min is not None), default=None)
            high = max((one.theta_max for one in same if one.theta_max is not None), default=None)
            spikes = sum(sum(episode.spikes[index]) for episode in episodes if episode.spikes)
            sops = np.sum([episode.sops[index] for episode in episodes if episode.sops], axis=0)
            above = sum(e.decisions * e.above_threshold[index] for e in episodes if e.above_threshold) / decisions
            theta = "–" if low is None else f"{low:.3g} to {high:.3g}"
            rows.append(
                [
                    *map(words, (method.network.label, method.carried, task, layer.name)),
                    count(layer.units),
                    number(dead[-1], " to ".join(f"{silent:,}" for silent in dict.fromkeys((dead[0], dead[-1])))),
                    Entry(theta, sort=high),
                    number(spikes / (layer.units * decisions * len(sops)), fine_percent),
                    count(round(sops.sum() / decisions)),
                    number(sops[0] / sops.sum() if sops.sum() else None, percent),
                    number(above, fine_percent),
                ]
            )
    return rows
