"""results.csv: a row per episode."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluation.result import EpisodeRecord, Result, RolloutRecord
from report.evidence import Evidence
from runtime.files import atomic_write

COLUMNS = (
    *("folder", "task", "obs", "policy_sha256", "training_seed", "frames", "method"),
    *("neuron", "rule", "coding", "n_thresholds", "timesteps", "mode", "alpha", "alpha_how", "alpha_chosen"),
    *("stream", "seed", "episode", "environment_seed", "return", "reward_sum", "decisions", "capped"),
    *("spikes", "sops", "sops_per_decision"),
)


def write(evidence: Evidence, path: Path) -> None:
    """Writes every episode of every finished or cut-short job. `return` is empty where max_decisions cut the episode
    short; `alpha` and what follows from a spiking network are empty for the ANN. An ANN's episode that several jobs
    share stands once, with the folder of the first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(evidence))
    atomic_write(path, text.getvalue().encode())


def _rows(evidence: Evidence) -> Iterator[dict[str, Any]]:
    seen = set()
    for job in evidence.jobs:
        result = job.result
        if result is None or result.ann is None or result.policy is None:
            continue
        for rollouts in [result.ann, *result.snn]:
            for episode in rollouts.episodes:
                key = (result.policy.sha256, tuple(episode.seed), episode.reward_sum)
                if rollouts.alpha is not None or key not in seen:
                    yield {"folder": str(job.folder), **_row(result, rollouts, episode)}
                if rollouts.alpha is None:
                    seen.add(key)


def _row(result: Result, rollouts: RolloutRecord, episode: EpisodeRecord) -> dict[str, Any]:
    policy, conversion, alpha = result.policy, result.conversion, result.alpha
    assert policy and conversion and alpha
    row: dict[str, Any] = {
        "task": result.task,
        "obs": result.obs,
        "policy_sha256": policy.sha256,
        "training_seed": policy.training_seed,
        "frames": policy.frame,
        "method": "ann",
        "stream": rollouts.stream,
        "seed": result.seeds["seed"],
        "episode": episode.episode,
        "environment_seed": "/".join(map(str, episode.seed)),
        "return": episode.return_,
        "reward_sum": episode.reward_sum,
        "decisions": episode.decisions,
        "capped": int(episode.capped),
    }
    if rollouts.alpha is not None:
        row |= {name: getattr(conversion, name) for name in COLUMNS[COLUMNS.index("neuron") : COLUMNS.index("alpha")]}
        row |= {"method": f"{conversion.neuron}_{conversion.timesteps}", "alpha": rollouts.alpha}
        row |= {"alpha_how": alpha.how, "alpha_chosen": int(rollouts.alpha == alpha.chosen)}
    if episode.sops is not None and episode.spikes is not None:
        sops = sum(map(sum, episode.sops))
        row |= {"spikes": sum(map(sum, episode.spikes)), "sops": sops, "sops_per_decision": sops / episode.decisions}
    return row
