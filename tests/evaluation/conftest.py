"""A small policy on disk, from state and from pixels, with weights that make it move."""

import pytest

from drqv2.networks import orthogonal_
from drqv2.snapshot import write_policy, write_snapshot
from tests.drqv2.policy_files import description, network


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


@pytest.fixture(scope="session")
def policies(tmp_path_factory):
    """obs → path of a small cartpole policy."""
    root = tmp_path_factory.mktemp("policies")
    return {obs: write_small_policy(root / f"{obs}.pt", obs=obs) for obs in ("state", "pixels")}
