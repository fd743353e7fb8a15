"""result.json: everything that one conversion run found, and what it takes to find it again.

Its only writer and its only reader. The file is a `Result` as JSON, field for field; `VERSION` counts changes of the
fields' meaning. Floats are finite: what doesn't exist is null.
"""

from __future__ import annotations

import json
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from runtime.errors import UserError
from runtime.files import atomic_file, write_json
from runtime.records import from_json, to_json

VERSION = 1
RESULT, RETURNS = "result.json", "returns.npy"


@dataclass
class MacsRecord:
    """Multiply-accumulates of one layer for one observation. `kind`: conv2d or linear."""

    name: str
    kind: str
    macs: int


@dataclass
class PolicyRecord:
    """The ANN that was converted. `training_seed` is None where its own configuration names none; `frame`: environment
    steps it was trained for; `macs`: of every layer, the readout included."""

    path: str
    sha256: str
    frame: int
    training_seed: int | None
    actor_trunk: str
    macs: list[MacsRecord] = field(default_factory=list)


@dataclass
class ConversionRecord:
    """How it was converted. `v_base` (in units of θ) and `clip` (the two ends of CRPI's correction, in units of θ) are
    the rule's; `layers` has a `LayerRecord` each; `thresholds_sha256` names the exact θ, `calibration["from"]` where it was
    taken: "policy file" or "rollouts"."""

    neuron: str
    rule: str
    coding: str
    n_thresholds: int | None
    timesteps: int
    mode: str
    hybrid: bool
    dtype: str | None
    v_base: float
    clip: list[float]
    calibration: dict[str, Any]
    thresholds_sha256: str
    layers: list[LayerRecord]


@dataclass
class LayerRecord:
    """One spiking layer as converted. `theta_min`, `theta_max` are over the units that ever fired (None: all dead);
    `dead`: units whose θ is 0."""

    name: str
    kind: str
    neuron: str
    units: int
    theta_min: float | None
    theta_max: float | None
    dead: int


@dataclass
class EpisodeRecord:
    """One episode. `seed` is `envs.episode_seed`'s triple. `return_` ("return" in the file) is the undiscounted sum of
    rewards, None where `max_decisions` cut the episode short; `reward_sum` is that sum either way.

    `spikes`, `sops`: [layers][T], summed over units and decisions; `above_threshold`: [layers]. None for the ANN and
    for selection episodes.
    """

    seed: list[int]
    episode: int
    return_: float | None
    reward_sum: float
    decisions: int
    capped: bool
    spikes: list[list[int]] | None = None
    sops: list[list[int]] | None = None
    above_threshold: list[float] | None = None


@dataclass
class ActivityRecord:
    """One layer over the report episodes of one α. `spike_rate`: spikes per unit and simulation step, in [0, 1];
    `above_threshold`: share of activations (mean input currents) above θ; `sops`: per decision."""

    name: str
    spike_rate: float
    above_threshold: float
    sops: float


@dataclass
class RolloutRecord:
    """The episodes of the ANN (`alpha` None) or of one α on one stream of environment seeds, "report" or "selection"."""

    alpha: float | None
    stream: str
    episodes: list[EpisodeRecord]
    activity: list[ActivityRecord] = field(default_factory=list)

    def returns(self) -> list[float]:
        """The episodes' returns; empty where any of them was cut short, because a part of an episode has none."""
        values = [episode.return_ for episode in self.episodes]
        return [] if None in values else typing.cast(list[float], values)

    def mean_reward_sum(self) -> float:
        """Mean of the reward sums, capped or not: for choosing and for display with its label, not for reports."""
        return float(np.mean([episode.reward_sum for episode in self.episodes]))


@dataclass
class AlphaRecord:
    """`requested`: crpi.alpha, in order. `chosen`: the α that stands for CRPI, and `how`: "given" (one number),
    "honest" (best mean on the selection episodes) or "paper" (best mean on the very episodes reported: `optimistic`).
    `returns_stream`: which episodes the means in returns.npy are over."""

    requested: list[float]
    chosen: float
    how: str
    optimistic: bool
    note: str
    returns_stream: str


@dataclass
class Result:
    """One run. Where `status` is "failed", `cause` says why and the fields from `policy` on may be empty.

    `capped`: some episode was cut short by `max_decisions`, so that this file holds no comparable return.
    `seeds`: the base seed and the streams used; `compute`: device, threads, chunk, renderer and the like;
    `timing`: wall-clock seconds (`rollout_seconds`: of the episodes alone), episodes computed and reused.
    """

    status: str
    cause: str | None
    created: str
    config: dict[str, Any]
    versions: dict[str, str]
    task: str
    obs: str
    capped: bool = False
    seeds: dict[str, Any] = field(default_factory=dict)
    policy: PolicyRecord | None = None
    conversion: ConversionRecord | None = None
    alpha: AlphaRecord | None = None
    ann: RolloutRecord | None = None
    snn: list[RolloutRecord] = field(default_factory=list)
    compute: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    version: int = VERSION

    def of(self, alpha: float, stream: str = "report") -> RolloutRecord | None:
        """The rollouts of one α on one stream, or None where there are none."""
        return next((r for r in self.snn if r.alpha == alpha and r.stream == stream), None)


def write(result: Result, folder: str | Path) -> Path:
    """Writes result.json and, for a finished run, returns.npy (float64 [len(alpha.requested)]: mean return per α over
    the episodes of `alpha.returns_stream`; NaN where episodes were cut short). Each is whole or absent.

    Raises ValueError for a result that `read` would refuse.
    """
    folder = Path(folder)
    document = to_json(result)
    _check(from_json(Result, document, "result"))
    if result.status == "ok":
        with atomic_file(folder / RETURNS) as file:
            np.save(file, mean_returns(result))
    write_json(folder / RESULT, document)
    return folder / RESULT


def mean_returns(result: Result) -> np.ndarray:
    """float64 [len(alpha.requested)], as `write` describes."""
    assert result.alpha is not None
    means = []
    for alpha in result.alpha.requested:
        rollouts = result.of(alpha, result.alpha.returns_stream)
        returns = rollouts.returns() if rollouts else []
        means.append(np.mean(returns) if returns else np.nan)
    return np.array(means, dtype=np.float64)


def read(path: str | Path) -> Result:
    """Reads and checks a result.json (or the folder that holds it). Raises UserError, one line, where it isn't one."""
    path = Path(path)
    path = path / RESULT if path.is_dir() else path
    try:
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict) or document.get("version") != VERSION:
            found = document.get("version") if isinstance(document, dict) else None
            raise ValueError(f"its version is {found}, this program reads version {VERSION}")
        return _check(from_json(Result, document, "result"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable result ({error})") from None


def _check(result: Result) -> Result:
    """Returns a result whose parts agree with each other. Raises ValueError otherwise."""
    if result.status == "failed":
        if not result.cause:
            raise ValueError("a failed result must say its cause")
        return result
    if result.status != "ok":
        raise ValueError(f"status {result.status!r} is neither ok nor failed")
    if result.policy is None or result.conversion is None or result.alpha is None or result.ann is None:
        raise ValueError("a finished result needs policy, conversion, alpha and ann")
    layers, timesteps = len(result.conversion.layers), result.conversion.timesteps
    for rollouts in [result.ann, *result.snn]:
        if not rollouts.episodes:
            raise ValueError(f"alpha {rollouts.alpha}, {rollouts.stream}: no episodes")
        for episode in rollouts.episodes:
            if episode.capped != (episode.return_ is None):
                raise ValueError("an episode has a return exactly where it was not cut short")
            for counts in (episode.spikes, episode.sops):
                if counts is not None and [len(row) for row in counts] != [timesteps] * layers:
                    raise ValueError(f"spikes and sops must be [{layers} layers][{timesteps} steps]")
    return result
