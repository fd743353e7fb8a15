"""The result as a table for the terminal."""

import numpy as np

from evaluation.progress import counted
from evaluation.result import Result, RolloutRecord
from evaluation.statistics import half_std


def lines(result: Result) -> list[str]:
    """The lines at the end of a run: the ANN and each reported α, and their limits."""
    assert result.policy and result.conversion and result.alpha and result.ann
    conversion, episodes = result.conversion, len(result.ann.episodes)
    magnitudes = f", {conversion.n_thresholds} magnitudes" if conversion.n_thresholds else ""
    unit = "sum of rewards, cut short" if result.capped else "return"
    lines = [
        *([f"warning: {result.policy.weak}"] if result.policy.weak else []),
        f"{result.task} ({result.obs}), {conversion.neuron.upper()} (T={conversion.timesteps}{magnitudes}), "
        f"{counted(episodes, 'episode')}, seed {result.seeds['seed']}",
        f"{'':24}{unit + ' (± half std)':>34}{'of ANN':>10}{'spikes/unit/step':>18}",
        _row("ANN", result.ann, result.ann, {}),
    ]
    units = {layer.name: layer.units for layer in conversion.layers}
    lines += [_row(name, rollouts, result.ann, units) for name, rollouts in _reported(result)]
    dead = sum(layer.dead for layer in conversion.layers)
    lines.append(
        f"{len(conversion.layers)} spiking layers, {sum(units.values()):,} units, {dead:,} of them silent "
        "(they never fired in calibration)"
    )
    if len(result.alpha.requested) > 1:
        judged_on = "the very episodes of the table, as in the paper: that is optimistic"
        if selection := result.of(result.alpha.chosen, "selection"):
            judged_on = (
                f"{counted(len(selection.episodes), 'selection episode')}; the table shows {episodes} other episodes"
            )
        lines.append(f"α = {result.alpha.chosen:g} was best on {judged_on}")
    if result.capped:
        lines.append("max_decisions cut episodes short: these are sums of rewards, not returns")
    return lines


def one_line(result: Result) -> str:
    """The means of ANN and each reported α, for a job among many."""
    assert result.ann is not None
    base = result.ann.mean_reward_sum()
    means = [(name, rollouts.mean_reward_sum()) for name, rollouts in _reported(result)]
    parts = [f"{name} {mean:.1f}" + (f" ({100 * mean / base:.1f} %)" if base > 0 else "") for name, mean in means]
    return ", ".join([f"ANN {base:.1f}", *parts]) + (", cut short by max_decisions" if result.capped else "")


def _reported(result: Result) -> list[tuple[str, RolloutRecord]]:
    """Each α's method, in words, and report episodes; by ascending α, as they stand in the result."""
    assert result.conversion is not None
    neuron, mode = result.conversion.neuron, result.conversion.mode
    return [(label(neuron, mode, one.alpha or 0.0), one) for one in result.snn if one.stream == "report"]


def label(neuron: str, mode: str, alpha: float) -> str:
    """A method's name as people write it: "IF", "IF+CRPI α=0.5"; the controls by their mode's name."""
    return neuron.upper() + (f"+{'CRPI' if mode == 'residual' else mode} α={alpha:g}" if alpha else "")


def _row(name: str, rollouts: RolloutRecord, ann: RolloutRecord, units: dict[str, int]) -> str:
    sums = [episode.reward_sum for episode in rollouts.episodes]
    spread = f"{np.mean(sums):.1f} ± {half_std(sums):.1f}"
    base = ann.mean_reward_sum()
    ratio = f"{100 * float(np.mean(sums)) / base:.1f} %" if base > 0 else "-"
    # Over units, not layers: a layer of 39,200 units and one of 50 don't count alike.
    spikes = sum(activity.spike_rate * units[activity.name] for activity in rollouts.activity)
    rate = f"{spikes / sum(units.values()):.4f}" if rollouts.activity else "-"
    return f"{name:24}{spread:>34}{ratio:>10}{rate:>18}"
