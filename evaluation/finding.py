"""Which policy a run is about, and whether it is the one that its options say."""

from __future__ import annotations

from pathlib import Path

from drqv2 import snapshot
from drqv2.snapshot import LoadedPolicy
from evaluation.settings import ConvertSettings
from runtime.errors import UserError


def find_policy(settings: ConvertSettings) -> Path:
    """The file of the policy that `settings` mean. Raises UserError, saying where it looked, where there is none."""
    named = settings.snapshot
    if settings.run is not None:
        named = settings.root / settings.task / settings.run
        if not named.is_dir():
            raise UserError(f"env_name={settings.task} run={settings.run}: no such run, looked for {named}")
    return snapshot.find(settings.task, settings.obs, named, settings.root)


def why_skipped(settings: ConvertSettings) -> str | None:
    """Why this run is to be skipped: its policy is lacking, and `no_policy` says to go on without. None otherwise."""
    if settings.no_policy == "fail":
        return None
    try:
        find_policy(settings)
        return None
    except UserError as error:
        return str(error)


def load(settings: ConvertSettings) -> LoadedPolicy:
    """The policy that `settings` mean. Raises UserError where it can't be read or is another one than they say."""
    policy = snapshot.load_policy(find_policy(settings), task=settings.task)
    if (policy.task, policy.obs) != (settings.task, settings.obs):
        raise UserError(
            f"env_name={settings.task} obs={settings.obs}: {policy.path} was trained on {policy.task} from {policy.obs}; "
            f"write env_name={policy.task} obs={policy.obs}"
        )
    if policy.actor_trunk == "layernorm_tanh" and not settings.hybrid:
        raise UserError(
            f"{policy.path}: its actor has a LayerNorm/tanh trunk, which no spiking neuron stands for; write hybrid=true to "
            "keep that part analog, or train with the relu trunk"
        )
    return policy
