"""A small policy on disk, from state and from pixels, with weights that make it move."""

import pytest
import torch

from drqv2.networks import make_policy, orthogonal_
from drqv2.snapshot import policy_meta, write_policy, write_snapshot

SHAPES = {("cartpole_swingup", "state"): ((5,), 1), ("cartpole_swingup", "pixels"): ((9, 84, 84), 1)}


def write_small_policy(path, task="cartpole_swingup", obs="state", trunk="relu", seed=0):
    """A policy.pt, or a snapshot.pt by that name, with random weights; returns its path."""
    shape, actions = SHAPES[task, obs]
    torch.manual_seed(seed)
    network = make_policy(shape, actions, feature_dim=10, hidden_dim=24, trunk=trunk).apply(orthogonal_)
    meta = policy_meta(
        task=task,
        obs=obs,
        frame_stack=3,
        action_repeat=2,
        observation_shape=shape,
        action_dim=actions,
        feature_dim=10,
        hidden_dim=24,
        actor_trunk=trunk,
        frame=1234,
        config={"seed": 7},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name == "snapshot.pt":
        write_snapshot(path, {"policy": meta}, network.state_dict())
    else:
        write_policy(path, meta, network)
    return path


@pytest.fixture(scope="session")
def policies(tmp_path_factory):
    """obs → path of a small cartpole policy."""
    root = tmp_path_factory.mktemp("policies")
    return {obs: write_small_policy(root / f"{obs}.pt", obs=obs) for obs in ("state", "pixels")}
