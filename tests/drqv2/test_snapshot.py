"""Weights on disk: what goes in comes out, and a damaged or hostile file is one clear line and runs nothing."""

from __future__ import annotations

import time

import pytest
import torch

from drqv2 import snapshot
from drqv2.archive import ArchiveError, read_archive, write_archive
from drqv2.snapshot import find, find_shipped, load_policy, write_policy, write_snapshot
from runtime.errors import UserError
from runtime.files import sha256_file, write_json
from tests.drqv2.policy_files import description, network

NETWORK = network(description())


def test_a_policy_comes_back_bit_for_bit_and_opens_without_pickle_rights(tmp_path):
    path = tmp_path / "policy.pt"
    write_policy(path, description(), NETWORK.state_dict())
    loaded = load_policy(path)
    observation = torch.randn(3, 5)
    torch.testing.assert_close(loaded.network(observation), NETWORK(observation), rtol=0, atol=0)
    assert (loaded.task, loaded.obs, loaded.action_repeat, loaded.frame) == ("cartpole_swingup", "state", 2, 1000)
    assert loaded.sha256 == sha256_file(path)
    assert set(torch.load(path, weights_only=True)) == {"format", "version", "checksum", "meta", "tensors"}


def test_half_precision_files_are_loaded_as_float32_with_the_rounded_values(tmp_path):
    path = tmp_path / "policy.pt"
    write_policy(path, description(), NETWORK.state_dict(), dtype=torch.float16)
    for name, value in load_policy(path).network.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, NETWORK.state_dict()[name].half().float(), rtol=0, atol=0)


def test_a_snapshot_can_be_read_as_a_policy(tmp_path):
    path = tmp_path / "snapshot.pt"
    tensors = dict(NETWORK.state_dict()) | {"critic.weight": torch.ones(2), "optimizer.actor.0.step": torch.tensor(3.0)}
    write_snapshot(path, {"policy": description(), "step": 5}, tensors)
    observation = torch.randn(3, 5)
    torch.testing.assert_close(load_policy(path).network(observation), NETWORK(observation), rtol=0, atol=0)


def test_every_cut_and_every_flipped_weight_is_noticed(tmp_path):
    path = tmp_path / "policy.pt"
    write_policy(path, description(), NETWORK.state_dict())
    whole = path.read_bytes()
    places = [whole.index(weight.numpy().tobytes()) for weight in NETWORK.state_dict().values()]
    flipped = [whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :] for place in places]
    for contents in (*flipped, *(whole[:size] for size in range(0, len(whole), 100))):
        path.write_bytes(contents)
        with pytest.raises(UserError, match="policy.pt"):
            load_policy(path)


def test_other_kinds_and_versions_are_named(tmp_path):
    path = tmp_path / "x.pt"
    write_archive(path, "policy", 99, {}, {})
    with pytest.raises(ArchiveError, match="version 99"):
        load_policy(path)
    write_archive(path, "else", 1, {}, {})
    with pytest.raises(ArchiveError, match="not a policy or snapshot file"):
        load_policy(path)
    with pytest.raises(ArchiveError, match="no such file"):
        read_archive(tmp_path / "absent.pt", ("policy",), 1)


@pytest.mark.parametrize(
    "learned, distilled, found",
    [(None, 856.0, "distilled"), (500.0, None, "pixels"), (770.0, 856.0, "distilled"), (771.0, 856.0, "pixels")],
)
def test_the_pixel_policy_that_ships_is_the_learned_one_where_it_is_as_good(
    tmp_path, monkeypatch, learned, distilled, found
):
    monkeypatch.setattr(snapshot, "CHECKPOINTS", tmp_path)
    assert find_shipped("a_task", "pixels") is None
    means = {"pixels/a_task": learned, "distilled/a_task": distilled, "state/b_task": 1.0}
    write_json(tmp_path / "checkpoints.json", {name: {"mean": mean} for name, mean in means.items() if mean})
    assert find_shipped("a_task", "pixels") == tmp_path / found / "a_task.pt"
    assert find_shipped("a_task", "state") is None


def test_find_prefers_the_given_file_then_the_published_layout_then_the_newest_run(tmp_path):
    with pytest.raises(UserError, match="python train.py task=humanoid_walk"):
        find("humanoid_walk", "pixels", root=tmp_path)
    folder = tmp_path / "humanoid_walk"
    for name, obs in (("old", "pixels"), ("new", "pixels"), ("newest", "state")):
        write_snapshot(folder / name / "snapshot.pt", {"policy": description(obs=obs)}, dict(NETWORK.state_dict()))
        time.sleep(0.01)
    assert find("humanoid_walk", "pixels", root=tmp_path) == folder / "new" / "snapshot.pt"
    assert find("humanoid_walk", "state", root=tmp_path) == folder / "newest" / "snapshot.pt"
    (folder / "snapshot.pt").write_bytes(b"published")
    assert find("humanoid_walk", "pixels", root=tmp_path) == folder / "snapshot.pt"
    given = folder / "old" / "snapshot.pt"
    assert find("humanoid_walk", "pixels", snapshot=given, root=tmp_path) == given
    assert find("humanoid_walk", "pixels", snapshot=given.parent, root=tmp_path) == given
    with pytest.raises(UserError, match="snapshot="):
        find("humanoid_walk", "pixels", snapshot=tmp_path / "absent.pt", root=tmp_path)
