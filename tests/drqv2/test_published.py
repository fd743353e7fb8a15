"""The published agents: whole pickled objects, read without running anything in them."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from drqv2.snapshot import load_policy
from runtime.errors import UserError


def rewrite(source: Path, target: Path, change) -> Path:
    """A copy of a zip snapshot whose pickle went through `change`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for record in before.infolist():
            data = before.read(record)
            after.writestr(record.filename, change(data) if record.filename.endswith("/data.pkl") else data)
    return target


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
    with pytest.raises(UserError, match="exp_local/<task>/snapshot.pt"):
        load_policy(moved)
    assert load_policy(moved, task="pendulum_swingup").task == "pendulum_swingup"
    assert load_policy(agents / "relu/cartpole_swingup/snapshot.pt", task="pendulum_swingup").task == "cartpole_swingup"


def test_layers_that_no_published_agent_has_are_refused_by_name(agents):
    with pytest.raises(UserError, match=r"torch\.nn\.modules\.activation\.GELU"):
        load_policy(agents / "gelu/cartpole_swingup/snapshot.pt")


@pytest.mark.parametrize(
    "old, new, said",
    [
        # A stride of (2, 2) that became (3, 3), a layer that is named anew, and an agent of another class.
        (b"stride", None, "stride differs"),
        (b"X\x05\x00\x00\x00trunk", b"X\x05\x00\x00\x00trunc", "trunk"),
        (b"drqv2\nDrQV2Agent", b"drqv2\nEncoder", "refers to __builtin__.dict"),
    ],
)
def test_what_is_no_such_policy_is_one_line(agents, tmp_path, old, new, said):
    def change(data: bytes) -> bytes:
        if new is not None:
            return data.replace(old, new)
        place = data.index(b"K\x02", data.index(old))
        return data[:place] + b"K\x03" + data[place + 2 :]

    path = rewrite(agents / "relu/cartpole_swingup/snapshot.pt", tmp_path / "walker_walk/snapshot.pt", change)
    with pytest.raises(UserError, match=said) as caught:
        load_policy(path)
    assert "\n" not in str(caught.value)
