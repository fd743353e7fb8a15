"""With `strict=True` and `slack=0.0` the neurons are the published codes', bit for bit, ties included; without, IF is
the published one where no input meets a tie.

Restated in plain numpy from what those codes do, for networks of linear layers and one environment:

- CRPI's code keeps one membrane, one start value and one spike count per neuron, and fires where the membrane is above
  the threshold, not at it. A call of its reset turns the last decision's membrane into the next start: the change of
  the membrane, bounded below by what was sent, times the rate, bounded by half a threshold; half a threshold is added
  when the next decision begins. An episode begins by calling that reset twice, which leaves a start of 0.
- The code of differential coding compares the cumulative output with the magnitude as it is, without any slack: so
  does the oracle, if told to.
"""

import numpy as np
import pytest
import torch

import snn
from tests.snn import oracle
from tests.snn.helpers import inputs, mlp


class IF:
    """CRPI's neuron."""

    def __init__(self, theta, rate):
        self.theta, self.rate = theta, rate
        self.membrane = self.start = self.sent = None
        self.fresh = True

    def reset(self):
        if self.membrane is not None:
            change = np.maximum(self.membrane - self.start, -self.theta * self.sent)
            self.start = np.clip(change * self.rate, -self.theta / 2, self.theta / 2)
            self.membrane, self.sent, self.fresh = self.start, np.zeros_like(self.sent), True

    def step(self, current):
        if self.membrane is None:
            self.start, self.sent = np.zeros_like(current), np.zeros_like(current)
        if self.fresh:
            self.start = self.start + self.theta / 2
            self.membrane, self.fresh = self.start, False
        fires = (self.membrane + current > self.theta).astype(float)
        self.membrane = self.membrane + current - self.theta * fires
        self.sent = self.sent + fires
        return self.theta * fires


def decide(weights, biases, neurons, observation, timesteps):
    """Per layer the spikes [T, units], and the output."""
    spikes, output = [[] for _ in neurons], 0.0
    for _ in range(timesteps):
        h = observation
        for i, neuron in enumerate(neurons):
            h = neuron.step(weights[i] @ h + biases[i])
            spikes[i].append(h)
        output = output + (weights[-1] @ h + biases[-1]) / timesteps
    return [np.stack(layer) for layer in spikes], output


def parts(module):
    linears = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
    return [[getattr(layer, key).detach().numpy() for layer in linears] for key in ("weight", "bias")]


def dyadic(module):
    """Small multiples of 1/4 for weights, so that sums are exact and membranes meet thresholds."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_((2 * parameter).round() / 4)
    return module


def differing(module, thresholds, x, rates, timesteps, **options):
    """How many decisions of the network differ in a spike from CRPI's code; x [episodes, decisions, observation]."""
    spiking = snn.convert(module, thresholds, "if", timesteps=timesteps, crpi=snn.CRPI(rates), **options)
    neurons, others = [IF(theta.numpy(), rates) for theta in thresholds], 0
    for episode in x:
        spiking.reset()
        for neuron in neurons * 2:
            neuron.reset()
        for observation in episode:
            for neuron in neurons:
                neuron.reset()
            spikes, output = decide(*parts(module), neurons, observation.numpy(), timesteps)
            seen, decided = spiking.trace(observation[None]), spiking(observation[None])[0].numpy()
            same = all(np.array_equal(layer.spikes[:, 0].numpy(), s) for layer, s in zip(seen.layers, spikes))
            assert not same or np.allclose(decided, output, rtol=0, atol=1e-9)
            others += not same
    return others


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("timesteps", [4, 16])
def test_if_equals_the_published_neuron_where_no_input_meets_a_tie(rate, timesteps):
    module, x = mlp(6, 30, 30, 3, seed=4), inputs(2, 6, 6, seed=9)
    thresholds = snn.calibrate(module, [*inputs(3, 50, 6, seed=8)])
    assert differing(module, thresholds, x, rate, timesteps) == 0


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
