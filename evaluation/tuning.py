"""One trial of a search over a conversion's options: its return on selection episodes, for a sweeper that optimises.

A trial plays no report episodes at all, so that whatever the search finds has never seen what it is reported on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import envs
from evaluation import selection
from evaluation.conversion import ConversionRun
from evaluation.settings import ConvertSettings
from runtime.files import write_json

TRIAL = "trial.json"


def run(
    settings: ConvertSettings, config: dict[str, Any], folder: Path, say: Callable[[str], None] = tqdm.write
) -> float:
    """Plays `select_episodes` episodes of each α on the selection stream; returns the best α's mean return.

    Where max_decisions cuts episodes short, the mean is of their sums of rewards. Writes trial.json to `folder`: the
    value, the α behind it, every episode, and `config`, the plain configuration. Raises as `conversion.run`.
    """
    this = ConversionRun(settings, say)
    with this.environments:
        thresholds, _ = this.thresholds()
        method = this.method(thresholds)
        groups = {alpha: this.keys(method, alpha, "selection") for alpha in settings.alphas}
        outcomes = this.rollouts(thresholds).run([key for group in groups.values() for key in group])
    means = {
        alpha: float(np.mean([outcomes[key.digest].reward_sum for key in group])) for alpha, group in groups.items()
    }
    chosen = selection.best(means)
    episodes = [
        {
            "alpha": alpha,
            "seed": list(envs.episode_seed(key.stream, key.seed, key.episode)),
            "reward_sum": outcomes[key.digest].reward_sum,
            "capped": outcomes[key.digest].capped,
        }
        for alpha, group in groups.items()
        for key in group
    ]
    trial = {
        "value": means[chosen],
        "alpha": chosen,
        "stream": "selection",
        "policy": {"path": str(this.policy.path), "sha256": this.policy.sha256},
        "episodes": episodes,
        "config": config,
    }
    write_json(folder / TRIAL, trial)
    say(f"selection return {means[chosen]:.1f} with α={chosen:g}, over {settings.selection_episodes} episodes")
    return means[chosen]
