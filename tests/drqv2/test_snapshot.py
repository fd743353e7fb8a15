"""Weights and calibrations on disk, ours and the published agents': what goes in comes out, damage is one clear line,
and nothing in a file runs."""

import dataclasses
import re
import shutil
import sys

import numpy as np
import pytest
import torch

from drqv2.archive import ArchiveError, read_archive, write_archive
from drqv2.snapshot import VERSION, load_policy, store_calibration, write_policy, write_snapshot
from drqv2.stored_thresholds import StoredCalibration, weights_sha256
from runtime.errors import UserError
from runtime.files import sha256_file
from tests.drqv2.policy_files import description, network
from tests.hostile.snapshots import ODD, unzipped, zipped
from tests.refusals import refused

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


def test_every_cut_and_every_flipped_weight_is_noticed(path):
    whole = path.read_bytes()
    places = [whole.index(weight.numpy().tobytes()) for weight in NETWORK.state_dict().values()]
    flipped = [whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :] for place in places]
    for contents in (*flipped, *(whole[:size] for size in range(0, len(whole), 100))):
        path.write_bytes(contents)
        with refused("policy.pt"):
            load_policy(path)


SIZES = (0, -1, 3, 2**31, 2**63, 10**30)
# What is wrong although it is of the right type, where that is not SIZES.
WRONG = {"observation_shape": ([], [1], [9, 10**6, 10**6], [9, 84, 84], [10**12], [5] * 1000), "config": ()}
WRONG |= {"task": ("", "\x1b[2J\n", "a" * 10**6), "obs": ("x", ""), "actor_trunk": ("x", ""), "frame": (-1,)}
WRONG |= {"frame_stack": (0, -1), "action_repeat": (0, -1)}


@pytest.mark.parametrize("field", description())
def test_no_field_is_taken_for_what_it_is_not_however_well_it_is_signed(path, field):
    meta, tensors = read_archive(path, ("policy",), VERSION)
    usual = meta["policy"][field]
    others = [value for value in ODD if type(value) is not type(usual) and value != usual]
    for value in (*others, *WRONG.get(field, SIZES)):
        write_archive(path, "policy", VERSION, meta | {"policy": meta["policy"] | {field: value}}, tensors)
        with refused("policy.pt"):
            load_policy(path)


LAYER = "actor.policy.0.weight"


@pytest.mark.parametrize(
    "change",
    [
        *(lambda t, number=number: t[LAYER].fill_(float(number)) for number in ("nan", "inf", "-inf")),
        lambda t: t.pop(LAYER),
        lambda t: t.update({LAYER: t[LAYER].flatten()[:9].clone()}),
        lambda t: t.update({LAYER: t[LAYER][None].clone()}),
        lambda t: t.update({LAYER: torch.zeros(0)}),
        lambda t: t.update({"actor.more": torch.ones(1)}),
        lambda t: t.update({f"actor.{LAYER}": t.pop(LAYER)}),
    ],
)
def test_weights_that_are_not_the_policys_are_one_line(path, change):
    meta, tensors = read_archive(path, ("policy",), VERSION)
    change(tensors)
    write_archive(path, "policy", VERSION, meta, tensors)
    with refused("policy.pt"):
        load_policy(path)


def test_other_kinds_and_versions_are_named(tmp_path):
    path = tmp_path / "x.pt"
    for kind, version, said in (("policy", 99, "version 99"), ("else", 1, "not a policy or snapshot file")):
        write_archive(path, kind, version, {}, {})
        with pytest.raises(ArchiveError, match=said):
            load_policy(path)
    with pytest.raises(ArchiveError, match="no such file"):
        read_archive(tmp_path / "absent.pt", ("policy",), 1)


# ---- a calibration in a policy's file ----


SETTINGS = {"steps": 9, "percentile": None, "hybrid": False, "seed": 1, "torch": "2.13.0"}
MADE = {"device": "cpu", "threads": 1}
WIDTHS = {"state": [4, 8, 8], "pixels": [32, 32, 32, 32, 4, 8, 8]}


def write(path, seed=0, dtype=torch.float16, **changes):
    if changes.get("obs") == "pixels":
        changes["observation_shape"] = (9, 84, 84)
    described = description(**changes)
    write_policy(path, described, network(described, seed).state_dict(), dtype=dtype)
    return path


def calibration(path, widths=None) -> StoredCalibration:
    thresholds = [torch.rand(width) for width in widths or WIDTHS["state"]]
    thresholds[0][0] = 0.0  # a unit that never fired
    return StoredCalibration(thresholds, SETTINGS, MADE, weights_sha256(load_policy(path).network.state_dict()))


@pytest.mark.parametrize(
    "obs, trunk, widths",
    [
        ("state", "relu", WIDTHS["state"]),
        ("pixels", "relu", WIDTHS["pixels"]),
        ("pixels", "layernorm_tanh", [32, 32, 32, 32, 8, 8]),
    ],
)
def test_what_is_stored_comes_back_bit_for_bit_and_the_weights_stay(tmp_path, obs, trunk, widths):
    path = write(tmp_path / "policy.pt", obs=obs, actor_trunk=trunk)
    before = read_archive(path, ("policy",), VERSION)
    assert load_policy(path).calibration is None
    stored = calibration(path, widths)
    store_calibration(path, stored)
    found = load_policy(path).calibration
    assert all(map(torch.equal, found.thresholds, stored.thresholds)) and len(found.thresholds) == len(widths)
    assert (found.settings, found.made, found.weights) == (SETTINGS, MADE, stored.weights)
    meta, tensors = read_archive(path, ("policy",), VERSION)
    assert meta["policy"] == before[0]["policy"]
    for name, value in before[1].items():
        assert tensors[name].dtype == torch.float16 and torch.equal(tensors[name], value)
    # Another takes its place.
    second = dataclasses.replace(calibration(path, widths), settings={"steps": 10})
    store_calibration(path, second)
    found = load_policy(path).calibration
    assert found.settings == {"steps": 10} and all(map(torch.equal, found.thresholds, second.thresholds))


def test_it_is_bound_to_its_weights(tmp_path):
    one, other = write(tmp_path / "one.pt", seed=0), write(tmp_path / "other.pt", seed=1)
    with pytest.raises(ValueError, match="other weights"):
        store_calibration(other, calibration(one))
    store_calibration(one, calibration(one))
    # One weight changed by the least that float16 can: all of it signed, as a writer would.
    meta, tensors = read_archive(one, ("policy",), VERSION)
    tensors["actor.policy.0.weight"].view(torch.int16)[0, 0] ^= 1
    write_archive(one, "policy", VERSION, meta, tensors)
    with refused(r"one.pt: the calibration in it belongs to other weights; .*--calibrate"):
        load_policy(one)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda m, t: t["calibration.1"].fill_(NAN), "negative value, NaN or infinity in layer 1"),
        (lambda m, t: t["calibration.0"].fill_(INF), "negative value, NaN or infinity in layer 0"),
        (lambda m, t: t["calibration.2"].fill_(-1e-30), "negative value, NaN or infinity in layer 2"),
        (lambda m, t: t.update({"calibration.1": torch.ones(7)}), "isn't float32 of shape (8,) in layer 1"),
        (lambda m, t: t.update({"calibration.1": torch.ones(8, 1)}), "isn't float32 of shape (8,) in layer 1"),
        (lambda m, t: t.update({"calibration.1": torch.ones(8).double()}), "isn't float32 of shape (8,) in layer 1"),
        (
            lambda m, t: t.update({"calibration.1": torch.ones(8, dtype=torch.int64)}),
            "isn't float32 of shape (8,) in layer 1",
        ),
        (lambda m, t: t.pop("calibration.2"), "doesn't have one tensor for each of the policy's 3 ReLU layers"),
        (lambda m, t: t.update({"calibration.3": torch.ones(8)}), "one tensor for each"),
        (lambda m, t: t.update({"calibration.x": torch.ones(8)}), "one tensor for each"),
        (lambda m, t: m["calibration"].update(layers=10**12), "one tensor for each"),
        (lambda m, t: m["calibration"].update(layers=None), "one tensor for each"),
        (lambda m, t: m["calibration"].update(weights="0" * 64), "belongs to other weights"),
        (lambda m, t: m["calibration"].update(weights="\x1b[2J"), "belongs to other weights"),
        (lambda m, t: m["calibration"].update(weights=None), "belongs to other weights"),
        (lambda m, t: m["calibration"].update(settings=[1]), "no plain settings"),
        (lambda m, t: m["calibration"].update(settings={"seed": [1]}), "no plain settings"),
        (lambda m, t: m["calibration"].update(settings={"seed": 10**30}), "no plain settings"),
        (lambda m, t: m["calibration"].update(settings={"task": "x" * 200}), "no plain settings"),
        (lambda m, t: m["calibration"].update(settings={"task": "a\nb"}), "no plain settings"),
        (lambda m, t: m["calibration"].update(settings={str(n): n for n in range(200)}), "no plain settings"),
        (lambda m, t: m["calibration"].update(made={"device": "\x1b[31m"}), "no plain made"),
        (lambda m, t: m["calibration"].update(more=1), "isn't described"),
        (lambda m, t: m["calibration"].pop("made"), "isn't described"),
        (lambda m, t: m["calibration"].clear(), "isn't described"),
        (lambda m, t: m.pop("calibration"), "isn't described"),
        (lambda m, t: m.update(calibration=1), "isn't described"),
        (lambda m, t: m.update(calibration=[]), "isn't described"),
        (lambda m, t: m.update(calibration="x"), "isn't described"),
    ],
)
def test_a_damaged_one_is_an_error_of_one_line(tmp_path, change, reason):
    path = write(tmp_path / "policy.pt")
    store_calibration(path, calibration(path))
    meta, tensors = read_archive(path, ("policy",), VERSION)
    change(meta, tensors)
    write_archive(path, "policy", VERSION, meta, tensors)
    with pytest.raises(UserError) as caught:
        load_policy(path)
    said = str(caught.value)
    assert (
        said.startswith(f"{path}: the calibration in it ") and reason in said and said.isprintable() and len(said) < 600
    )


def test_only_policy_files_take_one(tmp_path):
    path = write(tmp_path / "policy.pt")
    stored, policy = calibration(path), load_policy(path)
    write_snapshot(tmp_path / "snapshot.pt", {"policy": {}}, dict(policy.network.state_dict()))
    with pytest.raises(ArchiveError, match="not a policy file"):
        store_calibration(tmp_path / "snapshot.pt", stored)


# ---- published agents: whole pickled objects ----


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
