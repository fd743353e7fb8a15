"""Small policies, for files of them."""

from typing import Any

import torch

from drqv2.networks import PolicyNetwork, make_policy, orthogonal_
from drqv2.snapshot import policy_meta, write_policy, write_snapshot

STANDARD = {"task": "cartpole_swingup", "obs": "state", "frame_stack": 3, "action_repeat": 2, "observation_shape": (5,)}
STANDARD |= {"action_dim": 2, "feature_dim": 4, "hidden_dim": 8, "actor_trunk": "relu"}


def description(**changes: Any) -> dict[str, Any]:
    """Of a policy of states, [5] → two actions."""
    return policy_meta(**STANDARD | {"frame": 1000, "config": {"seed": 1}} | changes)


def network(description: dict[str, Any], seed: int = 0) -> PolicyNetwork:
    """The network that is described, with weights drawn by torch."""
    torch.manual_seed(seed)
    shape, sizes = tuple(description["observation_shape"]), {k: description[k] for k in ("feature_dim", "hidden_dim")}
    return make_policy(shape, description["action_dim"], trunk=description["actor_trunk"], **sizes)


def write_small_policy(path, obs="state", trunk="relu", seed=0):
    """A policy.pt, or a snapshot.pt by that name, of cartpole_swingup with random weights; returns its path."""
    shape = {"state": (5,), "pixels": (9, 84, 84)}[obs]
    sizes = {"observation_shape": shape, "action_dim": 1, "feature_dim": 10, "hidden_dim": 24, "actor_trunk": trunk}
    meta = description(obs=obs, frame=1234, config={"seed": 7}, **sizes)
    policy = network(meta, seed).apply(orthogonal_)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name == "snapshot.pt":
        write_snapshot(path, {"policy": meta}, policy.state_dict())
    else:
        write_policy(path, meta, policy.state_dict())
    return path
