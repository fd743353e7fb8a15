"""Shared by the tests of `snn`."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

import snn
from tests.snn import oracle, zoo

PAIRS = [("if", "rate"), ("snm", "rate"), ("mt", "rate"), ("snm", "differential"), ("mt", "differential")]


def converted(nodes, outputs, rule, coding, timesteps, alpha=0.0, n=4, mode="residual", seed=0, **options):
    """The spiking network of one of the oracle's graphs."""
    return snn.convert(
        oracle.GraphModule(nodes, outputs),
        [torch.from_numpy(theta) for theta in oracle.thresholds(nodes)],
        rule,
        coding,
        timesteps,
        n,
        crpi=snn.CRPI(alpha, mode, seed),
        **options,
    )


def batch(rows):
    return torch.from_numpy(np.stack(rows))


DECISIONS, ROWS = 4, 5


@dataclass
class Case:
    """A random chain with some units that are silent, and observations [DECISIONS, ROWS, ...] for it."""

    nodes: list
    outputs: list
    x: torch.Tensor

    @property
    def convert(self):
        """(rule, coding, timesteps, ...) -> its spiking network; see `converted`."""
        return partial(converted, self.nodes, self.outputs)

    def theta(self, layer, like):
        """A layer's thresholds, one for each channel, beside values [B, channels, ...]."""
        return torch.from_numpy(oracle.thresholds(self.nodes)[layer]).view(-1, *[1] * (like.dim() - 2))


def case(conv=True, seed=11):
    nodes, outputs, shape = oracle.random_chain(seed, conv, False)
    rows = [batch(oracle.observations(seed + k, shape, ROWS, False)) for k in range(DECISIONS)]
    return Case(nodes, outputs, torch.stack(rows))


def same_activity(a, b):
    """Do two networks count the same?"""
    for ours, theirs in zip(a.activity(), b.activity(), strict=True):
        for key in ("decisions", "spikes", "sops", "above"):
            np.testing.assert_array_equal(getattr(ours, key), getattr(theirs, key))


def mlp(*widths, seed=0, dtype=torch.float64):
    """A module of linear layers with ReLUs between them."""
    module, generator = zoo.mlp(*widths).to(dtype), torch.Generator().manual_seed(seed)
    for i, layer in zip(widths, module[::2]):
        layer.weight.data = torch.randn(layer.weight.shape, generator=generator, dtype=dtype) * 1.5 / i**0.5
        layer.bias.data = torch.randn(layer.bias.shape, generator=generator, dtype=dtype) * 0.2
    return module


def sum_of(*slopes, dtype=torch.float32):
    """A module of ReLU units that get slope * x, and their sum."""
    module = mlp(1, len(slopes), 1, dtype=dtype)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), ([[slope] for slope in slopes], 0.0, 1.0, 0.0)):
            parameter.copy_(torch.tensor(value))
    return module


def inputs(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
