"""The published agents: whole pickled objects, read without running anything in them."""

import re
import shutil
import sys

import numpy as np
import pytest
import torch

from drqv2.snapshot import load_policy
from tests.hostile.snapshots import unzipped, zipped
from tests.refusals import refused


@pytest.mark.parametrize("kind", ["relu", "layernorm_tanh"])
def test_a_published_agent_acts_here_as_it_did_there(agents, kind):
    folder = agents / kind / "cartpole_swingup"
    policy, expected = load_policy(folder / "snapshot.pt"), np.load(folder / "expected.npz")
    assert (policy.task, policy.obs, policy.frame_stack, policy.action_repeat) == ("cartpole_swingup", "pixels", 3, 2)
    assert (policy.frame, policy.actor_trunk, policy.action_dim) == (1000, kind, 1)
    actions = torch.tanh(policy.network(torch.from_numpy(expected["observations"]))).numpy()
    assert np.abs(actions).min() > 1e-3
    np.testing.assert_allclose(actions, expected["actions"], rtol=1e-5, atol=1e-6)
    assert "utils" not in sys.modules


def test_the_task_is_the_folder_or_else_what_the_caller_says(agents, tmp_path):
    moved = shutil.copy(agents / "relu/cartpole_swingup/snapshot.pt", tmp_path / "downloaded.pt")
    with refused("exp_local/<task>/snapshot.pt"):
        load_policy(moved)
    assert load_policy(moved, task="pendulum_swingup").task == "pendulum_swingup"
    assert load_policy(agents / "relu/cartpole_swingup/snapshot.pt", task="pendulum_swingup").task == "cartpole_swingup"


def test_layers_that_no_published_agent_has_are_refused_by_name(agents):
    with refused(r"torch\.nn\.modules\.activation\.GELU"):
        load_policy(agents / "gelu/cartpole_swingup/snapshot.pt")


@pytest.mark.parametrize(
    "old, new, said",
    [
        # A stride of (2, 2) that became (3, 2), a layer that is named anew, and an agent of another class.
        (b"(stride.*?)K\x02", b"\\1K\x03", "stride differs"),
        (b"\x05\x00\x00\x00trunk", b"\x05\x00\x00\x00trunc", "trunk"),
        (b"drqv2\nDrQV2Agent", b"drqv2\nEncoder", "refers to __builtin__.dict"),
    ],
)
def test_what_is_no_such_policy_is_one_line(agents, tmp_path, old, new, said):
    records = unzipped((agents / "relu/cartpole_swingup/snapshot.pt").read_bytes())
    name = next(name for name in records if name.endswith("/data.pkl"))
    records[name] = re.sub(old, new, records[name], count=1, flags=re.DOTALL)
    path = tmp_path / "snapshot.pt"
    path.write_bytes(zipped(records))
    with refused(said):
        load_policy(path, task="walker_walk")
