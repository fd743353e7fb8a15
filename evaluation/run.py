"""What convert.py does: a conversion with its result (`convert`), or one trial of a search over options (`tune`)."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import envs
import snn
from evaluation import alpha_selection, video
from evaluation import result as results
from evaluation.conversion import Conversion, ConversionRun
from evaluation.progress import Progress
from evaluation.rollout import Rollouts
from evaluation.settings import ConvertSettings
from runtime.files import sha256_file, write_json

NETWORK = "spiking.safetensors"


def convert(
    settings: ConvertSettings,
    config: dict[str, Any],
    folder: Path,
    say: Callable[[str], None] = tqdm.write,
    show: Callable[[results.Result], None] = lambda result: None,
    warn: Callable[[str], None] = tqdm.write,
) -> results.Result:
    """Converts, plays and writes the result to `folder`. `config`: the plain configuration, for the record. `show`
    receives the result once it is written, before the video is made, and `warn` a line for whatever fails from then on.

    Raises UserError or snn.ConversionError for what a user can mend, and whatever a dead worker or a full disk raise.
    What fails once result.json is written (showing it, the video, the network) leaves the result as it is.
    """
    started = time.monotonic()
    if settings.video:
        video.probe(settings.render.device)
    with ConversionRun(settings, say) as run:
        conversion, calibrated = run.converted(), time.monotonic()
        rollouts = conversion.rollouts()
        episodes, choice = _play(settings, conversion, rollouts, say)
    ended = time.monotonic()
    timing = {
        "seconds": round(ended - started, 3),
        "rollout_seconds": round(ended - calibrated, 3),
        "episodes_computed": rollouts.computed,
        "episodes_reused": sum(map(len, episodes.values())) - rollouts.computed,
    }
    result = results.of_run(conversion, config, episodes, choice, timing)
    results.write(result, folder)
    writers = {NETWORK: _save} if settings.save else {}
    if settings.video:
        writers[results.VIDEO] = video.comparison
    with _afterwards("the result: not shown", warn):
        show(result)
    for name, write in writers.items():
        with _afterwards(f"{folder / name}: not written", warn):
            write(conversion, choice.chosen, folder / name)
            result.artefacts[name] = sha256_file(folder / name)
            results.write(result, folder)
    return result


def _play(
    settings: ConvertSettings, conversion: Conversion, rollouts: Rollouts, say: Callable[[str], None]
) -> tuple[dict[results.Group, results.Episodes], alpha_selection.AlphaRecord]:
    """Every episode that the settings ask for, and the choice of α.

    The episodes that don't depend on that choice are played together, those of the chosen α afterwards.
    """
    plan = alpha_selection.plan(settings.crpi.alpha, settings.crpi.select)
    selection = [(alpha, "selection") for alpha in plan.selection]
    report = [(alpha, "report") for alpha in plan.report]
    later = settings.episodes("report") if selection else 0
    with Progress(say) as progress:
        episodes = _episodes(conversion, rollouts, [(None, "report"), *selection, *report], progress, later)
        judged_on = "selection" if selection else "report"
        chosen = alpha_selection.best({alpha: _mean(episodes[alpha, judged_on]) for alpha in settings.crpi.alpha})
        if (chosen, "report") not in episodes:
            episodes |= _episodes(conversion, rollouts, [(chosen, "report")], progress)
    return episodes, alpha_selection.describe(settings.crpi.alpha, settings.crpi.select, chosen)


def _episodes(
    conversion: Conversion, rollouts: Rollouts, groups: Iterable[results.Group], progress: Progress, later: int = 0
) -> dict[results.Group, results.Episodes]:
    keys = {group: conversion.keys(*group) for group in groups}
    outcomes = rollouts.run([key for group in keys.values() for key in group], progress, later)
    return {group: [(key, outcomes[key.digest]) for key in keys[group]] for group in keys}


def _mean(episodes: results.Episodes) -> float:
    """Of the sums of rewards, capped or not."""
    return float(np.mean([outcome.reward_sum for _, outcome in episodes]))


@contextlib.contextmanager
def _afterwards(failing: str, warn: Callable[[str], None]) -> Iterator[None]:
    """The result stays complete, whatever goes wrong in showing or illustrating it, a closed terminal included."""
    try:
        yield
    except Exception as error:
        with contextlib.suppress(Exception):
            warn(f"{failing} ({error!s:.200}); {results.RESULT} is complete")


def tune(
    settings: ConvertSettings, config: dict[str, Any], folder: Path, say: Callable[[str], None] = tqdm.write
) -> float:
    """Plays `select_episodes` episodes of each α on the selection stream; returns the best α's mean return.

    A trial plays no report episodes at all, so that whatever the search finds has never seen what it is reported on.
    Where max_decisions cuts episodes short, the mean is of their sums of rewards. Writes trial.json to `folder`: the
    value, the α behind it, every episode, and `config`, the plain configuration. Raises as `convert`.
    """
    with ConversionRun(settings, say) as run, Progress(say) as progress:
        conversion = run.converted()
        groups = [(alpha, "selection") for alpha in settings.crpi.alpha]
        episodes = _episodes(conversion, conversion.rollouts(), groups, progress)
    means = {alpha: _mean(episodes[alpha, stream]) for alpha, stream in groups}
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
            for (alpha, _), group in episodes.items()
            for key, outcome in group
        ],
        "config": config,
    }
    write_json(folder / results.TRIAL, trial)
    say(f"selection return {means[chosen]:.1f} with α={chosen:g}, over {settings.crpi.select_episodes} episodes")
    return means[chosen]


def _save(conversion: Conversion, alpha: float, path: Path) -> None:
    network = conversion.network(1)
    network.crpi = network.carry.with_alpha(alpha)
    snn.save(network, path)
