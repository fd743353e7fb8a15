"""The five neurons equal an oracle written from the equations, spike for spike, over several decisions, in chains and
graphs; what holds for every neuron; and, with `strict=True` and `slack=0.0`, they are the published codes', with ties.

The code of differential coding compares the cumulative output with the magnitude as it is, without any slack: so does
the oracle, if told to. tests/drqv2/foreign shows that IF is as published where no input meets a tie.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import snn
from tests.snn import oracle
from tests.snn.helpers import PAIRS, batch, converted, inputs, mlp
from tests.snn.published import SpikingNeuron, decide

DECISIONS = 3


@pytest.mark.parametrize("timesteps", [1, 2, 3, 8, 32])
@pytest.mark.parametrize(("rule", "coding"), PAIRS)
@settings(max_examples=11, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(oracle.KINDS),
    conv=st.booleans(),
    ties=st.booleans(),
    n=st.sampled_from([1, 4]),
)
def test_equals_the_oracle(rule, coding, timesteps, seed, kind, conv, ties, n):
    """A network of three environments decides as three oracles do, spike for spike, by the reference and the fused
    way."""
    alphas = [0.0, 0.3, 1.0]
    rows = len(alphas)
    nodes, outputs, shape = oracle.random_graph(seed, kind, conv, ties)
    spiking = converted(nodes, outputs, rule, coding, timesteps, np.array(alphas), n)
    spiking.record()
    expected = [oracle.Oracle(nodes, outputs, rule, coding, n, timesteps, alpha) for alpha in alphas]
    observations = oracle.observations(seed, shape, DECISIONS * rows, ties)
    for k in range(DECISIONS):
        x = batch(observations[k * rows : (k + 1) * rows])
        seen = spiking.trace(x)
        spiking.reset_activity()
        y = spiking(x)
        activity = spiking.activity()
        for row, one in enumerate(expected):
            y_expected = one.decide(observations[k * rows + row])
            for found in (y, seen.output):
                pairs = zip(found, y_expected, strict=True) if isinstance(found, tuple) else [(found, y_expected)]
                for ours, theirs in pairs:
                    np.testing.assert_allclose(ours[row].numpy(), theirs, rtol=1e-9, atol=1e-9)
            for i, layer in enumerate(seen.layers):
                spikes, rates = np.stack(one.spikes[i]), np.stack(one.rates[i])
                np.testing.assert_array_equal(layer.spikes[:, row].numpy(), spikes)
                # The compiled path by what it counts and by what it carries into the next decision.
                np.testing.assert_array_equal(
                    activity[i].spikes[:, row], np.count_nonzero(spikes.reshape(timesteps, -1), 1)
                )
                for ours, theirs in (
                    (layer.membranes[-1, row], one.v[i]),
                    (layer.v0[row], one.v0[i]),
                    (layer.currents[:, row], np.stack(one.currents[i])),
                    (layer.rates[:, row], rates),
                    (layer.decoded[row], rates.mean(0)),
                ):
                    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_bfloat16_loses_nothing_on_small_dyadic_numbers(rule, coding):
    """Currents that fit into 8 bits are exact in bfloat16, so the network must equal the oracle there too."""
    for seed in range(6):
        nodes, outputs, shape = oracle.random_chain(seed, bool(seed % 2), True)
        spiking = converted(nodes, outputs, rule, coding, 2, 1.0, 4, dtype="bfloat16")
        one = oracle.Oracle(nodes, outputs, rule, coding, 4, 2, 1.0)
        for observation in oracle.observations(seed, shape, 2, True):
            np.testing.assert_allclose(spiking(batch([observation]))[0].numpy(), one.decide(observation), atol=1e-5)


# ---- identities ----


@pytest.mark.parametrize("mode", ["residual", "random", "shuffled", "carry"])
@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_alpha_zero_is_plain_conversion_and_alpha_one_is_not(rule, coding, mode):
    module, x = mlp(4, 20, 20, 3), inputs(6, 5, 4, seed=1)
    thresholds = snn.calibrate(module, [*x])
    zero, one = (snn.convert(module, thresholds, rule, coding, 7, crpi=snn.CRPI(alpha, mode)) for alpha in (0.0, 1.0))
    plain = [snn.convert(module, thresholds, rule, coding, 7)(step) for step in x]
    assert all(torch.equal(zero(step), y) for step, y in zip(x, plain))
    assert not all(torch.equal(one(step), y) for step, y in zip(x, plain))


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_units_that_never_fired_stay_silent(rule, coding, dtype):
    module, x = mlp(4, 12, 12, 2), inputs(5, 8, 4, seed=3)
    with torch.no_grad():
        module[0].bias[3] = 1e-3  # a constant trickle into a unit with no threshold
        module[0].weight[3] = 0
    thresholds = snn.calibrate(module, [*x])
    thresholds[0][3] = 0
    thresholds[1][:] = 0
    spiking = snn.convert(module, thresholds, rule, coding, 16, crpi=snn.CRPI(1.0), dtype=dtype)
    assert [layer.dead for layer in spiking.layers] == [int((theta == 0).sum()) for theta in thresholds]
    for step in x:
        seen = spiking.trace(step)
        assert (seen.layers[0].spikes[:, :, 3] == 0).all() and (seen.layers[1].spikes == 0).all()
        assert torch.isfinite(seen.layers[0].membranes).all()
        output = spiking(step)
        torch.testing.assert_close(output, module[-1].bias.detach().expand_as(output).to(output))


@pytest.mark.parametrize("huge", [1e30, 1e-30])
def test_extreme_inputs_stay_finite(huge):
    module = mlp(4, 12, 12, 2, dtype=torch.float32)
    x = huge * inputs(3, 8, 4, seed=3, dtype=torch.float32)
    for rule, coding in PAIRS:
        spiking = snn.convert(module, snn.calibrate(module, [*x[:1]]), rule, coding, 8, crpi=snn.CRPI(1.0))
        for step in x:
            assert torch.isfinite(spiking(step)).all()


# ---- the published codes ----


def parts(module):
    linears = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
    return [[getattr(layer, key).detach().numpy() for layer in linears] for key in ("weight", "bias")]


def dyadic(module):
    """Small multiples of 1/4 for weights, so that sums are exact and membranes meet thresholds."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_((2 * parameter).round() / 4)
    return module


def differing(module, thresholds, x, rate, timesteps, **options):
    """How many decisions of the network differ in a spike from CRPI's code; x [episodes, decisions, observation]."""
    spiking = snn.convert(module, thresholds, "if", timesteps=timesteps, crpi=snn.CRPI(rate), **options)
    neurons, others = [SpikingNeuron(len(theta), rate).double() for theta in thresholds], 0
    for neuron, theta in zip(neurons, thresholds):
        neuron.thre = theta
    for episode in x:
        spiking.reset()
        for neuron in neurons * 2:
            neuron.reset()
        for observation in episode.unsqueeze(1):
            expected = decide(module[::2], neurons, observation, timesteps)
            seen, decided = spiking.trace(observation), spiking(observation)
            same = all(torch.equal(layer.spikes, torch.stack(n.sent)) for layer, n in zip(seen.layers, neurons))
            assert not same or torch.allclose(decided, expected, rtol=0, atol=1e-9)
            others += not same
    return others


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_strict_if_equals_the_published_neuron_at_ties(rate):
    module, x = dyadic(mlp(6, 20, 20, 3, seed=4)), (2 * inputs(3, 8, 6, seed=9)).round() / 2
    thresholds = [torch.full((20,), theta, dtype=torch.float64) for theta in (1.0, 2.0)]
    assert differing(module, thresholds, x, rate, 8, strict=True) == 0
    assert differing(module, thresholds, x, rate, 8) > 3


@pytest.mark.parametrize(("rule", "timesteps"), [("snm", 8), ("snm", 32), ("mt", 8), ("mt", 32)])
def test_without_slack_differential_neurons_are_the_published_ones(rule, timesteps):
    """And with it they are not: the cumulative output meets its mark often."""
    module, x = mlp(6, 40, 40, 3, seed=4), inputs(100, 6, seed=9)
    thresholds = snn.calibrate(module, [inputs(500, 6, seed=8)])
    options = {"neuron": rule, "coding": "differential", "timesteps": timesteps}
    published = snn.convert(module, thresholds, **options, strict=rule == "snm", slack=0.0)
    ours = snn.convert(module, thresholds, **options)
    seen, output, usual = published.trace(x), published(x).numpy(), ours(x).numpy()
    ops = [{"kind": "dense", "w": w, "b": b} for w, b in zip(*parts(module))]
    for place, theta in ((1, thresholds[0]), (3, thresholds[1])):
        ops.insert(place, {"kind": "relu", "theta": theta.numpy()})
    apart = 0
    for row, observation in enumerate(x.numpy()):
        one = oracle.Oracle(*oracle.chain(ops), rule, "differential", 4, timesteps, 0.0, 0.0, strict=rule == "snm")
        expected = one.decide(observation)
        for layer, theirs in zip(seen.layers, one.spikes):
            np.testing.assert_array_equal(layer.spikes[:, row].numpy(), np.stack(theirs))
        np.testing.assert_allclose(output[row], expected, rtol=0, atol=1e-9)
        apart += not np.allclose(usual[row], expected, rtol=0, atol=1e-9)
    assert apart > 0 or rule == "mt"
