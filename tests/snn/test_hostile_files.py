"""A few of the files that tests/fuzz_snapshots.py --of networks makes by the thousand: one line each, nothing runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import snn
from tests import fuzz_snapshots
from tests.snn.hostile_networks import GENERATORS, MAY_BE_HARMLESS
from tests.snn.zoo import Net, mlp

FILES_OF_A_KIND = 4


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    fuzz_snapshots.write_network(folder)
    return folder / "network.pt"


def test_the_whole_file_is_what_the_judge_takes_for_unchanged(network):
    original = fuzz_snapshots.identity(network, "network")
    for kind in MAY_BE_HARMLESS:
        assert fuzz_snapshots.judge(kind, network, [original]) == ("unchanged", "")
        assert fuzz_snapshots.judge(kind, network, [original | {"decided": []}])[0] == "FAULT"


@pytest.mark.parametrize("kind", sorted(GENERATORS))
def test_damaged_and_hostile_files_are_one_line_each(kind, network, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    bases, original = {"network": network.read_bytes()}, fuzz_snapshots.identity(network, "network")
    path = network.with_name("suspect.pt")
    for number in range(FILES_OF_A_KIND):
        path.write_bytes(GENERATORS[kind](bases, np.random.default_rng([9, number])))
        before = fuzz_snapshots.memory("VmRSS")
        outcome, said = fuzz_snapshots.judge(kind, path, [original])
        assert outcome != "FAULT", f"number {number}: {said}"
        assert not list(tmp_path.iterdir()), "code in the file ran"
        assert fuzz_snapshots.memory("VmRSS") - before < 300


@pytest.mark.parametrize(
    "module",
    [
        Net(lambda m, x: m.head((x / 255.0 - 0.5).flatten(1)), head=mlp(72, 4, 2)),  # buffers without a dimension
        nn.Sequential(
            nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding="valid", dilation=(1, 2), groups=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32, 3),
        ),
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding="same", bias=False),
            nn.ReLU(),
            nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False, divisor_override=5),
            nn.Flatten(),
            nn.Linear(64, 3),
        ),
        nn.Sequential(
            nn.Flatten(),
            nn.Linear(72, 5, bias=False),
            nn.ReLU(),
            nn.Linear(5, 5),
            nn.LayerNorm(5, elementwise_affine=False),
            nn.Tanh(),
            nn.Linear(5, 4),
            nn.ReLU(),
            nn.Linear(4, 2),
        ),
    ],
)
def test_nothing_that_converts_is_refused(tmp_path, module):
    x = torch.rand(3, 2, 6, 6)
    thresholds = snn.calibrate(module, [x], hybrid=True)
    spiking = snn.convert(module, thresholds, timesteps=3, hybrid=True)
    snn.save(spiking, tmp_path / "network.pt")
    assert torch.equal(snn.load(tmp_path / "network.pt")(x), spiking(x))
