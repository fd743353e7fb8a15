"""A small policy on disk, from state and from pixels, with weights that make it move."""

import pytest
import torch

import envs
from drqv2.networks import make_policy, orthogonal_
from drqv2.snapshot import policy_meta, write_policy


def write_small_policy(path, task="cartpole_swingup", obs="state", trunk="relu", seed=0):
    """A policy.pt with random weights; returns its path."""
    environment = envs.make(task, obs=obs)
    shape, actions = environment.observation_shape, environment.action_dim
    environment.close()
    torch.manual_seed(seed)
    network = make_policy(shape, actions, feature_dim=10, hidden_dim=24, trunk=trunk).apply(orthogonal_)
    meta = policy_meta(
        task=task, obs=obs, frame_stack=3, action_repeat=2, observation_shape=shape, action_dim=actions, feature_dim=10,
        hidden_dim=24, actor_trunk=trunk, frame=1234, config={"seed": 7},
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    write_policy(path, meta, network)
    return path


@pytest.fixture(scope="session")
def policies(tmp_path_factory):
    """obs → path of a small cartpole policy."""
    root = tmp_path_factory.mktemp("policies")
    return {obs: write_small_policy(root / f"{obs}.pt", obs=obs) for obs in ("state", "pixels")}
