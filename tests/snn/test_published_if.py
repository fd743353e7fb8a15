"""IF equals the published implementation's time-stepped neuron at batch 1, over decisions and episodes.

The published agent keeps one membrane, one start value and one spike count per neuron. A call of its reset turns the
last decision's membrane into the next start: the change of the membrane, bounded below by what was sent, times the
rate, bounded by half a threshold; half a threshold is added when the next decision begins. An episode begins by calling
that reset twice, which leaves a start of 0. The description above is restated here; the inputs meet no ties, so that
its strict comparison and our >= are the same.
"""

import pytest
import torch

import snn
from tests.snn.helpers import inputs, mlp


class Published:
    def __init__(self, theta, rate):
        self.theta, self.rate = theta, rate
        self.membrane = self.start = self.sent = None
        self.fresh = True

    def reset(self):
        if self.membrane is not None:
            change = torch.maximum(self.membrane - self.start, -self.theta * self.sent)
            self.start = torch.clip(change * self.rate, -self.theta / 2, self.theta / 2)
            self.membrane, self.sent, self.fresh = self.start, torch.zeros_like(self.sent), True

    def step(self, current):
        if self.membrane is None:
            self.start, self.sent = torch.zeros_like(current), torch.zeros_like(current)
        if self.fresh:
            self.start = self.start + self.theta / 2
            self.membrane, self.fresh = self.start, False
        fires = (self.membrane + current > self.theta).to(current)
        self.membrane = self.membrane + current - self.theta * fires
        self.sent = self.sent + fires
        return self.theta * fires


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("timesteps", [4, 16])
def test_equals_the_published_neuron(rate, timesteps):
    module, x = mlp(6, 30, 30, 3, seed=4), inputs(2, 6, 1, 6, seed=9)
    thresholds = snn.calibrate(module, [*inputs(3, 50, 6, seed=8)])
    spiking = snn.convert(module, thresholds, "if", timesteps=timesteps, crpi=snn.CRPI(rate))
    neurons = [Published(theta, rate) for theta in thresholds]
    linears = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
    for episode in x:
        spiking.reset()
        for neuron in neurons * 2:
            neuron.reset()
        for observation in episode:
            for neuron in neurons:
                neuron.reset()
            total = 0
            with torch.no_grad():
                for _ in range(timesteps):
                    h = observation
                    for linear, neuron in zip(linears, neurons):
                        h = neuron.step(linear(h))
                    total = total + linears[-1](h)
            torch.testing.assert_close(spiking(observation), total / timesteps, rtol=0, atol=1e-9)
