"""A saved network comes back as it was; a damaged or hostile file is one clear error and runs nothing."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

import snn
from tests.snn.helpers import inputs, mlp


def _network():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.BatchNorm2d(2).eval(),
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 8),
        nn.LayerNorm(8),
        nn.Tanh(),
        nn.Linear(8, 8),
        nn.ReLU(),
        nn.Linear(8, 2),
    )
    return module, inputs(3, 4, 2, 6, 6, dtype=torch.float32)


@pytest.mark.parametrize("dtype", [None, "float64", "bfloat16"])
@pytest.mark.parametrize("alpha", [0.3, torch.tensor([0.0, 0.1, 0.5, 1.0])])
def test_round_trip(tmp_path, dtype, alpha):
    module, x = _network()
    thresholds = snn.calibrate(module, x, hybrid=True)
    spiking = snn.convert(
        module,
        thresholds,
        "mt",
        "differential",
        5,
        3,
        dtype,
        crpi=snn.CRPI(alpha, "shuffled", 7),
        hybrid=True,
        max_batch_bytes=10_000,
        chunk_rows=2,
    )
    path = tmp_path / "network.pt"
    spiking(x[0])
    snn.save(spiking, path)
    loaded = snn.load(path)
    for network in (spiking, loaded):
        network.reset(keys=range(4))
    for step in x:
        assert torch.equal(loaded(step), spiking(step))
    assert repr(loaded) == repr(spiking)
    assert (loaded.carry.seed, loaded.max_batch_bytes, loaded.chunk_rows) == (7, 10_000, 2)
    assert [layer.dead for layer in loaded.layers] == [layer.dead for layer in spiking.layers]
    assert os.listdir(tmp_path) == ["network.pt"]


def test_no_pickled_objects(tmp_path):
    module = mlp(3, 4, 2)
    path = tmp_path / "network.pt"
    snn.save(snn.convert(module, [torch.ones(4)]), path)
    assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == []
    content = torch.load(path, weights_only=True)
    assert isinstance(content["json"], str) and all(
        isinstance(value, torch.Tensor) for value in content["tensors"].values()
    )


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "network.pt"
    snn.save(snn.convert(mlp(3, 4, 2), [torch.ones(4)]), path)
    return path


def test_others_may_read_it_as_they_may_any_file(saved, tmp_path):
    (tmp_path / "other").touch()
    assert saved.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_every_damage_is_noticed(saved):
    whole = saved.read_bytes()
    for end in range(0, len(whole), 97):
        saved.write_bytes(whole[:end])
        with pytest.raises(snn.ConversionError) as error:
            snn.load(saved)
        assert "\n" not in str(error.value) and str(saved) in str(error.value)
    with zipfile.ZipFile(saved.with_name("whole.pt"), "w") as _:
        pass
    saved.write_bytes(whole)
    with zipfile.ZipFile(saved) as archive:
        spans = [(record.header_offset, record.file_size, record.filename) for record in archive.infolist()]
    for offset, size, name in spans:
        if size == 0:
            continue
        start = whole.index(name.encode(), offset) + len(name)
        extra = int.from_bytes(whole[offset + 28 : offset + 30], "little")
        damaged = bytearray(whole)
        damaged[start + extra + size // 2] ^= 0x10
        saved.write_bytes(bytes(damaged))
        with pytest.raises(snn.ConversionError):
            snn.load(saved)


def test_hostile_files(saved, tmp_path):
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    torch.save({"json": "{}", "tensors": Evil()}, saved)
    with pytest.raises(snn.ConversionError):
        snn.load(saved)
    saved.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(snn.ConversionError):
        snn.load(saved)
    assert not marker.exists()
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10_000_000)
    with pytest.raises(snn.ConversionError, match="compressed"):
        snn.load(saved)


def _rewrite(path, change):
    import json

    content = torch.load(path, weights_only=True)
    description = json.loads(content["json"])
    change(description, content["tensors"])
    torch.save({"json": json.dumps(description), "tensors": content["tensors"]}, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, t: d.update(version=99), "version 99"),
        (lambda d, t: d.update(format="other"), "format 'other'"),
        (lambda d, t: d.pop("rule"), "rule"),
        (lambda d, t: d.update(rule="unheard"), "unheard"),
        (lambda d, t: d.update(timesteps=0), "timesteps=0"),
        (lambda d, t: d["ops"][0].update(kind="exec"), "'exec' is not known"),
        (lambda d, t: d["ops"].pop(1), "."),
        (lambda d, t: t["op0.weight"].fill_(float("nan")), "not a finite tensor"),
        (lambda d, t: t.update({"theta0": torch.ones(9)}), "thresholds"),
        (lambda d, t: t.pop("op0.weight"), "op0.weight"),
    ],
)
def test_wrong_content(saved, change, message):
    _rewrite(saved, change)
    with pytest.raises(snn.ConversionError, match=message):
        snn.load(saved)


def test_missing_file(tmp_path):
    with pytest.raises(snn.ConversionError, match="no such file"):
        snn.load(tmp_path / "absent.pt")


def test_a_policy_in_place_of_a_converted_network_is_told_from_a_damaged_one():
    policy = Path(__file__).resolve().parents[2] / "checkpoints/state/cartpole_swingup.pt"
    with pytest.raises(snn.ConversionError, match="another kind of file; a converted network is what snn.save"):
        snn.load(policy)
