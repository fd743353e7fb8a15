"""The neuron and the decision of CRPI's published code, restated: one membrane, one start and one spike count a neuron.

A neuron fires where its membrane is above the threshold, not at it. `reset` turns the last decision's membrane into the
next start: its change, bounded below by what was sent, times the rate, bounded by half a threshold; half a threshold is
added when the next decision begins. An episode begins by calling it twice, which leaves a start of 0.
"""

import torch
import torch.nn.functional as F
from torch import nn


class SpikingNeuron(nn.Module):
    """What MuJoCo/convert.py of ANN2SNN-CRPI converts with: its buffers lie in the published files, empty."""

    def __init__(self, width, rate=0.0):
        super().__init__()
        self.rate, self.sent = rate, []
        self.register_buffer("thre", torch.zeros(width))
        self.register_buffer("act_buffer", torch.zeros(1, width))
        self.membrane = self.start = torch.zeros(1, width)

    def measure(self, current):
        self.act_buffer = torch.cat([self.act_buffer, F.relu(current)])
        self.thre = self.act_buffer.max(dim=0).values
        return F.relu(current)

    def step(self, current):
        if not self.sent:
            self.start = self.start + 0.5 * self.thre
            self.membrane = self.start
        self.membrane = self.membrane + current
        self.sent.append(((self.membrane - self.thre) > 0) * self.thre)
        self.membrane = self.membrane - self.sent[-1]
        return self.sent[-1]

    def reset(self):
        fired = sum((spikes > 0).to(self.thre) for spikes in self.sent)
        change = torch.maximum(self.membrane - self.start, -self.thre * fired)
        self.start = torch.clamp(change * self.rate, -0.5 * self.thre, 0.5 * self.thre)
        self.membrane, self.sent = self.start, []


def decide(layers, neurons, observation, timesteps):
    """One decision, at batch 1: the last layer's output; each neuron holds what it `sent`."""
    for neuron in neurons:
        neuron.reset()
    total = 0.0
    for _ in range(timesteps):
        h = observation
        for layer, neuron in zip(layers, neurons):
            h = neuron.step(layer(h))
        total = total + h
    return layers[-1](total / timesteps)
