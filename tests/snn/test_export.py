"""A network written in NIR decides as the network itself: read back and played by a plain interpreter in float64."""

import sys

import numpy as np
import pytest
import torch

import snn
from examples import nir_simulators
from snn import export
from tests.processes import ROOT, python
from tests.snn import oracle
from tests.snn.helpers import batch, converted, inputs, mlp
from tests.snn.zoo import Net

nir = pytest.importorskip("nir")
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


def same_decisions(graph, spiking, observations):
    """Does the graph decide as the network, which isn't at rest?"""
    expected = spiking(observations).numpy()
    assert np.ptp(expected) > 0.01
    played = [decide(graph, row) for row in observations.numpy()]
    np.testing.assert_allclose(played, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("conv", [False, True], ids=["linear", "conv"])
@pytest.mark.parametrize("ties", [False, True], ids=["free", "ties"])
@pytest.mark.parametrize("seed", range(6))
def test_the_file_decides_as_the_network(tmp_path, conv, ties, seed):
    # Random strides, padding, groups, pools, and silent units; with ties thresholds are met exactly.
    nodes, outputs, shape = oracle.random_chain(seed, conv, ties)
    steps = (1, 4, 9)[seed % 3]
    spiking = converted(nodes, outputs, "if", "rate", steps)
    graph = there_and_back(spiking, tmp_path, shape)
    rows = oracle.observations(seed, shape, 4, ties)
    expected = spiking(batch(rows)).numpy()
    np.testing.assert_allclose([decide(graph, row) for row in rows], expected, rtol=0, atol=1e-12)
    meta = graph.metadata
    assert (int(meta["timesteps"]), float(meta["alpha"]), meta["reset"]) == (steps, 0.0, "soft: v -= v_threshold")
    neurons = [node for node in graph.nodes.values() if isinstance(node, nir.IF)]
    assert len(neurons) == len(spiking.thresholds) and all((node.metadata["v_init"] == 0.5).all() for node in neurons)


def scaled():
    """As DrQ-v2's encoder begins, for [3, 8, 10]."""
    torch.manual_seed(1)
    convolution, wide, head = torch.nn.Conv2d(3, 5, 3, stride=2), torch.nn.Linear(60, 6), torch.nn.Linear(6, 2)
    relu = torch.nn.ReLU()
    body = torch.nn.Sequential(convolution, relu, torch.nn.Flatten(), wide, relu, head).double()
    return Net(lambda m, x: m.body(x / 255.0 - 0.5), body=body)


def skips(pool=None, units=108):
    """For [2, 6, 6]: sums by identity and by weights, of images and of vectors; a pool before a ReLU."""
    torch.manual_seed(3)

    def forward(m, x):
        h = m.relu(m.first(x))
        h = m.relu(m.second(h) + m.skip(x))
        h = m.relu(h + m.second(h))
        h = m.relu(m.pool(m.third(h))).flatten(1)
        return m.head(m.relu(h + m.deep(h)))

    parts = {"first": torch.nn.Conv2d(2, 4, 3, padding=1), "second": torch.nn.Conv2d(4, 4, 3, padding=1)}
    parts |= {"skip": torch.nn.Conv2d(2, 4, 1), "third": torch.nn.Conv2d(4, 3, 1), "relu": torch.nn.ReLU()}
    parts |= {"deep": torch.nn.Linear(units, units), "head": torch.nn.Linear(units, 2)}
    return Net(forward, pool=pool or torch.nn.Identity(), **parts).double()


PIXELS, IMAGES = (inputs(4, 3, 8, 10).abs() * 100).clamp(max=255), inputs(4, 2, 6, 6)


@pytest.mark.parametrize(
    ("module", "images"),
    [(scaled(), PIXELS), (skips(), IMAGES), (skips(torch.nn.AvgPool2d(2), units=27), IMAGES)],
    ids=["input scaling", "residual", "residual and pool"],
)
def test_scaling_goes_into_the_first_weights_and_residual_networks_export_too(tmp_path, module, images):
    spiking = snn.convert(module, snn.calibrate(module, [images]), timesteps=6)
    same_decisions(there_and_back(spiking, tmp_path, tuple(images.shape[1:])), spiking, images)


def test_the_first_decision_of_a_network_with_crpi(tmp_path):
    module, observations = mlp(4, 12, 8, 2), inputs(3, 4)
    spiking = snn.convert(module, snn.calibrate(module, [observations]), timesteps=5, crpi=snn.CRPI(0.5))
    graph = there_and_back(spiking, tmp_path, first_decision=True)
    assert float(graph.metadata["alpha"]) == 0.5
    same_decisions(graph, spiking, observations)
    with pytest.raises(AssertionError):  # the second decision has residues of the first
        same_decisions(graph, spiking, observations)


def network(tmp_path, module=None, **options):
    module, path = module or mlp(4, 6, 2), tmp_path / "net.safetensors"
    thresholds = snn.calibrate(module, [inputs(8, 4)], hybrid=True)
    snn.save(snn.convert(module, thresholds, hybrid=True, **options), path)
    return path


def refusal(capsys, *words):
    """What the command says, one line, and refuses to do."""
    assert export.main(list(words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1, error
    return error


ANALOG = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.LayerNorm(6), torch.nn.Tanh(), *mlp(6, 6, 2)).double()


@pytest.mark.parametrize(
    "options, named",
    [
        ({"neuron": "snm"}, "NIR can't represent SNM neurons"),
        ({"neuron": "mt"}, "NIR can't represent MT neurons"),
        ({"neuron": "mt", "coding": "differential"}, "dc is mt"),
        ({"neuron": "snm", "coding": "differential"}, "differential coding"),
        ({"crpi": snn.CRPI(0.5)}, "NIR can't represent CRPI (alpha=0.5)"),
        ({"crpi": snn.CRPI(torch.tensor([0.0, 0.3]))}, "NIR can't represent CRPI"),
        ({"module": ANALOG}, "layernorm"),
    ],
)
def test_what_nir_cannot_say_is_refused_by_name(tmp_path, capsys, options, named):
    assert named in refusal(capsys, str(network(tmp_path, **options)), "--nir", str(tmp_path / "out.nir"))
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
        assert named in refusal(capsys, *words, "--nir", out)
    nowhere = str(tmp_path / "nowhere" / "out.nir")
    assert "nowhere/out.nir: can't be written" in refusal(capsys, str(good), "--nir", nowhere)
    monkeypatch.setitem(sys.modules, "nir", None)
    assert "the nir package is not installed; pip install nir h5py\n" in refusal(capsys, str(good), "--nir", out)


def test_the_command(tmp_path):
    done = python("-m", "snn.export", network(tmp_path), "--nir", "out.nir", cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout == f"written: {tmp_path / 'out.nir'} (1 layers of IF neurons, T=32, alpha=0.0)\n"
    assert len(nir.read(tmp_path / "out.nir").nodes) == 5


@pytest.mark.parametrize(("make", "images"), [(scaled, PIXELS), (skips, IMAGES)], ids=["input scaling", "residual"])
@pytest.mark.parametrize("simulator", ["sinabs", "spikingjelly"])
def test_a_simulator_plays_the_file_as_the_network_does(tmp_path, simulator, make, images):
    """The recipes of examples/nir_simulators.py, run where tests/snn/simulators.txt is installed."""
    pytest.importorskip(simulator, reason=f"{simulator} is not installed: pip install --no-deps -r {SIMULATORS}")
    network, images = make().float(), images.float()
    spiking = snn.convert(network, snn.calibrate(network, [images]), timesteps=8)
    export.write(spiking, tmp_path / "out.nir", tuple(images.shape[1:]))
    with torch.no_grad():
        decisions = getattr(nir_simulators, simulator)(str(tmp_path / "out.nir"), images, 8)
    expected = spiking(images)
    assert np.ptp(expected.numpy()) > 0.01
    torch.testing.assert_close(decisions, expected, rtol=0, atol=1e-6)
