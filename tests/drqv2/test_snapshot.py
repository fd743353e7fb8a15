"""Weights on disk: what goes in comes out, and a damaged or hostile file is one clear line and runs nothing."""

import pytest
import torch

from drqv2.archive import ArchiveError, read_archive, write_archive
from drqv2.snapshot import load_policy, write_policy, write_snapshot
from runtime.errors import UserError
from runtime.files import sha256_file
from tests.drqv2.policy_files import description, network

NETWORK = network(description())


@pytest.fixture
def path(tmp_path):
    """A policy's file."""
    write_policy(tmp_path / "policy.pt", description(), NETWORK.state_dict())
    return tmp_path / "policy.pt"


def test_a_policy_comes_back_bit_for_bit_and_opens_without_pickle_rights(path):
    loaded = load_policy(path)
    observation = torch.randn(3, 5)
    torch.testing.assert_close(loaded.network(observation), NETWORK(observation), rtol=0, atol=0)
    assert (loaded.task, loaded.obs, loaded.action_repeat, loaded.frame) == ("cartpole_swingup", "state", 2, 1000)
    assert loaded.sha256 == sha256_file(path)
    assert set(torch.load(path, weights_only=True)) == {"format", "version", "checksum", "meta", "tensors"}


def test_half_precision_files_are_loaded_as_float32_with_the_rounded_values(path):
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


def test_every_cut_and_every_flipped_weight_is_noticed(path):
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
