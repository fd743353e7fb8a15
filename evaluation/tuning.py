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
from evaluation.conversion import Run
from evaluation.settings import Settings
from runtime.files import write_json

TRIAL = "trial.json"


def run(settings: Settings, config: dict[str, Any], folder: Path, say: Callable[[str], None] = tqdm.write) -> float:
    """Plays `select_episodes` episodes of each α on the selection stream; returns the best α's mean return.

    Where max_decisions cuts episodes short, the mean is of their sums of rewards. Writes trial.json to `folder`: the
    value, the α behind it, every episode, and `config`, the plain configuration. Raises as `conversion.run`.
    """
    this = Run(settings, say)
    with this.environments:
        thresholds, _ = this.thresholds()
        method = this.method(thresholds)
        groups = {alpha: this.cells(method, alpha, "selection") for alpha in settings.alphas}
        outcomes = this.rollouts(thresholds).run([cell for group in groups.values() for cell in group])
    means = {
        alpha: float(np.mean([outcomes[cell.digest].reward_sum for cell in group])) for alpha, group in groups.items()
    }
    chosen = selection.best(means)
    episodes = [
        {
            "alpha": alpha,
            "seed": list(envs.episode_seed(cell.stream, cell.seed, cell.episode)),
            "reward_sum": outcomes[cell.digest].reward_sum,
            "capped": outcomes[cell.digest].capped,
        }
        for alpha, group in groups.items()
        for cell in group
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
