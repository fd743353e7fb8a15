"""A network is an nn.Module whose neurons are modules, with CRPI as what is attached; what can't be done says so."""

import copy
import io
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import snn
from tests.refusals import refused
from tests.snn.helpers import inputs, mlp

X, CARRIED = inputs(5, 4, dtype=torch.float32), snn.CRPI(0.5)


def network(neuron="if", crpi=CARRIED, **options):
    module = mlp(4, 6, 2, dtype=torch.float32)
    return snn.convert(module, snn.calibrate(module, [X]), neuron, timesteps=4, crpi=crpi, **options)


def test_print_shows_the_source_with_neurons_for_its_relus():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = mlp(2, 3, 3, dtype=torch.float32), nn.Linear(3, 1)

        def forward(self, x):
            return self.head(torch.relu(self.body(x)))

    for name, title in (("if", "IF"), ("snm", "SNM"), ("mt", "MT"), ("dc", "DC")):
        shown = repr(snn.convert(Named(), [torch.tensor([0.0, 1.0, 2.0]), torch.ones(3)], name, timesteps=4))
        assert f"(1): {title}(3, theta 1..2, 1 silent)\n" in shown and f"(relu): {title}(3, theta 1..1)" in shown
        assert "(module): Named(\n    (body): Sequential(\n      (0): Linear(weight=(3, 2), bias=(3,))\n" in shown
        assert "CRPI" not in shown
    assert "CRPI(0.5, 'residual')" in repr(network())


@pytest.mark.parametrize("kind", [snn.IF, snn.SNM, snn.MT, snn.DC])
def test_neurons_alone_do_what_they_do_in_a_network(kind):
    """Currents in, spikes out, over decisions with CRPI, a reset of one row, and images."""
    layer, images = nn.Conv2d(2, 3, 2).double(), inputs(3, 5, 2, 4, 4)
    theta = torch.tensor([0.5, 0.0, 1.25], dtype=torch.float64)
    neurons = kind(theta, crpi=snn.CRPI(0.7))
    name = "dc" if kind is snn.DC else kind.__name__.lower()
    spiking = snn.convert(nn.Sequential(layer, nn.ReLU()), [theta], name, timesteps=6, crpi=snn.CRPI(0.7))
    for x in images:
        seen = spiking.trace(x).layers[0]
        with torch.no_grad():
            sent = torch.stack([x if t == 0 or kind is not snn.DC else 0 * x for t in range(6)])
            currents = torch.stack([nn.functional.conv2d(step, layer.weight) for step in sent])
            bias = layer.bias[:, None, None].expand(3, 3, 3)
        assert torch.equal(neurons(currents, bias), seen.spikes) and (seen.spikes != 0).any()
        spiking(x)
        first = torch.arange(5) == 0
        neurons.reset(first), spiking.reset(first)
    neurons.reset()
    assert neurons.carried is None


def test_neurons_alone_begin_anew_under_another_carry_rule():
    currents, fresh = torch.rand(3, 5, 4), snn.IF(torch.ones(4), snn.CRPI(0.7, "carry"))
    neurons = snn.IF(torch.ones(4), snn.CRPI(0.7))
    neurons(currents)
    neurons.crpi = snn.CRPI(0.2)  # the same rule, which goes on
    assert neurons.carried is not None
    neurons.crpi = fresh.crpi
    assert torch.equal(neurons(currents), fresh(currents))


def test_crpi_is_attached_and_taken_off():
    spiking, plain = network(), network(crpi=None)
    first = plain(X)
    assert torch.equal(spiking(X), first) and not torch.equal(spiking(X), first)
    spiking.crpi = None
    assert torch.equal(spiking(X), first) and torch.equal(spiking(X), first)
    spiking.crpi = snn.CRPI(0.5)
    assert not all(torch.equal(spiking(X), first) for _ in range(2))


def test_what_is_changed_counts_from_the_next_decision_on():
    spiking, source = network(crpi=None), mlp(4, 6, 2, dtype=torch.float32)
    neurons = spiking.module.get_submodule("1")
    for _ in range(20):
        assert torch.equal(spiking(X), snn.convert(source, [neurons.theta], timesteps=4)(X))
        neurons.theta = neurons.theta * 0.5
        neurons.theta = neurons.theta * 1.9  # which may get the id of what the network was built from


def test_inference_mode_inside_and_outside():
    reference, spiking = network(), network()
    expected = [reference(X) for _ in range(2)]
    with torch.inference_mode():
        made = network()
        assert torch.equal(made(X), expected[0]) and torch.equal(spiking(X), expected[0])
        state = spiking.get_state()
    assert torch.equal(spiking(X), expected[1]) and torch.equal(made(X), expected[1])
    first = torch.arange(5) == 0
    for other in (reference, spiking, made):
        other.reset(first)
    expected = reference(X)
    assert torch.equal(spiking(X), expected) and torch.equal(made(X), expected)
    spiking.set_state(state)
    spiking.reset(first)
    with torch.inference_mode():
        twin, moved = copy.deepcopy(spiking), network().double()
        assert torch.equal(twin(X), spiking(X)) and moved(X).dtype is torch.float64


def test_state_dict_deepcopy_pickle_and_sequential():
    spiking, other = network(), network()
    expected = spiking(X)
    assert not list(spiking.parameters()) and sorted(spiking.state_dict()) == [
        "module.0.bias",
        "module.0.weight",
        "module.1.theta",
        "module.2.bias",
        "module.2.weight",
    ]
    twin = copy.deepcopy(spiking)  # what is carried, too
    second = spiking(X)
    assert torch.equal(twin(X), second) and not torch.equal(second, expected)
    doubled = {key: 2 * value if key.endswith("theta") else value for key, value in spiking.state_dict().items()}
    other(X)
    other.load_state_dict(doubled)  # counts from the next decision on, which begins an episode
    source = mlp(4, 6, 2, dtype=torch.float32)
    assert torch.equal(other(X), snn.convert(source, [doubled["module.1.theta"]], timesteps=4)(X))
    file = io.BytesIO()
    torch.save(spiking, file)
    file.seek(0)
    for same in (nn.Sequential(nn.Identity(), network()), torch.load(file, weights_only=False)):
        same[-1].reset() if isinstance(same, nn.Sequential) else same.reset()
        assert torch.equal(same(X), expected)
    whole = nn.Sequential(network(), nn.Tanh()).double()
    assert whole(X).dtype is torch.float64 and whole.train()[0].module.dtype is torch.float64


@pytest.mark.parametrize("make", [network, partial(snn.IF, torch.ones(4))])
@pytest.mark.parametrize("move", ["cuda", "meta", torch.float16, torch.bfloat16])
def test_a_move_that_fails_leaves_all_as_it_was(make, move):
    if move == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    module, x = make(), X if make is network else torch.rand(3, 5, 4)
    expected = copy.deepcopy(module)(x)
    with pytest.raises(snn.ConversionError) as error:
        module.to(move)
    assert "\n" not in str(error.value)
    assert torch.equal(module(x), expected)


HUGE, TINY = (torch.full((6,), value, dtype=torch.float64) for value in (1e300, 1e-300))
DEEP, DEEPER = mlp(4, 6, 2), mlp(4, 6, 6, 2)
STEEP = copy.deepcopy(DEEP)
STEEP[0].weight.data *= 1e300
MISTAKES = {
    "mode on the network": (lambda: setattr(network(), "mode", "carry"), "mode is CRPI's.*crpi = snn.CRPI"),
    "alpha on the network": (lambda: setattr(network(), "alpha", 0.1), "alpha is CRPI's"),
    "crpi a number": (lambda: setattr(network(), "crpi", 0.5), "crpi=0.5 must be a snn.CRPI"),
    "T = 0": (lambda: setattr(network(), "timesteps", 0), "timesteps=0 must be a whole number of at least 1"),
    "another neuron": (lambda: setattr(network(), "neuron", "mt"), "neuron is settled"),
    "chunk_rows later": (lambda: setattr(network(), "chunk_rows", 3), "chunk_rows is settled"),
    "input 1e300": (lambda: network()(1e300 * X.double()), "the input: values up to .*e.300, which overflows float32"),
    "input nan": (lambda: network()(X * float("nan")), "the input: values that are not finite"),
    "input without a batch": (lambda: network()(X[0]), r"a batch \[B, ...\].*got \(4,\)"),
    "input of another shape": (lambda: network()(X[:, :3]), r"can't take an input of shape \(3,\)"),
    "input of another shape, later": (lambda: _decided()(X[:, :3]), r"changed from \(4,\) to \(3,\); reset first"),
    "input a text": (lambda: network()("x"), "the input must be a tensor or an array"),
    "input empty": (lambda: network()(X[:0]), "at least one row"),
    "thresholds of too few layers": (lambda: snn.convert(DEEP, []), "1 ReLUs, but 0 thresholds"),
    "thresholds of too few units": (lambda: snn.convert(DEEP, [torch.ones(5)]), "'0' needs 6 thresholds"),
    "thresholds of two dimensions": (
        lambda: snn.convert(DEEP, [torch.ones(1, 6)]),
        "one finite number >= 0 per channel",
    ),
    "thresholds 1e300": (
        lambda: snn.convert(DEEP, [HUGE], dtype="float32"),
        r"thresholds of '0': values up to 1e\+300, which overflows float32",
    ),
    "thresholds 1e-300": (lambda: snn.convert(DEEP, [TINY], dtype="float32"), "thresholds of '0': numbers too small"),
    "thresholds inf": (lambda: snn.convert(DEEP, [HUGE * HUGE]), "thresholds of '0': values that are not finite"),
    "thresholds below 0": (lambda: snn.convert(DEEP, [-torch.ones(6)]), "thresholds of '0' must be one.*>= 0"),
    "thresholds a dict": (lambda: snn.convert(DEEP, {"0": torch.ones(6)}), "list of one tensor per ReLU.*got dict"),
    "thresholds a text": (lambda: snn.convert(DEEP, ["x"]), "thresholds of '0' must be a tensor.*got str"),
    "weights 1e300": (
        lambda: snn.convert(STEEP, [torch.ones(6)], dtype="float32"),
        r"'0.weight': values up to .*e\+\d+, which overflows float32",
    ),
    "thresholds 1e300, later": (lambda: snn.convert(DEEP, [HUGE]).float(), "'module.1.theta'.*overflows float32"),
    "thresholds 1e-300, later": (lambda: snn.convert(DEEP, [TINY]).float(), "'module.1.theta': numbers too small"),
    "thresholds loaded": (lambda: _spoilt()(X), "thresholds of '0' must be one finite number >= 0"),
    "calibrate on one tensor": (lambda: snn.calibrate(DEEP, X), r"several tensors.*pass \[inputs\]"),
    "calibrate on a number": (lambda: snn.calibrate(DEEP, 5), "several tensors"),
    "calibrate on pairs": (
        lambda: snn.calibrate(DEEP, DataLoader(TensorDataset(X, torch.arange(5)), 2)),
        r"got a list; of inputs and labels take the inputs: \(x for x, y in loader\)",
    ),
    "calibrate on nothing": (lambda: snn.calibrate(DEEP, [X[:0]]), "at least one input"),
    "calibrate on 1e300": (
        lambda: snn.calibrate(mlp(4, 6, 2, dtype=torch.float32), [1e300 * X.double()]),
        "a batch: values up to .*overflows float32",
    ),
    "calibrate on no batches": (lambda: snn.calibrate(DEEP, []), "no batches"),
    "calibrate on nan": (lambda: snn.calibrate(DEEP, [X / 0]), "a batch: values that are not finite"),
    "calibrate on another shape": (lambda: snn.calibrate(DEEP, [X[:, :3]]), r"can't take a batch of shape \(5, 3\)"),
    "percentile 0": (lambda: snn.calibrate(DEEP, [X], 0), "percentile=0"),
    "percentile 101": (lambda: snn.calibrate(DEEP, [X], 101), "percentile=101"),
    "percentile a text": (lambda: snn.calibrate(DEEP, [X], "99"), "percentile='99'"),
    "module a text": (lambda: snn.convert("module", []), "expected a torch module, got str"),
    "module of two inputs": (lambda: snn.convert(nn.Bilinear(2, 2, 2), []), "the module takes 2 inputs"),
    "neuron unknown": (lambda: made(neuron="lif"), "neuron='lif'.*choose one of if, mt, snm"),
    "neuron a list": (lambda: made(neuron=[]), r"neuron=\[\] is not a known"),
    "coding unknown": (lambda: made(coding="phase"), "coding='phase'.*differential, rate"),
    "differential IF": (lambda: made(coding="differential"), "if with coding=differential.*use mt or snm"),
    "T = 2.0": (lambda: made(timesteps=2.0), "timesteps=2.0"),
    "no magnitudes": (lambda: made(neuron="mt", n_thresholds=0), "n_thresholds=0"),
    "float16": (lambda: made(dtype=torch.float16), "dtype=torch.float16.*bfloat16"),
    "no bytes": (lambda: made(max_batch_bytes=0), "max_batch_bytes=0"),
    "too few bytes": (
        lambda: snn.convert(DEEPER, [torch.ones(6)] * 2, max_batch_bytes=8)(X),
        "max_batch_bytes=8 is less",
    ),
    "no rows": (lambda: made(chunk_rows=0), "chunk_rows=0"),
    "slack a text": (lambda: made(slack="x"), "slack='x'"),
    "strict of mt": (lambda: made(neuron="mt", strict=True), "mt has no strict form"),
    "mode unknown": (lambda: snn.CRPI(mode="fresh"), "mode='fresh'.*carry"),
    "mode a list": (lambda: snn.CRPI(mode=[]), r"mode=\[\] is not a known carry rule"),
    "seed below 0": (lambda: snn.CRPI(seed=-1), "seed=-1"),
    "alpha below 0": (lambda: snn.CRPI(-0.1), "alpha=-0.1"),
    "alpha above 2": (lambda: snn.CRPI([0.1, 3.0]), r"alpha=\[0.1, 3.0\]"),
    "alpha nan": (lambda: snn.CRPI(float("nan")), "alpha=nan"),
    "alpha of two dimensions": (lambda: snn.CRPI([[0.5]]), r"alpha=\[\[0.5\]\]"),
    "alpha for too few": (lambda: network(crpi=snn.CRPI([0.1, 0.2]))(X), "2 values for 5 environments"),
    "alpha for too few traced": (lambda: network(crpi=snn.CRPI([0.1, 0.2])).trace(X), "2 values for 5 environments"),
    "alpha for too few currents": (
        lambda: snn.IF(torch.ones(4), snn.CRPI([0.1, 0.2]))(torch.rand(3, 5, 4)),
        "2 values for 5 environments",
    ),
    "macs of a number": (lambda: snn.macs(DEEP, 4), "input_shape=4 must be sizes"),
    "a longer mask": (lambda: _decided().reset(torch.ones(9, dtype=torch.bool)), "mask.*5 environments"),
    "a mask of numbers": (lambda: _decided().reset([1, 0, 1, 0, 1]), "mask.*5 environments"),
    "a longer mask of counts": (lambda: _decided().reset_activity([True] * 9), "mask.*5 environments"),
    "fewer rows": (lambda: _decided()(X[:4]), "4 rows, but 5 environments are running; name their slots"),
    "a trace of fewer rows": (lambda: _decided().trace(X[:2]), "name their slots"),
    "a slot twice": (lambda: network()(X[:2], slots=[1, 1]), "different whole numbers"),
    "slots below 0": (lambda: network()(X[:2], slots=[-1, 0]), "different whole numbers >= 0"),
    "slots between": (lambda: network()(X[:2], slots=[0.5, 1.5]), "different whole numbers"),
    "slots a text": (lambda: network()(X[:2], slots="ab"), "slots must be a tensor"),
    "too few keys": (lambda: _decided().reset([True] * 5, keys=[1, 2]), "keys.*5 environments, got 2"),
    "keys below 0": (lambda: _decided().reset([True] * 5, keys=[1, 2, 3, 4, -1]), "key=-1"),
    "keys a text": (lambda: _decided().reset([True] * 5, keys="abcde"), "key='a'"),
    "no state": (lambda: network().set_state({}), "not a state of this network"),
    "another's state": (
        lambda: snn.convert(mlp(4, 3, 2), [torch.ones(3)]).set_state(_decided().get_state()),
        "not a state of this network",
    ),
    "currents of other units": (lambda: snn.IF(torch.ones(4))(torch.rand(3, 5, 3)), r"currents \[T, B, 4, ...\]"),
    "no steps": (lambda: snn.IF(torch.ones(4))(torch.rand(0, 5, 4)), r"currents \[T, B, 4, ...\]"),
    "currents nan": (lambda: snn.IF(torch.ones(4))(torch.rand(3, 5, 4) / 0), "currents: values that are not finite"),
    "a control alone": (lambda: snn.IF(torch.ones(4), snn.CRPI(1, "random"))(torch.rand(3, 5, 4)), "a network can"),
}


def made(**options):
    return snn.convert(DEEP, [torch.ones(6)], **options)


def _decided():
    spiking = network()
    spiking(X)
    return spiking


def _spoilt():
    spiking = network()
    spiking.load_state_dict({key: -value for key, value in spiking.state_dict().items()})
    return spiking


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line_each(case):
    do, message = MISTAKES[case]
    with refused(message, snn.ConversionError):
        do()


def test_what_people_write_is_taken():
    dc = network("dc")
    assert (dc.neuron.rule.name, dc.neuron.coding.name) == ("mt", "differential")
    assert network(snn.rules.get("snm")).neuron.rule.name == "snm"
    spiking = network(n_thresholds=np.int64(2), chunk_rows=np.int64(2), max_batch_bytes=np.int32(10**6))
    spiking.timesteps = np.int32(3)
    spiking.crpi = snn.CRPI(np.float32(0.5), seed=np.int64(3))
    expected = spiking(X)
    for x in (X.numpy(), X.tolist(), X.double()):
        spiking.reset()
        assert torch.equal(spiking(x), expected)
    module = mlp(4, 6, 2, dtype=torch.float32)
    theta = snn.calibrate(module, (batch for batch in X.double().split(2)))
    torch.testing.assert_close(theta[0], snn.calibrate(module, [X])[0])
    taken = snn.convert(module, [theta[0].tolist()])
    assert torch.equal(taken.thresholds[0], theta[0])
