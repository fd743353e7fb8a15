"""Multiply-accumulates of the source network: what the ANN costs per decision."""

from typing import NamedTuple

import torch
from torch import nn

from snn.graph.ops import WEIGHTED
from snn.graph.tracing import trace
from snn.synapse import apply


class LayerMacs(NamedTuple):
    """A layer's name, kind (conv2d | linear) and multiply-accumulates for one input."""

    name: str
    kind: str
    macs: int


@torch.no_grad()
def macs(module: nn.Module, input_shape: tuple[int, ...]) -> list[LayerMacs]:
    """Multiply-accumulates per layer for one input of `input_shape` (without the batch), biases not counted.

    module may also be a SpikingNetwork: then those of its source. Padding counts like any input.
    Raises ConversionError for a module that can't be converted even as a hybrid, or a shape that does not fit.
    """
    chain = trace(module, hybrid=True) if isinstance(module, nn.Module) else module.chain
    x = torch.zeros(1, *input_shape, dtype=chain.dtype, device=chain.device)
    counted = []
    for op in chain.ops:
        x = apply(op, x)
        if op.kind in WEIGHTED:
            weight = op.tensors["weight"]
            counted.append(LayerMacs(op.name, op.kind, x.numel() * weight[0].numel()))
    return counted
