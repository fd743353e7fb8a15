"""A small policy of states, [5] → two actions, for files of it."""

from typing import Any

import torch

from drqv2.networks import PolicyNetwork, make_policy
from drqv2.snapshot import policy_meta

STANDARD = {"task": "cartpole_swingup", "obs": "state", "frame_stack": 3, "action_repeat": 2, "observation_shape": (5,)}
STANDARD |= {"action_dim": 2, "feature_dim": 4, "hidden_dim": 8, "actor_trunk": "relu"}


def description(**changes: Any) -> dict[str, Any]:
    return policy_meta(**STANDARD | {"frame": 1000, "config": {"seed": 1}} | changes)


def network(description: dict[str, Any], seed: int = 0) -> PolicyNetwork:
    """The network that is described, with weights drawn by torch."""
    torch.manual_seed(seed)
    shape, sizes = tuple(description["observation_shape"]), {k: description[k] for k in ("feature_dim", "hidden_dim")}
    return make_policy(shape, description["action_dim"], trunk=description["actor_trunk"], **sizes)
