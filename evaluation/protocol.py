"""The episodes of one run: the ANN's, those that α is chosen on, and those that are reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from evaluation import alpha_selection
from evaluation.conversion import Conversion
from evaluation.episode_store import EpisodeKey, EpisodeOutcome
from evaluation.progress import Progress

Group = tuple[float | None, str]  # α, None for the ANN, and the stream
Episodes = list[tuple[EpisodeKey, EpisodeOutcome]]


@dataclass(frozen=True)
class Played:
    """`episodes` by (α, stream), α None for the ANN; the α `chosen`; how many episodes were `computed` and `reused`;
    `seconds`: wall-clock, calibration left out."""

    episodes: dict[Group, Episodes]
    chosen: float
    computed: int
    reused: int
    seconds: float


def play(conversion: Conversion, select: str, say: Callable[[str], None] = tqdm.write) -> Played:
    """Plays what the conversion's settings ask for, α chosen by `select` ("honest" or "paper").

    The episodes that don't depend on the choice of α are played together, those of the chosen α afterwards.
    """
    started = time.monotonic()
    alphas = conversion.run.settings.alphas
    plan = alpha_selection.plan(alphas, select)
    rollouts = conversion.rollouts()
    episodes: dict[Group, Episodes] = {}
    computed = 0
    with Progress(say) as progress:

        def run(groups: Sequence[Group], later: int) -> None:
            nonlocal computed
            keys = {group: conversion.keys(*group) for group in groups}
            everything = [key for group in keys.values() for key in group]
            missing = sum(key not in rollouts.store for key in everything)
            if missing:
                progress.plan(missing + later, conversion.run.episode_decisions())
            outcomes = rollouts.run(everything, progress)
            episodes.update({name: [(key, outcomes[key.digest]) for key in group] for name, group in keys.items()})
            computed += missing

        run(
            [
                (None, "report"),
                *((alpha, "selection") for alpha in plan.selection),
                *((alpha, "report") for alpha in plan.report),
            ],
            conversion.run.settings.episodes("report") if plan.selection else 0,
        )
        judged_on = "selection" if plan.selection else "report"
        chosen = alpha_selection.best({alpha: mean_reward_sum(episodes[alpha, judged_on]) for alpha in alphas})
        if (chosen, "report") not in episodes:
            run([(chosen, "report")], 0)
    reused = sum(map(len, episodes.values())) - computed
    return Played(episodes, chosen, computed, reused, time.monotonic() - started)


def mean_reward_sum(episodes: Episodes) -> float:
    """Mean over episodes, capped or not."""
    return float(np.mean([outcome.reward_sum for _, outcome in episodes]))
