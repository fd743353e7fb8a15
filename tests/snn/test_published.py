"""With `strict=True` and `slack=0.0` the neurons are the published codes', bit for bit, ties included; without, IF is
the published one where no input meets a tie, which tests/drqv2/foreign/test_state_dicts.py shows on published layouts.

The code of differential coding compares the cumulative output with the magnitude as it is, without any slack: so does
the oracle, if told to.
"""

import numpy as np
import pytest
import torch

import snn
from tests.snn import oracle
from tests.snn.helpers import inputs, mlp
from tests.snn.published import SpikingNeuron, decide


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
