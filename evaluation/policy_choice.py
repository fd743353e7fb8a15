"""Which policy a run is about, where it comes from, and whether it fits the options and is worth converting."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drqv2 import logger, snapshot
from drqv2.snapshot import CHECKPOINTS, LoadedPolicy
from evaluation.settings import ConversionSettings, ConvertSettings
from runtime.errors import UserError

SHIPPED = "shipped"  # snapshot=shipped
# An ANN that earns less than this part of what the shipped policy earns shows little of a conversion.
_WEAK = 0.8


def find_policy(settings: ConversionSettings) -> tuple[Path, str]:
    """The file of the policy that `settings` mean, and in words where it comes from.

    Raises UserError, saying where it looked, where there is none.
    """
    named, root, route = settings.snapshot, settings.root, f"snapshot={settings.snapshot}"
    if settings.run is not None:
        named, route = root / settings.env_name / settings.run, f"run={settings.run}"
        if not named.is_dir():
            raise UserError(f"env_name={settings.env_name} run={settings.run}: no such run, looked for {named}")
    if named == SHIPPED:
        named = snapshot.find_shipped(settings.env_name, settings.obs)
        if named is None:
            raise UserError(f"snapshot=shipped: no policy of {settings.env_name} ({settings.obs}) ships; leave it out")
    path = snapshot.find(settings.env_name, settings.obs, named, root)
    if path.is_relative_to(CHECKPOINTS):
        route = "it ships with the toolkit"
    elif named is None:
        route = f"newest run in {root / settings.env_name}; snapshot=shipped takes the one that ships"
    return path, route


def why_skipped(settings: ConvertSettings) -> str | None:
    """Why this run is to be skipped (there is no policy, and `no_policy` says to go on without); None otherwise."""
    try:
        if settings.no_policy == "skip":
            find_policy(settings)
    except UserError as error:
        return str(error)
    return None


def load(path: Path, settings: ConversionSettings) -> LoadedPolicy:
    """The policy in `path`. Raises UserError where it can't be read or is another one than `settings` say."""
    policy = snapshot.load_policy(path, settings.env_name, settings.network)
    if (policy.task, policy.obs) != (settings.env_name, settings.obs):
        raise UserError(
            f"env_name={settings.env_name} obs={settings.obs}: {path} was trained on {policy.task} from {policy.obs}; "
            f"write env_name={policy.task} obs={policy.obs}"
        )
    if policy.actor_trunk == "layernorm_tanh" and not settings.hybrid:
        raise UserError(
            f"{path}: its actor has a LayerNorm/tanh trunk, which no spiking neuron can represent; write hybrid=true "
            "to keep that part analog, or train with the relu trunk"
        )
    return policy


def last_evaluation(policy: LoadedPolicy) -> str | None:
    """What the policy returned when it was last evaluated, in words; None where nothing tells.

    A run's eval.csv tells, up to the policy's own frame; of a policy that ships checkpoints.json does.
    """
    for entry in snapshot.shipped_entries().values():
        if entry["sha256"] == policy.sha256:
            return f"returned {entry['mean']:.0f} over {len(entry['returns'])} episodes when it was shipped"
    try:
        rows = logger.read(policy.path.parent / "eval.csv", "frame", "episode_reward")
    except UserError:
        return None
    known = [row for row in rows if row[0] <= policy.frame]
    return f"last evaluation: {known[-1][1]:.0f} at {known[-1][0]:,.0f} frames" if known else None


def weakness(policy: LoadedPolicy, returns: list[float]) -> str | None:
    """A warning, where the ANN's `returns` are far below those of the policy that ships for its task; else None."""
    path = snapshot.find_shipped(policy.task, policy.obs)
    if path is None or not returns:
        return None
    mean = snapshot.shipped_entries()[f"{path.parent.name}/{path.stem}"]["mean"]
    if np.mean(returns) >= _WEAK * mean:
        return None
    return (
        f"weak ANN: it returns {np.mean(returns):.0f}, the policy that ships {mean:.0f}; what it loses in "
        "conversion says little (snapshot=shipped takes the one that ships)"
    )
