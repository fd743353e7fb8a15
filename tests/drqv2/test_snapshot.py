"""Weights on disk: what goes in comes out, and a damaged or hostile file is one clear line and runs nothing."""

from __future__ import annotations

import os
import pickle
import time
import zipfile

import numpy as np
import pytest
import torch

from drqv2 import snapshot
from drqv2.archive import ArchiveError, read_archive, write_archive
from drqv2.networks import make_policy
from drqv2.snapshot import find, find_shipped, load_policy, policy_meta, write_policy, write_snapshot
from runtime.errors import UserError
from runtime.files import sha256_file, write_json


def make_network(trunk: str = "relu"):
    return make_policy((5,), 2, feature_dim=4, hidden_dim=8, trunk=trunk)


def meta(obs: str = "state", **changes):
    values = dict(
        task="cartpole_swingup",
        obs=obs,
        frame_stack=3,
        action_repeat=2,
        observation_shape=(5,),
        action_dim=2,
        feature_dim=4,
        hidden_dim=8,
        actor_trunk="relu",
        frame=1000,
        config={"seed": 1},
    )
    return policy_meta(**(values | changes))


def test_a_policy_comes_back_bit_for_bit_and_opens_without_pickle_rights(tmp_path):
    network, path = make_network(), tmp_path / "policy.pt"
    write_policy(path, meta(), network)
    loaded = load_policy(path)
    observation = torch.randn(3, 5)
    torch.testing.assert_close(loaded.network(observation), network(observation), rtol=0, atol=0)
    assert (loaded.task, loaded.obs, loaded.action_repeat, loaded.frame) == ("cartpole_swingup", "state", 2, 1000)
    assert loaded.sha256 == sha256_file(path)
    assert set(torch.load(path, weights_only=True)) == {"format", "version", "checksum", "meta", "tensors"}


def test_half_precision_files_are_loaded_as_float32_with_the_rounded_values(tmp_path):
    network, path = make_network(), tmp_path / "policy.pt"
    write_policy(path, meta(), network, dtype=torch.float16)
    for name, value in load_policy(path).network.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, network.state_dict()[name].half().float(), rtol=0, atol=0)


def test_a_snapshot_can_be_read_as_a_policy(tmp_path):
    network, path = make_network(), tmp_path / "snapshot.pt"
    tensors = dict(network.state_dict()) | {"critic.weight": torch.ones(2), "optimizer.actor.0.step": torch.tensor(3.0)}
    write_snapshot(path, {"policy": meta(), "step": 5}, tensors)
    observation = torch.randn(3, 5)
    torch.testing.assert_close(load_policy(path).network(observation), network(observation), rtol=0, atol=0)


def test_every_cut_and_every_flipped_weight_is_noticed(tmp_path):
    path = tmp_path / "policy.pt"
    write_policy(path, meta(), make_network())
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        records = [r for r in archive.infolist() if "/data/" in r.filename]
    flips = [r.header_offset + 200 + k for r in records for k in (0, 1)]
    flips = [place for place in flips if place < len(whole)]
    random = np.random.default_rng(0)
    for place in [*flips, *random.integers(len(whole), size=150)]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        try:
            loaded = load_policy(path)
        except UserError as error:
            assert "policy.pt" in str(error) and "\n" not in str(error)
        else:  # padding and zip time stamps hold nothing of ours: then the weights must be the right ones
            path.write_bytes(whole)
            for name, value in load_policy(path).network.state_dict().items():
                assert torch.equal(value, loaded.network.state_dict()[name])
    for size in random.integers(len(whole), size=40):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="policy.pt"):
            load_policy(path)


class _Bomb:
    def __reduce__(self):
        return os.system, ("touch " + os.environ["BOMB_FILE"],)


def test_hostile_files_run_nothing(tmp_path, monkeypatch):
    witness = tmp_path / "witness"
    monkeypatch.setenv("BOMB_FILE", str(witness))
    plain, archive = tmp_path / "plain.pt", tmp_path / "archive.pt"
    plain.write_bytes(pickle.dumps(_Bomb()))
    torch.save({"agent": _Bomb()}, archive)
    for path in (plain, archive):
        with pytest.raises(UserError, match=path.name):
            load_policy(path)
    assert not witness.exists()


def test_compressed_records_are_refused_before_they_are_unpacked(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(ArchiveError, match="compressed"):
        load_policy(path)


@pytest.mark.parametrize(
    "change, tensor, reason",
    [
        ({"observation_shape": (6,)}, None, "size mismatch"),
        ({"actor_trunk": "gelu"}, None, "actor_trunk"),
        ({}, float("nan"), "NaN"),
        ({"hidden_dim": -1}, None, "policy"),
    ],
)
def test_contents_that_make_no_policy_are_one_line(tmp_path, change, tensor, reason):
    network, path = make_network(), tmp_path / "policy.pt"
    if tensor is not None:
        network.actor.policy[0].weight.data[0, 0] = tensor
    write_policy(path, meta(**change), network)
    with pytest.raises(UserError, match=reason) as caught:
        load_policy(path)
    assert "\n" not in str(caught.value).strip()


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
        write_snapshot(folder / name / "snapshot.pt", {"policy": meta(obs)}, dict(make_network().state_dict()))
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
