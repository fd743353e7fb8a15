"""Which modules convert, which are refused and how, and that the source is left alone."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

import snn
from tests.refusals import refused
from tests.snn.helpers import inputs, mlp
from tests.snn.zoo import Net, trained


def _close(module, x, timesteps=256, tolerance=0.05, **options):
    """The network's output nears the module's; returns the network."""
    with torch.no_grad():
        expected = copy.deepcopy(module).eval()(x if x.is_floating_point() else x.float())
    hybrid = options.get("hybrid", False)
    spiking = snn.convert(module, snn.calibrate(module, [x], hybrid=hybrid), "mt", timesteps=timesteps, **options)
    error = (spiking(x) - expected).abs().max()
    assert error < tolerance * expected.abs().max(), error
    return spiking


def _parts(**extra):
    torch.manual_seed(1)
    return {"a": nn.Linear(6, 20), "b": nn.Linear(20, 3), "relu": nn.ReLU()} | extra


STATE = {
    "functional relu": (lambda m, x: m.b(F.relu(m.a(x))), {}),
    "torch.relu": (lambda m, x: m.b(torch.relu(m.a(x))), {}),
    "method": (lambda m, x: m.b(m.a(x).relu()), {}),
    "in place": (lambda m, x: m.b(F.relu(m.a(x), inplace=True)), {}),
    "in place twice": (
        lambda m, x: (lambda h: m.b(m.r(m.d(h)) + h.relu()))(m.a(x)),
        {"d": nn.Dropout(0.5, inplace=True), "r": nn.ReLU(inplace=True)},
    ),
    "dropout, identity": (lambda m, x: m.b(m.i(m.d(m.relu(m.a(x))))), {"d": nn.Dropout(0.5), "i": nn.Identity()}),
    "functional dropout": (lambda m, x: m.b(F.dropout(m.relu(m.a(x)), 0.5, m.training)), {}),
    "scaling": (lambda m, x: m.b(m.relu(m.a(1 - (2.0 * x + 0.1) / 3))), {}),
    "scaling by tensors": (
        lambda m, x: m.b(m.relu(m.a((x.float() - m.mean) * m.scale))),
        {"mean": nn.Parameter(torch.linspace(-1, 1, 6)), "scale": nn.Parameter(torch.linspace(1, 2, 6))},
    ),
    "no bias": (lambda m, x: m.b(m.relu(m.a(x))), {"a": nn.Linear(6, 20, bias=False)}),
    "functional linear": (
        lambda m, x: m.b(m.relu(F.linear(x, m.w, m.v))),
        {"w": nn.Parameter(torch.randn(20, 6)), "v": nn.Parameter(torch.randn(20))},
    ),
    "residual add": (lambda m, x: m.b(m.relu(m.a(x)) + m.a(x)), {}),
    "skip of the input": (lambda m, x: m.c(torch.cat([m.relu(m.a(x)), x], 1)), {"c": nn.Linear(26, 3)}),
    "shared linear": (lambda m, x: m.b(F.relu(m.c(F.relu(m.c(F.relu(m.a(x))))))), {"c": nn.Linear(20, 20)}),
    "shared relu": (lambda m, x: m.b(m.relu(m.c(m.relu(m.a(x))))), {"c": nn.Linear(20, 20)}),
    "tanh behind the last layer": (lambda m, x: torch.tanh(m.b(m.relu(m.a(x)))) * 2 + 0.5, {}),
    "two linears": (lambda m, x: m.b(m.c(m.relu(m.a(x)))), {"c": nn.Linear(20, 20)}),
    "bare relu": (lambda m, x: m.b(m.relu(m.a(m.relu(x)))), {}),
    "scaling inside": (lambda m, x: m.b(m.relu(m.a(x)) * 2 - 1), {}),
    "one unit widened by a bias": (
        lambda m, x: m.b(m.c(m.relu(m.d(m.relu(m.a(x))) + m.w)) + m.w),
        {"c": nn.Linear(20, 1), "d": nn.Linear(20, 1), "w": nn.Parameter(torch.linspace(-1, 1, 20))},
    ),
    "added to itself": (lambda m, x: (lambda h: m.b(h + h))(m.relu(m.a(x))), {}),
    "batchnorm behind relu": (lambda m, x: m.b(m.n(m.relu(m.a(x)))), {"n": trained(nn.BatchNorm1d(20))}),
    "clamp": (lambda m, x: m.b(m.a(x.clamp(-1, 1)).clamp(min=0)), {}),
    "relu6": (lambda m, x: m.b(F.relu6(m.a(x))), {}),
    "reshape by its own size": (
        lambda m, x: m.b(torch.reshape(torch.cat(tensors=[m.relu(m.a(x))], dim=1), (x.size(0), -1))),
        {},
    ),
    "chunk": (lambda m, x: m.b(m.relu(m.a(x))).chunk(3, -1)[1], {}),
    "weight norm": (lambda m, x: m.b(m.relu(m.n(x))), {"n": nn.utils.parametrizations.weight_norm(nn.Linear(6, 20))}),
    "ends in relu": (lambda m, x: m.relu2(m.b(m.relu(m.a(x)))), {"relu2": nn.ReLU()}),
}


@pytest.mark.parametrize("case", STATE)
def test_ways_to_write_a_chain(case):
    forward, extra = STATE[case]
    module = Net(forward, **_parts(**extra))
    if case == "ends in relu":
        module.b.bias.data += 2
    before = copy.deepcopy(module.state_dict())
    module.train()
    _close(module, inputs(16, 6, dtype=torch.float32))
    assert module.training and all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def _conv(*tail, head=(), channels=8):
    return nn.Sequential(*head, nn.Conv2d(3, channels, 3), *tail)


PIXELS = {
    "average pool behind ReLU": lambda: _conv(nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(72, 4)),
    "average pool before ReLU": lambda: _conv(nn.AvgPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4)),
    "flatten before ReLU": lambda: _conv(nn.Flatten(), nn.ReLU(), nn.Linear(288, 4)),
    "batchnorm": lambda: _conv(
        trained(nn.BatchNorm2d(8)),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(288, 9),
        trained(nn.BatchNorm1d(9)),
        nn.ReLU(),
        nn.Linear(9, 4),
    ),
    "batchnorm on the input": lambda: _conv(
        nn.ReLU(), nn.Flatten(), nn.Linear(288, 4), head=[trained(nn.BatchNorm2d(3))]
    ),
    "same padding, dilation, groups": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3, padding="same"),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3, dilation=2, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 4),
    ),
    "pool on the input": lambda: _conv(nn.ReLU(), nn.Flatten(), nn.Linear(32, 4), head=[nn.AvgPool2d(2)]),
    "fully convolutional": lambda: _conv(nn.ReLU(), nn.Conv2d(8, 2, 3)),
    "pool at the end": lambda: _conv(nn.ReLU(), nn.AvgPool2d(3)),
    "zero padding": lambda: _conv(nn.ReLU(), nn.Flatten(), nn.Linear(512, 4), head=[nn.ZeroPad2d(1)]),
    "1x1 images": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4)
    ),
}


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("case", PIXELS)
def test_image_networks(case, dtype):
    torch.manual_seed(2)
    _close(PIXELS[case](), inputs(4, 3, 8, 8, dtype=torch.float32), dtype=dtype)


REFUSED = {
    "layernorm": (lambda m, x: m.b(m.relu(m.n(m.a(x)))), {"n": nn.LayerNorm(20)}, "LayerNorm 'n'.*hybrid=True"),
    "maxpool": (lambda m, x: m.b(m.p(m.relu(m.a(x)))), {"p": nn.MaxPool2d(2)}, "MaxPool2d 'p'.*largest"),
    "functional maxpool": (lambda m, x: F.max_pool2d(m.a(x), 2), {}, "max_pool2d.*largest"),
    "gelu": (lambda m, x: m.b(F.gelu(m.a(x))), {}, "gelu 'gelu'"),
    "lstm": (lambda m, x: m.l(x)[0], {"l": nn.LSTM(6, 6)}, "(LSTM|getitem)"),
    "layernorm at the end": (lambda m, x: m.n(m.relu(m.a(x))), {"n": nn.LayerNorm(20)}, "LayerNorm 'n'.*hybrid"),
    "tanh inside": (lambda m, x: m.b(torch.tanh(m.a(m.relu(x)))), {}, "Tanh 'tanh'.*hybrid=True"),
    "sigmoid inside": (lambda m, x: m.b(m.relu(m.a(x)).sigmoid()), {}, "sigmoid 'sigmoid'"),
    "leaky relu": (lambda m, x: m.b(F.leaky_relu(m.a(x))), {}, "leaky_relu.*slope"),
    "silu": (lambda m, x: m.b(F.silu(m.a(x))), {}, "silu.*slope"),
    "two activations multiplied": (lambda m, x: m.b(m.relu(m.a(x)) * torch.relu(m.a(x))), {}, "not linear"),
    "dict input": (lambda m, x: m.b(m.relu(m.a(x["state"]))), {}, "dict.*'state'.*wrap"),
    "over the batch": (lambda m, x: m.b(m.relu(m.a(x))).mean(0), {}, "over the batch"),
    "flatten over the batch": (lambda m, x: m.b(m.relu(m.a(x.flatten(-2)))), {}, "over the batch"),
    "flatten in between": (lambda m, x: m.b(m.relu(m.a(x.flatten(1, 2)))), {}, "end_dim=2; only end_dim=-1 converts"),
    "padding by reflection": (lambda m, x: m.b(m.relu(m.a(F.pad(x, (1, 1), "reflect")))), {}, "mode='reflect'"),
    "a size told in the call": (
        lambda m, x: m.t(m.relu(m.c(x)), output_size=x.shape[2:]),
        {"c": nn.Conv2d(3, 4, 3, 2, 1), "t": nn.ConvTranspose2d(4, 2, 3, 2, 1)},
        "ConvTranspose2d 't' is given more than its input",
    ),
    "softplus cut early": (
        lambda m, x: m.s(m.b(m.relu(m.a(x)))),
        {"s": nn.Softplus(threshold=2)},
        "Softplus 's' has threshold=2; only threshold=20",
    ),
    "nothing": (lambda m, x: m.a(x), {}, "nothing to convert.*no ReLU"),
    "reverse division": (lambda m, x: m.b(m.relu(m.a(1 / x))), {}, "divides by an activation"),
    "activations multiplied": (lambda m, x: m.b(m.relu(m.a(x * x))), {}, "not linear"),
    "operand by keyword": (lambda m, x: m.b(m.relu(m.a(torch.add(x, other=1)))), {}, "keyword"),
    "branching": (lambda m, x: m.b(m.relu(m.a(x))) if x.sum() > 0 else x, {}, "can't be traced"),
    "in place unseen": (
        lambda m, x: (lambda h: (F.relu_(h), m.b(F.relu(m.c(h))))[1])(m.a(x)),
        {"c": nn.Linear(20, 20)},
        "in place",
    ),
    "in place, then used as it was": (
        lambda m, x: (lambda h: m.b(F.relu(m.c(m.r(h)) + h)))(m.a(x)),
        {"c": nn.Linear(20, 20), "r": nn.ReLU(True)},
        "'r' works in place on what is used again after it",
    ),
    "in place module unseen": (
        lambda m, x: (lambda h: (m.r(h), m.b(F.relu(m.c(h))))[1])(m.a(x)),
        {"c": nn.Linear(20, 20), "r": nn.ReLU(True)},
        "in place",
    ),
    "scaled by its size": (lambda m, x: m.b(m.relu(m.a(x)) / x.shape[1]), {}, "its sizes; only constants"),
    "whole numbers": (lambda m, x: m.b(m.relu(m.a(x.to(torch.int64)))), {}, "whole numbers"),
    "always dropping": (lambda m, x: m.b(F.dropout(m.relu(m.a(x)))), {}, "dropout"),
    "constant": (lambda m, x: m.w, {"w": nn.Parameter(torch.ones(2))}, "inputs"),
    "batchnorm without statistics": (
        lambda m, x: m.b(m.relu(m.n(m.a(x)))),
        {"n": nn.BatchNorm1d(20, track_running_stats=False)},
        "statistics",
    ),
    "padding mode": (lambda m, x: m.c(x), {"c": nn.Conv2d(1, 1, 3, padding_mode="reflect")}, "reflect"),
    "nan": (lambda m, x: m.b(m.relu(m.a(x * m.w))), {"w": nn.Parameter(torch.tensor(float("nan")))}, "not finite"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name_with_the_reason(case):
    forward, extra, message = REFUSED[case]
    with refused(message, snn.ConversionError):
        snn.convert(Net(forward, **_parts(**extra)), [])


def test_what_else_is_taken_behind_a_layer_stays_as_it_is():
    """BatchNorm isn't folded into, nor a ReLU moved before, what another part of the network takes too."""
    both = {
        "batchnorm": (lambda m, x: (lambda h: (m.b(m.relu(m.n(h))), h))(m.a(x)), {"n": trained(nn.BatchNorm1d(20))}),
        "flatten": (lambda m, x: (lambda h: (m.b(m.relu(h)), h))(m.a(x).flatten(1)), {}),
    }
    x = inputs(16, 6, dtype=torch.float32)
    for forward, extra in both.values():
        module = Net(forward, **_parts(**extra)).eval()
        spiking = snn.convert(module, snn.calibrate(module, [x]), "mt", timesteps=64)
        with torch.no_grad():
            torch.testing.assert_close(spiking(x)[1], module(x)[1], rtol=0, atol=1e-5)


def test_what_tracing_can_not_see_is_noticed_in_calibration():
    def aliased(m, x):
        h = m.a(x)
        view = h.view(h.shape[0], -1)
        h += 1
        return m.b(m.relu(view))

    module = Net(aliased, **_parts())
    with pytest.raises(snn.ConversionError, match="does not compute what the module does"):
        snn.calibrate(module, [inputs(4, 6, dtype=torch.float32)])


def test_hooks_and_weights_that_are_computed_are_refused_not_dropped():
    hooked = mlp(6, 4, 2)
    hooked[0].register_forward_hook(lambda m, args, out: out + 1)
    normed = nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 4)), nn.ReLU(), nn.Linear(4, 2))
    pruned = mlp(6, 4, 2)
    prune.l1_unstructured(pruned[0], "weight", 0.5)
    for module, reason in ((hooked, "forward hooks"), (normed, "remove_weight_norm"), (pruned, "prune.remove")):
        with refused(reason, snn.ConversionError):
            snn.convert(module, [torch.ones(4)])


@pytest.mark.parametrize("coding", ["rate", "differential"])
def test_layernorm_tanh_trunk_as_a_hybrid(coding):
    """Rate -> decoded mean -> LayerNorm/Tanh -> constant current: equal to the two halves run on their own."""
    torch.manual_seed(5)
    front = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10)).double()
    middle = nn.Sequential(nn.LayerNorm(10), nn.Tanh()).double()
    back = nn.Sequential(nn.Linear(10, 30), nn.ReLU(), nn.Linear(30, 3)).double()
    nn.init.uniform_(middle[0].weight), nn.init.uniform_(middle[0].bias)
    module, x = nn.Sequential(front, middle, back), inputs(3, 5, 2, 6, 6)
    thresholds, options = snn.calibrate(module, [*x], hybrid=True), {"timesteps": 6, "crpi": snn.CRPI(0.5)}
    whole = snn.convert(module, thresholds, "mt", coding, **options, hybrid=True)
    first, second = (
        snn.convert(half, own, "mt", coding, **options)
        for half, own in ((front, thresholds[:1]), (back, thresholds[1:]))
    )
    for step in x:
        seen = whole.trace(step)
        with torch.no_grad():
            expected = second(middle(first(step)))
        torch.testing.assert_close(whole(step), expected, rtol=0, atol=1e-9)
        torch.testing.assert_close(seen.output, expected, rtol=0, atol=1e-9)


def test_source_and_network_share_nothing():
    module = mlp(3, 4, 2)
    spiking = snn.convert(module, [torch.ones(4)], timesteps=4)
    x = inputs(2, 3)
    before = spiking(x)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    spiking.reset()
    assert torch.equal(spiking(x), before)
