"""result.json: everything that one conversion measured, and what it takes to repeat it.

Its only writer and its only reader. The file is a `Result` as JSON, field for field; its version counts changes of the
fields' meaning. Floats are finite: what doesn't exist is null. The report reads it without loading torch.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator

import envs
from evaluation.alpha_selection import AlphaRecord
from evaluation.episode_store import EpisodeKey, EpisodeOutcome, check_episode
from runtime.files import atomic_file
from runtime.schema import Document, Record
from runtime.versions import versions

if TYPE_CHECKING:
    from evaluation.conversion import Conversion, ConversionRun
    from snn import LayerInfo

RESULT, RETURNS, VIDEO, TRIAL = "result.json", "returns.npy", "video.mp4", "trial.json"
Group = tuple[float | None, str]  # α, None for the ANN, and the stream
Episodes = list[tuple[EpisodeKey, EpisodeOutcome]]
_finished: set[Path] = set()  # finished results that this process wrote


class MacsRecord(Record):
    """Multiply-accumulates of one layer for one observation. `kind`: conv2d or linear."""

    name: str
    kind: str
    macs: int


class PolicyRecord(Record):
    """The ANN that was converted. `training_seed` is None where its own configuration names none; `frame`: environment
    steps it was trained for, None where its file doesn't say (0 in older results); `macs`: of every layer, the readout
    included. `route`: how it was obtained; `last_evaluation`: what it returned then; `weak`: a warning, if it returns
    far less than the policy that ships."""

    path: str
    sha256: str
    frame: Annotated[int | None, AfterValidator(lambda frame: frame or None)]
    training_seed: int | None
    actor_trunk: str
    action_repeat: int | None = None
    macs: list[MacsRecord] = []
    route: str | None = None
    last_evaluation: str | None = None
    weak: str | None = None


class LayerRecord(Record):
    """One spiking layer as converted. `theta_min`, `theta_max` are over the units that ever fired (None: all dead);
    `dead`: units whose θ is 0."""

    name: str
    kind: str
    neuron: str
    units: int = Field(ge=1)
    theta_min: float | None
    theta_max: float | None
    dead: int = Field(ge=0)


class ConversionRecord(Record):
    """How it was converted. `v_base` (in units of θ) and `clip` (the two ends of CRPI's correction, in units of θ) are
    the rule's; `layers` has a `LayerRecord` each; `thresholds_sha256` names the exact θ, `calibration["from"]` where it
    was taken: "policy file" or "rollouts"."""

    neuron: str
    rule: str
    coding: str
    n_thresholds: int | None
    timesteps: int = Field(ge=1)
    mode: str
    hybrid: bool
    dtype: str | None
    v_base: float
    clip: list[float]
    calibration: dict[str, Any]
    thresholds_sha256: str
    layers: list[LayerRecord]


class EpisodeRecord(Record):
    """One episode. `seed` is `envs.episode_seed`'s triple. `return_` ("return" in the file) is the undiscounted sum of
    rewards, None where `max_decisions` cut the episode short; `reward_sum` is that sum either way.

    `spikes`, `sops`: [layers][T], summed over units and decisions; `above_threshold`: [layers]. None for the ANN and
    for selection episodes.
    """

    seed: list[int]
    episode: int
    return_: float | None = Field(validation_alias="return", serialization_alias="return")
    reward_sum: float
    decisions: int = Field(ge=1)
    capped: bool
    spikes: list[list[int]] | None = None
    sops: list[list[int]] | None = None
    above_threshold: list[float] | None = None

    @model_validator(mode="after")
    def _agree(self) -> EpisodeRecord:
        if self.return_ != (None if self.capped else self.reward_sum):
            raise ValueError(
                "the return must be the sum of rewards where the episode was not cut short, null where it was"
            )
        return self


class ActivityRecord(Record):
    """One layer over the report episodes of one α. `spike_rate`: spikes per unit and simulation step, in [0, 1];
    `above_threshold`: share of activations (mean input currents) above θ; `sops`: per decision."""

    name: str
    spike_rate: float = Field(ge=0, le=1)
    above_threshold: float = Field(ge=0, le=1)
    sops: float = Field(ge=0)


class RolloutRecord(Record):
    """The episodes of the ANN (`alpha` None) or of one α on one stream of environment seeds, "report" or
    "selection"."""

    alpha: float | None
    stream: str
    episodes: list[EpisodeRecord] = Field(min_length=1)
    activity: list[ActivityRecord] = []

    def returns(self) -> list[float]:
        """The episodes' returns; empty where any of them was cut short, because a part of an episode has none."""
        capped = any(episode.capped for episode in self.episodes)
        return [] if capped else [episode.reward_sum for episode in self.episodes]

    def mean_reward_sum(self) -> float:
        """Mean of the reward sums, capped or not: for choosing and for display with its label, not for reports."""
        return float(np.mean([episode.reward_sum for episode in self.episodes]))


class Result(Document):
    """One run. Where `status` is "failed", `cause` says why and the fields from `policy` on may be empty.

    `capped`: some episode was cut short by `max_decisions`, so that this file holds no comparable return.
    `seeds`: the base seed and the streams used; `compute`: device, threads, chunk, renderer and the like;
    `timing`: wall-clock seconds (`rollout_seconds`: of the episodes alone), episodes computed and reused;
    `artefacts`: what was written beside this file, by name, with its SHA-256.
    """

    KIND: ClassVar[str] = "result"

    status: Literal["ok", "failed"]
    cause: str | None
    created: str
    config: dict[str, Any]
    versions: dict[str, str]
    task: str
    obs: str
    capped: bool = False
    seeds: dict[str, Any] = {}
    policy: PolicyRecord | None = None
    conversion: ConversionRecord | None = None
    alpha: AlphaRecord | None = None
    ann: RolloutRecord | None = None
    snn: list[RolloutRecord] = []
    compute: dict[str, Any] = {}
    timing: dict[str, float] = {}
    artefacts: dict[str, str] = {}
    version: Literal[1] = 1

    @model_validator(mode="after")
    def _agree(self) -> Result:
        if self.status == "failed":
            if not self.cause:
                raise ValueError("a failed result must say its cause")
            return self
        if self.policy is None or self.conversion is None or self.alpha is None or self.ann is None:
            raise ValueError("a finished result needs policy, conversion, alpha and ann")
        network = [layer.units for layer in self.conversion.layers], self.conversion.timesteps
        for rollouts, episode in [(one, episode) for one in (self.ann, *self.snn) for episode in one.episodes]:
            counted = episode.decisions, episode.reward_sum, episode.spikes, episode.sops
            try:
                check_episode(self.task, self.policy.action_repeat, *counted, *network)
            except ValueError as error:
                name = "ANN" if rollouts.alpha is None else f"alpha {rollouts.alpha:g}"
                raise ValueError(f"{name}, {rollouts.stream} episode {episode.episode}: {error}") from None
        return self

    def of(self, alpha: float, stream: str = "report") -> RolloutRecord | None:
        """The rollouts of one α on one stream, or None where there are none."""
        return next((r for r in self.snn if r.alpha == alpha and r.stream == stream), None)


def write(result: Result, folder: str | Path) -> Path:
    """Writes result.json and, for a finished run, returns.npy (float64 [len(alpha.requested)]: mean return per α over
    the episodes of `alpha.returns_stream`; NaN where episodes were cut short). Each is whole or absent, and a finished
    result.json is never without its returns.npy.

    Raises ValueError for a result that `read` would refuse.
    """
    path = Path(folder) / RESULT
    if result.alpha is not None:
        played = [result.of(alpha, result.alpha.returns_stream) for alpha in result.alpha.requested]
        returns = [rollouts.returns() if rollouts else [] for rollouts in played]
        with atomic_file(path.with_name(RETURNS)) as file:
            np.save(file, np.array([np.mean(values) if values else np.nan for values in returns]))
    result.write(path)
    if result.status == "ok":
        _finished.add(path.absolute())
    return path


def write_failure(config: dict[str, Any], cause: str, folder: str | Path) -> None:
    """Records in `folder` that a run of this process failed, so that a sweep's report shows the gap; not where its
    result was finished and only what came after it failed."""
    failed = Result(
        status="failed",
        cause=cause,
        created=now(),
        config=finite(config),
        versions=versions(),
        task=str(config.get("env_name")),
        obs=str(config.get("obs")),
    )
    if (Path(folder) / RESULT).absolute() not in _finished:
        write(failed, folder)


def read(path: str | Path) -> Result:
    """Reads and checks a result.json (or the folder that holds it). Raises UserError, one line, where it isn't one."""
    path = Path(path)
    return Result.read(path / RESULT if path.is_dir() else path)


def of_run(
    conversion: Conversion,
    config: dict[str, Any],
    episodes: dict[Group, Episodes],
    alpha: AlphaRecord,
    timing: dict[str, float],
) -> Result:
    """The record of a finished run. `config`: the plain configuration; `episodes`: the ANN's first."""
    run, settings = conversion.run, conversion.run.settings
    record = conversion_record(conversion)
    everything = [_rollouts(*group, of_group, record) for group, of_group in episodes.items()]
    return Result(
        status="ok",
        cause=None,
        created=now(),
        config=config,
        versions=versions(),
        task=settings.env_name,
        obs=settings.obs,
        capped=any(episode.capped for rollouts in everything for episode in rollouts.episodes),
        seeds={
            "seed": settings.seed,
            "streams": ["calibration", *sorted({rollouts.stream for rollouts in everything})],
        },
        policy=policy_record(run, everything[0].returns()),
        conversion=record,
        alpha=alpha,
        ann=everything[0],
        snn=everything[1:],
        compute={
            **dataclasses.asdict(run.compute),
            "packages": dict(run.compute.packages),
            "num_envs": settings.num_envs,
            "num_workers": settings.num_workers,
        },
        timing=timing,
    )


def policy_record(run: ConversionRun, returns: list[float]) -> PolicyRecord:
    """The record of a run's policy, of which `returns` are the report episodes' (empty where they were cut short)."""
    import snn
    from evaluation import policy_choice  # loads torch, which nothing that reads results needs

    policy, seed = run.policy, run.policy.config.get("seed")
    macs = snn.macs(policy.network, policy.observation_shape)
    return PolicyRecord(
        path=str(Path(policy.path).absolute()),
        sha256=policy.sha256,
        frame=policy.frame,
        training_seed=seed if isinstance(seed, int) else None,
        actor_trunk=policy.actor_trunk,
        action_repeat=policy.action_repeat,
        macs=[MacsRecord(name=layer.name, kind=layer.kind, macs=layer.macs) for layer in macs],
        route=run.route,
        last_evaluation=run.last_evaluation,
        weak=policy_choice.weakness(policy, returns),
    )


def conversion_record(conversion: Conversion) -> ConversionRecord:
    """The record of a conversion, whatever its α."""
    settings, network = conversion.run.settings, conversion.network(1)
    rule, neuron = network.neuron.rule, settings.neuron
    return ConversionRecord(
        neuron=neuron.name,
        rule=neuron.rule,
        coding=neuron.coding,
        n_thresholds=neuron.n_thresholds,
        timesteps=settings.SNN_ts,
        mode=settings.crpi.mode,
        hybrid=settings.hybrid,
        dtype=settings.dtype,
        v_base=rule.v_base,
        clip=[-rule.clip, rule.clip],
        calibration={**settings.calibration.model_dump(), "from": conversion.origin},
        thresholds_sha256=str(conversion.method.thresholds),
        layers=[_layer(info, units) for info, units in zip(network.layers, conversion.units, strict=True)],
    )


def now() -> str:
    """The time in UTC, to the second, as records hold it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _layer(info: LayerInfo, units: int) -> LayerRecord:
    alive = info.theta[info.theta > 0]
    return LayerRecord(
        name=info.name,
        kind=info.kind,
        neuron=f"{info.neuron.rule.name}, {info.neuron.coding.name}",
        units=units,
        theta_min=float(alive.min()) if len(alive) else None,
        theta_max=float(alive.max()) if len(alive) else None,
        # A convolution has one θ per channel, for all its places.
        dead=info.dead * units // len(info.theta),
    )


def _rollouts(alpha: float | None, stream: str, episodes: Episodes, conversion: ConversionRecord) -> RolloutRecord:
    spiking = alpha is not None and stream == "report"
    counted = ("spikes", "sops", "above_threshold") if spiking else ()
    outcomes, layers = [outcome for _, outcome in episodes], conversion.layers if spiking else []
    return RolloutRecord(
        alpha=alpha,
        stream=stream,
        episodes=[
            EpisodeRecord(
                seed=list(envs.episode_seed(key.stream, key.seed, key.episode)),
                episode=key.episode,
                return_=None if outcome.capped else outcome.reward_sum,
                reward_sum=outcome.reward_sum,
                decisions=outcome.decisions,
                capped=outcome.capped,
                **{name: [getattr(layer, name) for layer in outcome.layers] for name in counted},
            )
            for key, outcome in episodes
        ],
        activity=[_activity(number, layer, conversion.timesteps, outcomes) for number, layer in enumerate(layers)],
    )


def _activity(number: int, layer: LayerRecord, timesteps: int, outcomes: Sequence[EpisodeOutcome]) -> ActivityRecord:
    parts, decisions = [outcome.layers[number] for outcome in outcomes], sum(o.decisions for o in outcomes)
    above = sum(outcome.decisions * part.above_threshold for outcome, part in zip(outcomes, parts))
    return ActivityRecord(
        name=layer.name,
        spike_rate=sum(sum(part.spikes) for part in parts) / (layer.units * decisions * timesteps),
        above_threshold=above / decisions,
        sops=sum(sum(part.sops) for part in parts) / decisions,
    )


def finite(value: Any) -> Any:
    """A refused option may be the very nan or inf that JSON can't hold; it is kept as its name."""
    return json.loads(json.dumps(value), parse_constant=lambda name: str(float(name)))
