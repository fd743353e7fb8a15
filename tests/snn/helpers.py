"""Shared by the tests of `snn`."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

import snn
from tests.snn import oracle

PAIRS = [("if", "rate"), ("snm", "rate"), ("mt", "rate"), ("snm", "differential"), ("mt", "differential")]


def converted(layers, readout, rule, coding, timesteps, alpha=0.0, n=4, mode="residual", seed=0, **options):
    return snn.convert(
        oracle.GraphModule(*oracle.graph_of(layers, readout)),
        [torch.from_numpy(theta) for _, theta in layers],
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

    layers: list
    readout: list
    x: torch.Tensor

    @property
    def convert(self):
        """(rule, coding, timesteps, ...) -> its spiking network; see `converted`."""
        return partial(converted, self.layers, self.readout)


def case(conv=True, seed=11):
    layers, readout, shape = oracle.random_network(seed, conv, False)
    rows = [batch(oracle.observations(seed + k, shape, ROWS, False)) for k in range(DECISIONS)]
    return Case(layers, readout, torch.stack(rows))


def same_activity(a, b):
    """Do two networks count the same?"""
    for ours, theirs in zip(a.activity(), b.activity(), strict=True):
        for key in ("decisions", "spikes", "sops", "above"):
            np.testing.assert_array_equal(getattr(ours, key), getattr(theirs, key))


def mlp(*widths, seed=0, dtype=torch.float64):
    """A module of linear layers with ReLUs between them."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for i, o in zip(widths, widths[1:]):
        layer = torch.nn.Linear(i, o, dtype=dtype)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(o, i, generator=generator, dtype=dtype) * 1.5 / i**0.5)
            layer.bias.copy_(torch.randn(o, generator=generator, dtype=dtype) * 0.2)
        parts += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1])


def sum_of(*slopes, dtype=torch.float32):
    """A module of ReLU units that get slope * x, and their sum."""
    module = mlp(1, len(slopes), 1, dtype=dtype)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), ([[slope] for slope in slopes], 0.0, 1.0, 0.0)):
            parameter.copy_(torch.tensor(value))
    return module


def inputs(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
