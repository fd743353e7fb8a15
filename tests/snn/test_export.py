"""A network written in NIR decides as the network itself: read back and played by a plain interpreter in float64."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import snn
from examples import nir_simulators
from snn import export
from tests.snn import oracle
from tests.snn.helpers import batch, converted, inputs, mlp

nir = pytest.importorskip("nir")
ROOT = Path(__file__).resolve().parents[2]
SIMULATORS = "tests/snn/simulators.txt"


def decide(graph, observation):
    """One decision of a NIR graph as the metadata say: dt = 1, soft reset, v_init, the mean of T outputs."""
    waiting, order = set(graph.nodes), []
    while waiting:
        order += [n for n in sorted(waiting) if not any(source in waiting for source, to in graph.edges if to == n)]
        waiting -= set(order)
    v = {n: node.metadata["v_init"].astype(float) for n, node in graph.nodes.items() if isinstance(node, nir.IF)}
    total = 0.0
    for _ in range(int(graph.metadata["timesteps"])):
        values = {}
        for name in order:
            node = graph.nodes[name]
            incoming = [values[source] for source, to in graph.edges if to == name]
            x = sum(incoming) if incoming else np.asarray(observation, np.float64)
            if isinstance(node, nir.IF):
                assert (node.r == 1).all() and (node.v_reset == 0).all() and (node.v_threshold == 1).all()
                m = v[name] + x
                x = (m >= node.v_threshold).astype(np.float64)
                v[name] = m - x
            elif isinstance(node, nir.Affine):
                x = node.weight @ x + node.bias
            elif isinstance(node, nir.Conv2d):
                assert node.groups == 1 and tuple(node.dilation) == (1, 1)
                assert len(set(node.padding)) == len(set(node.stride)) == 1
                x = oracle.convolve(x, node.weight, int(node.stride[0]), int(node.padding[0]), 1)
                x = x + node.bias[:, None, None]
            elif isinstance(node, nir.AvgPool2d):
                assert tuple(node.kernel_size) == tuple(node.stride) and not np.any(node.padding)
                x = oracle.linear_part({"kind": "pool", "k": int(node.kernel_size[0])}, x)
            elif isinstance(node, nir.Flatten):
                assert (node.start_dim, node.end_dim) == (0, -1)
                x = x.reshape(-1)
            else:
                assert isinstance(node, (nir.Input, nir.Output))
            values[name] = x
        total = total + values["output"]
    return total / int(graph.metadata["timesteps"])


def there_and_back(spiking, tmp_path, shape=None, **options):
    path = tmp_path / "out.nir"
    export.write(spiking, path, shape, **options)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.nir"]
    return nir.read(path)


@pytest.mark.parametrize("conv", [False, True], ids=["linear", "conv"])
@pytest.mark.parametrize("ties", [False, True], ids=["free", "ties"])
@pytest.mark.parametrize("seed", range(6))
def test_the_file_decides_as_the_network(tmp_path, conv, ties, seed):
    # Random strides, padding, groups, pools, and silent units; with ties thresholds are met exactly.
    layers, readout, shape = oracle.random_network(seed, conv, ties)
    steps = (1, 4, 9)[seed % 3]
    spiking = converted(layers, readout, "if", "rate", steps)
    graph = there_and_back(spiking, tmp_path, shape)
    rows = oracle.observations(seed, shape, 4, ties)
    expected = spiking(batch(rows)).numpy()
    assert np.allclose([decide(graph, row) for row in rows], expected, rtol=0, atol=1e-12)
    meta = graph.metadata
    assert (int(meta["timesteps"]), float(meta["alpha"]), meta["reset"]) == (steps, 0.0, "soft: v -= v_threshold")
    neurons = [node for node in graph.nodes.values() if isinstance(node, nir.IF)]
    assert len(neurons) == len(layers) and all((node.metadata["v_init"] == 0.5).all() for node in neurons)


class Scaled(torch.nn.Module):
    """As DrQ-v2's encoder begins."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 5, 3, stride=2),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(5 * 3 * 4, 6),
            torch.nn.ReLU(),
            torch.nn.Linear(6, 2),
        ).double()
        with torch.no_grad():
            for weight in self.net.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64) / 3)

    def forward(self, x):
        return self.net(x / 255.0 - 0.5)


def test_input_scaling_goes_into_the_first_weights(tmp_path):
    images = (inputs(3, 3, 8, 10).abs() * 100).clamp(max=255)
    spiking = snn.convert(Scaled(), snn.calibrate(Scaled(), [images]), timesteps=6)
    graph = there_and_back(spiking, tmp_path, (3, 8, 10))
    expected = spiking(images).numpy()
    assert np.ptp(expected) > 0.01
    assert np.allclose([decide(graph, image) for image in images.numpy()], expected, rtol=0, atol=1e-11)


class Residual(torch.nn.Module):
    """Skips by a weight and by identity, a pool before a ReLU, a head that two branches reach."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.Conv2d(4, 4, 3, padding=1)
        self.skip, self.pooled = torch.nn.Conv2d(2, 4, 1), torch.nn.Conv2d(4, 3, 1)
        self.relu, self.pool, self.head = torch.nn.ReLU(), torch.nn.AvgPool2d(2), torch.nn.Linear(27, 2)

    def forward(self, x):
        h = self.relu(self.first(x))
        h = self.relu(self.second(h) + self.skip(x))
        h = self.relu(h + self.second(h))
        return self.head(self.relu(self.pool(self.pooled(h))).flatten(1))


def test_residual_networks_export_too(tmp_path):
    torch.manual_seed(3)
    module = Residual().double()
    images = inputs(3, 2, 6, 6)
    spiking = snn.convert(module, snn.calibrate(module, [images]), timesteps=7)
    graph = there_and_back(spiking, tmp_path, (2, 6, 6))
    expected = spiking(images).numpy()
    assert np.ptp(expected) > 0.01
    assert np.allclose([decide(graph, image) for image in images.numpy()], expected, rtol=0, atol=1e-12)


def test_the_first_decision_of_a_network_with_crpi(tmp_path):
    module = mlp(4, 12, 8, 2)
    observations = inputs(3, 4)
    spiking = snn.convert(module, snn.calibrate(module, [observations]), timesteps=5, crpi=snn.CRPI(0.5))
    graph = there_and_back(spiking, tmp_path, first_decision=True)
    assert float(graph.metadata["alpha"]) == 0.5
    played = [decide(graph, row) for row in observations.numpy()]
    assert np.allclose(played, spiking(observations).numpy(), rtol=0, atol=1e-12)
    # The second decision has residues of the first.
    assert not np.allclose(played, spiking(observations).numpy(), rtol=0, atol=1e-6)


def network(tmp_path, name="net.safetensors", module=None, hybrid=False, **options):
    module = module or mlp(4, 6, 2)
    path = tmp_path / name
    snn.save(snn.convert(module, snn.calibrate(module, [inputs(8, 4)], hybrid=hybrid), hybrid=hybrid, **options), path)
    return path


ANALOG = torch.nn.Sequential(
    torch.nn.Linear(4, 6),
    torch.nn.LayerNorm(6),
    torch.nn.Tanh(),
    torch.nn.Linear(6, 6),
    torch.nn.ReLU(),
    torch.nn.Linear(6, 2),
).double()


@pytest.mark.parametrize(
    "options, named",
    [
        ({"neuron": "snm"}, "NIR can't represent SNM neurons"),
        ({"neuron": "mt"}, "NIR can't represent MT neurons"),
        ({"neuron": "mt", "coding": "differential"}, "dc is mt"),
        ({"neuron": "snm", "coding": "differential"}, "differential coding"),
        ({"crpi": snn.CRPI(0.5)}, "NIR can't represent CRPI (alpha=0.5)"),
        ({"crpi": snn.CRPI(torch.tensor([0.0, 0.3]))}, "NIR can't represent CRPI"),
        ({"module": ANALOG, "hybrid": True}, "layernorm"),
    ],
)
def test_what_nir_cannot_say_is_refused_by_name(tmp_path, capsys, options, named):
    code = export.main([str(network(tmp_path, **options)), "--nir", str(tmp_path / "out.nir")])
    error = capsys.readouterr().err
    assert code == 2 and error.startswith("error: ") and error.count("\n") == 1 and named in error
    assert not (tmp_path / "out.nir").exists()


CONV = torch.nn.Sequential(
    torch.nn.Conv2d(2, 3, (1, 2)), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(12, 1)
).double()


def test_mistakes_are_one_line_each(tmp_path, capsys, monkeypatch):
    good, out = network(tmp_path), str(tmp_path / "out.nir")
    image = snn.convert(CONV, snn.calibrate(CONV, [inputs(2, 2, 2, 3)]))
    snn.save(image, tmp_path / "conv.pt")
    (tmp_path / "noise.pt").write_bytes(b"noise")
    cases = [
        ([str(tmp_path / "absent.pt")], "absent.pt can't be read"),
        ([str(tmp_path / "noise.pt")], "noise.pt"),
        ([str(ROOT / "checkpoints/state/cartpole_swingup.pt")], "cartpole_swingup.pt"),
        ([str(tmp_path / "conv.pt")], "'0' is a convolution of 2 channels"),
        ([str(tmp_path / "conv.pt"), "--shape", "2,2,3"], "kernel of '0', 1 by 2"),
        ([str(good), "--shape", "5"], "can't take an input of shape (5,)"),
        ([str(good), "--shape", "x"], "--shape x: must be"),
    ]
    for words, named in cases:
        assert export.main([*words, "--nir", out]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and named in error, error
    assert export.main([str(good), "--nir", str(tmp_path / "nowhere" / "out.nir")]) == 2
    assert "nowhere/out.nir: can't be written" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "nir", None)
    assert export.main([str(good), "--nir", out]) == 2
    assert capsys.readouterr().err == "error: the nir package is not installed; pip install nir h5py\n"


def test_the_command(tmp_path):
    words = [sys.executable, "-m", "snn.export", str(network(tmp_path)), "--nir", "out.nir"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"written: {tmp_path / 'out.nir'} (1 layers of IF neurons, T=32, alpha=0.0)\n"
    assert len(nir.read(tmp_path / "out.nir").nodes) == 5


class Skips(torch.nn.Module):
    """Sums by identity and by weights, of images and of vectors."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.Conv2d(4, 4, 3, padding=1)
        self.skip, self.wide, self.deep = torch.nn.Conv2d(2, 4, 1), torch.nn.Linear(144, 8), torch.nn.Linear(8, 8)
        self.relu, self.head = torch.nn.ReLU(), torch.nn.Linear(8, 2)

    def forward(self, x):
        h = self.relu(self.first(x))
        h = self.relu(self.second(h) + self.skip(x))
        h = self.relu(self.wide(self.relu(h + self.second(h)).flatten(1)))
        return self.head(self.relu(h + self.deep(h)))


@pytest.mark.parametrize("module", [Scaled, Skips])
@pytest.mark.parametrize("simulator", ["sinabs", "spikingjelly"])
def test_a_simulator_plays_the_file_as_the_network_does(tmp_path, simulator, module):
    """The recipes of examples/nir_simulators.py, run where tests/snn/simulators.txt is installed."""
    pytest.importorskip(simulator, reason=f"{simulator} is not installed: pip install --no-deps -r {SIMULATORS}")
    torch.manual_seed(3)
    images = inputs(4, *((3, 8, 10) if module is Scaled else (2, 6, 6)), dtype=torch.float32)
    network = module().float()
    spiking = snn.convert(network, snn.calibrate(network, [images]), timesteps=8)
    path = tmp_path / "out.nir"
    export.write(spiking, path, tuple(images.shape[1:]))
    with torch.no_grad():
        decisions = getattr(nir_simulators, simulator)(str(path), images, 8)
    expected = spiking(images)
    assert np.ptp(expected.numpy()) > 0.01
    torch.testing.assert_close(decisions, expected, rtol=0, atol=1e-6)
