"""From what a run played to its `Result`."""

from __future__ import annotations

import dataclasses
import datetime
import math
from pathlib import Path
from typing import Any

import envs
import snn
from drqv2.snapshot import LoadedPolicy
from evaluation import result as results
from evaluation import selection
from evaluation.episode_store import Compute, EpisodeKey, EpisodeOutcome, Method
from evaluation.protocol import Episodes, Played
from evaluation.result import ActivityRecord, ConversionRecord, EpisodeRecord, LayerRecord, Result, RolloutRecord
from evaluation.settings import ConvertSettings
from runtime.versions import versions
from snn import neuron as neurons
from snn.info import LayerInfo


def result(
    settings: ConvertSettings,
    config: dict[str, Any],
    policy: LoadedPolicy,
    method: Method,
    specs: list[LayerInfo],
    compute: Compute,
    played: Played,
    seconds: float,
    thresholds_from: str,
) -> Result:
    """The record of a finished run; `specs`: the converted network's layers; `seconds`: wall-clock time;
    `thresholds_from`: as `rollout_calibration.thresholds` says it."""
    seen = next(episodes[0][1].layers for (alpha, _), episodes in played.episodes.items() if alpha is not None)
    layers = [_layer(spec, activity.units) for spec, activity in zip(specs, seen, strict=True)]
    groups = {key: _rollouts(*key, episodes, layers, method) for key, episodes in played.episodes.items()}
    ann = groups.pop((None, "report"))
    everything = [ann, *groups.values()]
    return Result(
        status="ok",
        cause=None,
        created=_now(),
        config=config,
        versions=versions(),
        task=settings.task,
        obs=settings.obs,
        capped=any(episode.capped for rollouts in everything for episode in rollouts.episodes),
        seeds={
            "seed": settings.seed,
            "streams": ["calibration", *sorted({rollouts.stream for rollouts in everything})],
        },
        policy=_policy(policy),
        conversion=_conversion(settings, method, layers, thresholds_from),
        alpha=selection.describe(settings.alphas, settings.select, played.chosen),
        ann=ann,
        snn=list(groups.values()),
        compute={
            **dataclasses.asdict(compute),
            "packages": dict(compute.packages),
            "num_envs": settings.num_envs,
            "num_workers": settings.num_workers,
        },
        timing={
            "seconds": round(seconds, 3),
            "rollout_seconds": round(played.seconds, 3),
            "episodes_computed": played.computed,
            "episodes_reused": played.reused,
        },
    )


def failed(config: dict[str, Any], cause: str) -> Result:
    """The record of a run that came to nothing, for sweeps, whose reports must show the gap."""
    return Result(
        status="failed",
        cause=cause,
        created=_now(),
        config=_finite(config),
        versions=versions(),
        task=str(config.get("env_name")),
        obs=str(config.get("obs")),
    )


def _policy(policy: LoadedPolicy) -> results.PolicyRecord:
    seed = policy.config.get("seed")
    return results.PolicyRecord(
        path=str(Path(policy.path).absolute()),
        sha256=policy.sha256,
        frame=policy.frame,
        training_seed=seed if isinstance(seed, int) else None,
        actor_trunk=policy.actor_trunk,
        macs=[results.MacsRecord(*layer) for layer in snn.macs(policy.network, policy.observation_shape)],
    )


def _conversion(
    settings: ConvertSettings, method: Method, layers: list[LayerRecord], thresholds_from: str
) -> ConversionRecord:
    neuron = neurons.make(settings.neuron.rule, settings.neuron.coding, settings.neuron.n_thresholds or 1)
    return ConversionRecord(
        neuron=settings.neuron.name,
        rule=settings.neuron.rule,
        coding=settings.neuron.coding,
        n_thresholds=settings.neuron.n_thresholds,
        timesteps=settings.timesteps,
        mode=settings.mode,
        hybrid=settings.hybrid,
        dtype=settings.dtype,
        v_base=neuron.rule.v_base,
        clip=[-neuron.rule.clip, neuron.rule.clip],
        calibration={"steps": settings.calibration_steps, "percentile": settings.percentile, "from": thresholds_from},
        thresholds_sha256=str(method.thresholds),
        layers=layers,
    )


def _layer(spec: LayerInfo, units: int) -> LayerRecord:
    alive = spec.theta[spec.theta > 0]
    return LayerRecord(
        name=spec.name,
        kind=spec.kind,
        neuron=f"{spec.neuron.rule.name}, {spec.neuron.coding.name}",
        units=units,
        theta_min=float(alive.min()) if len(alive) else None,
        theta_max=float(alive.max()) if len(alive) else None,
        # A convolution has one θ per channel, for all its places.
        dead=spec.dead * units // len(spec.theta),
    )


def _rollouts(
    alpha: float | None, stream: str, episodes: Episodes, layers: list[LayerRecord], method: Method
) -> RolloutRecord:
    spiking = alpha is not None and stream == "report"
    return RolloutRecord(
        alpha=alpha,
        stream=stream,
        episodes=[_episode(key, outcome, spiking) for key, outcome in episodes],
        activity=[_activity(index, layer, episodes, method) for index, layer in enumerate(layers)] if spiking else [],
    )


def _episode(key: EpisodeKey, outcome: EpisodeOutcome, spiking: bool) -> EpisodeRecord:
    return EpisodeRecord(
        seed=list(envs.episode_seed(key.stream, key.seed, key.episode)),
        episode=key.episode,
        return_=None if outcome.capped else outcome.reward_sum,
        reward_sum=outcome.reward_sum,
        decisions=outcome.decisions,
        capped=outcome.capped,
        spikes=[layer.spikes for layer in outcome.layers] if spiking else None,
        sops=[layer.sops for layer in outcome.layers] if spiking else None,
        above_threshold=[layer.above_threshold for layer in outcome.layers] if spiking else None,
    )


def _activity(index: int, layer: LayerRecord, episodes: Episodes, method: Method) -> ActivityRecord:
    decisions = sum(outcome.decisions for _, outcome in episodes)
    seen = [(outcome.decisions, outcome.layers[index]) for _, outcome in episodes]
    return ActivityRecord(
        name=layer.name,
        spike_rate=sum(sum(found.spikes) for _, found in seen) / (layer.units * decisions * method.timesteps),
        above_threshold=sum(weight * found.above_threshold for weight, found in seen) / decisions,
        sops=sum(sum(found.sops) for _, found in seen) / decisions,
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _finite(value: Any) -> Any:
    """A refused option may be the very nan or inf that JSON can't hold; it is kept as its name."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
