"""Spiking networks on a CUDA device do what they do on the CPU, where compiled kernels compute them.

Weights, thresholds and inputs are multiples of powers of two, so that sums are exact in any order and results are equal
bit for bit; only a GPU's own LayerNorm and tanh round differently. Five steps of differential coding divide inexactly:
CUDA's division by a Python number would show.
"""

import numpy as np
import pytest
import torch
from torch import nn

import snn
from evaluation.policies import ANNPolicy, SpikingPolicy
from runtime import device as devices
from tests.cuda.gpu import REAL, gpu
from tests.snn.helpers import PAIRS

CUDA = torch.device("cuda:0")
STEPS = {"rate": 2, "differential": 5}
KINDS = ("conv", "mlp", "hybrid")
ROUNDED = {"float32": 1e-5, "float64": 1e-12, "bfloat16": 2**-7}


def dyadic(*shape: int, seed: int, step: float = 1 / 8) -> torch.Tensor:
    return torch.randint(-6, 7, shape, generator=torch.Generator().manual_seed(seed)) * step


def module(kind: str) -> nn.Module:
    """conv: ends in a ReLU; mlp: ends in a linear layer; hybrid: around a LayerNorm and a tanh."""
    convolutions = [nn.Conv2d(2, 3, 3, stride=2), nn.ReLU(), nn.Conv2d(3, 3, 2), nn.ReLU(), nn.Flatten()]
    layers = {
        "conv": [*convolutions, nn.Linear(12, 5), nn.ReLU()],
        "mlp": [nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)],
        "hybrid": [nn.Linear(4, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)],
    }[kind]
    network = nn.Sequential(*layers)
    with torch.no_grad():
        for seed, parameter in enumerate(network.parameters()):
            parameter.copy_(dyadic(*parameter.shape, seed=seed))
    return network


def observations(kind: str, decision: int) -> torch.Tensor:
    return dyadic(4, *((2, 7, 7) if kind == "conv" else (4,)), seed=50 + decision, step=1 / 4)


def converted(kind: str, neuron: str, coding: str, mode: str, dtype: str, device: torch.device) -> snn.SpikingNetwork:
    network = module(kind)
    units = [len(layer.weight) for layer in network if isinstance(layer, (nn.Conv2d, nn.Linear))]
    spiking = {"conv": units, "mlp": units[:-1], "hybrid": units[1:-1]}[kind]
    thetas = [torch.tensor(([0.5, 1.0, 2.0, 0.0, 1.0] * count)[:count]) for count in spiking]
    crpi = snn.CRPI(torch.tensor([0.5, 0.0, 1.0, 0.5]), mode)
    options = {"timesteps": STEPS[coding], "n_thresholds": 4, "dtype": dtype, "crpi": crpi, "hybrid": True}
    return snn.convert(network, thetas, neuron, coding, **options).to(device)


def played(spiking: snn.SpikingNetwork, kind: str, record: bool) -> list[np.ndarray]:
    """A decision; if recorded, another of two slots after a reset of one, and all that can be seen of it."""
    device = spiking.device
    spiking.record(record)
    outputs = [spiking(observations(kind, 0).to(device)), *spiking.residuals()]
    if record:
        spiking.reset(torch.tensor([True, False, False, False]).to(device))
        slots = torch.tensor([2, 0]).to(device)
        state, x = spiking.get_state(), observations(kind, 1)[:2]
        seen = spiking.trace(x, slots)
        outputs += [seen.output, seen.ann_output, *(layer.decoded for layer in seen.layers)]
        outputs += [spiking(x.to(device), slots), *spiking.residuals()]
        spiking.set_state(state)
        outputs += spiking.residuals()
    activity = [x for layer in spiking.activity() for x in (layer.spikes, layer.sops, layer.above, layer.decisions)]
    return [output.double().cpu().numpy() for output in outputs] + activity


@pytest.fixture(autouse=True)
def as_in_evaluation():
    devices.prepare(torch.device("cpu"), "fp32", repeatable=True)


# Every network and dtype, recorded or not, and every mode: kernels of all combinations would be compiled for minutes.
PLAYED = [
    *((kind, "residual", dtype, True) for kind in KINDS for dtype in ("float32", "float64", "bfloat16")),
    *(("conv", "residual", dtype, False) for dtype in ("float32", "bfloat16")),
    *(("conv", mode, "float32", True) for mode in ("random", "shuffled", "carry")),
]


@pytest.mark.parametrize(("neuron", "coding"), PAIRS)
def test_every_network_mode_and_dtype(neuron, coding):
    for kind, mode, dtype, record in PLAYED:
        want = played(converted(kind, neuron, coding, mode, dtype, torch.device("cpu")), kind, record)
        with gpu():
            got = played(converted(kind, neuron, coding, mode, dtype, CUDA), kind, record)
        close = ROUNDED[dtype] if REAL and kind == "hybrid" else 0
        for ours, theirs in zip(got, want, strict=True):
            title = f"{kind} {mode} {dtype} record={record}"
            np.testing.assert_allclose(ours, theirs, rtol=close, atol=close, err_msg=title)


@pytest.mark.parametrize(("kind", "mode"), [("conv", "residual"), ("mlp", "carry"), ("mlp", "shuffled")])
def test_a_decision_waits_twice_at_most_and_reading_an_episode_once(kind, mode):
    with gpu() as log:
        spiking = converted(kind, "mt", "differential", mode, "float32", CUDA)
        policy = SpikingPolicy(spiking, 4, CUDA)
        policy.act(observations(kind, 0).numpy())
        log.waits.clear()
        policy.act(observations(kind, 1).numpy(), np.array([0, 2]))
        layers = len(spiking.thresholds)
        # Are the inputs finite, and what are the actions? The control shuffles on the host, layer by layer.
        assert log.waits.total() <= 2 + layers * (mode == "shuffled"), log.waits
        log.waits.clear()
        assert len(policy.activity(0)) == layers and log.waits.total() == 1, log.waits


def test_calibration_policy_and_files(tmp_path):
    network, inputs = module("conv"), [observations("conv", k) for k in range(3)]
    for percentile in (None, 90):
        want = snn.calibrate(network, inputs, percentile)
        with gpu():
            got = snn.calibrate(module("conv").to(CUDA), [x.to(CUDA) for x in inputs], percentile)
            assert all(torch.equal(ours.cpu(), theirs) for ours, theirs in zip(got, want, strict=True))
    action = ANNPolicy(network, torch.device("cpu")).act(inputs[0].numpy())
    with gpu() as log:
        policy = ANNPolicy(network, CUDA)
        log.waits.clear()
        np.testing.assert_allclose(policy.act(inputs[0].numpy()), action, rtol=ROUNDED["float32"] * REAL)
        assert log.waits.total() == 1
        snn.save(converted("conv", "if", "rate", "residual", "float32", CUDA), tmp_path / "spiking.safetensors")
        loaded = snn.load(tmp_path / "spiking.safetensors", CUDA)(inputs[0].to(CUDA)).cpu()
    assert torch.equal(loaded, snn.load(tmp_path / "spiking.safetensors")(inputs[0]))


def test_float32_is_not_tf32():
    fine = 1 + 2.0**-14  # more bits than TF32 has
    layer, x = nn.Conv2d(64, 64, 1, bias=False), torch.ones(8, 64, 8, 8)
    layer.weight.data = fine * torch.eye(64)[:, :, None, None]
    with gpu(), torch.no_grad():
        layer.to(CUDA)
        for precision, want in (("fp32", fine), ("tf32", 1.0), ("bf16", fine)):
            devices.prepare(CUDA, precision, repeatable=True)
            assert layer(x.to(CUDA)).unique().tolist() == [want]
            assert (x.to(CUDA)[:, :, 0, 0] @ layer.weight[:, :, 0, 0]).unique().tolist() == [want]
