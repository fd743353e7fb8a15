"""What convert.py does: a conversion with its report (`convert`), or one trial of a search over options (`tune`)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

import envs
import snn
from evaluation import alpha_selection, protocol, video
from evaluation import result as results
from evaluation.conversion import Conversion, ConversionRun
from evaluation.result import Result
from evaluation.settings import ConvertSettings
from runtime.files import sha256_file, write_json

VIDEO, NETWORK, TRIAL = "video.mp4", "spiking.safetensors", "trial.json"


def convert(
    settings: ConvertSettings,
    config: dict[str, Any],
    folder: Path,
    say: Callable[[str], None] = tqdm.write,
    show: Callable[[Result], None] = lambda result: None,
) -> Result:
    """Converts, plays and writes the result to `folder`. `config`: the plain configuration, for the record. `show`
    receives the result once it is written, before the video is made.

    Raises UserError or snn.ConversionError for what a user can mend, and whatever a dead worker or a full disk raise.
    What fails once result.json is written (showing it, the video, the network) is said and leaves the result as it is.
    """
    started = time.monotonic()
    if settings.video:
        video.probe(settings.render.device)
    with ConversionRun(settings, say) as run:
        conversion = run.converted()
        played = protocol.play(conversion, settings.crpi.select, say)
    result = results.of_run(conversion, settings.crpi.select, config, played, time.monotonic() - started)
    results.write(result, folder)
    writers = {NETWORK: _save} if settings.save else {}
    if settings.video:
        writers[VIDEO] = video.comparison
    with _afterwards("the result: not shown", say):
        show(result)
    for name, write in writers.items():
        with _afterwards(f"{folder / name}: not written", say):
            write(conversion, played.chosen, folder / name)
            result.artefacts[name] = sha256_file(folder / name)
            results.write(result, folder)
    return result


@contextlib.contextmanager
def _afterwards(failing: str, say: Callable[[str], None]) -> Iterator[None]:
    """The result stays complete, whatever goes wrong in showing or illustrating it, a closed terminal included."""
    try:
        yield
    except Exception as error:
        with contextlib.suppress(Exception):
            say(f"{failing} ({error!s:.200}); {results.RESULT} is complete")


def tune(
    settings: ConvertSettings, config: dict[str, Any], folder: Path, say: Callable[[str], None] = tqdm.write
) -> float:
    """Plays `select_episodes` episodes of each α on the selection stream; returns the best α's mean return.

    A trial plays no report episodes at all, so that whatever the search finds has never seen what it is reported on.
    Where max_decisions cuts episodes short, the mean is of their sums of rewards. Writes trial.json to `folder`: the
    value, the α behind it, every episode, and `config`, the plain configuration. Raises as `convert`.
    """
    with ConversionRun(settings, say) as run:
        conversion = run.converted()
        groups = {alpha: conversion.keys(alpha, "selection") for alpha in settings.alphas}
        outcomes = conversion.rollouts().run([key for group in groups.values() for key in group])
    episodes = {alpha: [(key, outcomes[key.digest]) for key in group] for alpha, group in groups.items()}
    means = {alpha: protocol.mean_reward_sum(group) for alpha, group in episodes.items()}
    chosen = alpha_selection.best(means)
    trial = {
        "value": means[chosen],
        "alpha": chosen,
        "stream": "selection",
        "policy": {"path": str(run.policy.path), "sha256": run.policy.sha256},
        "episodes": [
            {
                "alpha": alpha,
                "seed": list(envs.episode_seed(key.stream, key.seed, key.episode)),
                "reward_sum": outcome.reward_sum,
                "capped": outcome.capped,
            }
            for alpha, group in episodes.items()
            for key, outcome in group
        ],
        "config": config,
    }
    write_json(folder / TRIAL, trial)
    say(f"selection return {means[chosen]:.1f} with α={chosen:g}, over {settings.crpi.select_episodes} episodes")
    return means[chosen]


def _save(conversion: Conversion, alpha: float, path: Path) -> None:
    network = conversion.network(1)
    network.crpi = network.carry.with_alpha(alpha)
    snn.save(network, path)
