"""The episodes of one run: the ANN's, those that α is chosen on, and those that are reported."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from evaluation import selection
from evaluation.environments import Environments
from evaluation.episode_store import EpisodeKey, EpisodeOutcome
from evaluation.progress import Progress
from evaluation.rollout import Rollouts
from evaluation.settings import ConvertSettings

Episodes = list[tuple[EpisodeKey, EpisodeOutcome]]
Groups = dict[tuple[float | None, str], list[EpisodeKey]]


@dataclass(frozen=True)
class Played:
    """`episodes` by (α, stream), α None for the ANN; the α `chosen`; how many episodes were `computed` and `reused`;
    `seconds`: wall-clock, calibration left out."""

    episodes: dict[tuple[float | None, str], Episodes]
    chosen: float
    computed: int
    reused: int
    seconds: float


def play(
    settings: ConvertSettings,
    keys: Callable[[float | None, str], list[EpisodeKey]],
    rollouts: Rollouts,
    environments: Environments,
    say: Callable[[str], None] = tqdm.write,
) -> Played:
    """Plays what `settings` asks for; `keys(alpha, stream)` names the episodes of one α on one stream.

    The episodes that don't depend on the choice of α are played together, those of the chosen α afterwards.
    """
    started = time.monotonic()
    trying = selection.to_select(settings.alphas, settings.select)
    known = [0.0] if trying else list(settings.alphas)
    groups = [(None, "report"), *((alpha, "selection") for alpha in trying), *((alpha, "report") for alpha in known)]
    first: Groups = {group: keys(*group) for group in groups}
    with Progress(say) as progress:
        later = settings.report_episodes if trying else 0
        computed = _plan(progress, first, later, settings, rollouts, environments)
        outcomes = rollouts.run([key for group in first.values() for key in group], progress)
        judged = {alpha: first[alpha, "selection" if trying else "report"] for alpha in settings.alphas}
        chosen = selection.best(
            {alpha: _mean([outcomes[key.digest] for key in group]) for alpha, group in judged.items()}
        )
        reported = selection.to_report(settings.alphas, settings.select, chosen)
        second: Groups = {
            (alpha, "report"): keys(alpha, "report") for alpha in reported if (alpha, "report") not in first
        }
        computed += _plan(progress, second, 0, settings, rollouts, environments)
        outcomes |= rollouts.run([key for group in second.values() for key in group], progress)
    episodes = {name: [(key, outcomes[key.digest]) for key in group] for name, group in (first | second).items()}
    return Played(episodes, chosen, computed, sum(map(len, episodes.values())) - computed, time.monotonic() - started)


def _plan(
    progress: Progress,
    groups: Groups,
    later: int,
    settings: ConvertSettings,
    rollouts: Rollouts,
    environments: Environments,
) -> int:
    """Tells `progress` what is to come, `later` episodes that can't be named yet included; returns how many are missing
    now. Nothing is started where nothing is missing."""
    missing = sum(key not in rollouts.store for group in groups.values() for key in group)
    if missing:
        decisions = environments.up_to(missing).max_episode_decisions
        progress.plan(missing + later, min(decisions, settings.max_decisions or decisions))
    return missing


def _mean(outcomes: list[EpisodeOutcome]) -> float:
    return float(np.mean([outcome.reward_sum for outcome in outcomes]))
