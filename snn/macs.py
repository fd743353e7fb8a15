"""Multiply-accumulates of the source network: what the ANN costs per decision."""

from typing import NamedTuple

import torch
from torch import nn

from snn.checks import ConversionError
from snn.graph.tracing import trace
from snn.network import SpikingNetwork


class LayerMacs(NamedTuple):
    """A layer's name, kind (conv2d, linear, ...) and multiply-accumulates for one input."""

    name: str
    kind: str
    macs: int


@torch.no_grad()
def macs(module: nn.Module, input_shape: tuple[int, ...]) -> list[LayerMacs]:
    """Multiply-accumulates per layer for one input of `input_shape` (without the batch), biases not counted.

    module may also be a SpikingNetwork: then those of its source. Padding counts like any input.
    Raises ConversionError for a module that can't be converted even as a hybrid, or a shape that does not fit.
    """
    graph = module.module if isinstance(module, SpikingNetwork) else trace(module, hybrid=True)
    try:
        x = torch.zeros(1, *input_shape, dtype=graph.dtype, device=graph.device)
    except (TypeError, RuntimeError):
        raise ConversionError(f"input_shape={input_shape!r} must be sizes, such as (9, 84, 84)") from None
    values = graph.ann(x)
    # A transposed convolution multiplies each of its inputs, every other layer makes each of its outputs.
    made = {value: graph.op(value) for value in graph.values if graph.op(value).weighted}
    counted = {value: values[graph.inputs(value)[0] if op.transposed else value].numel() for value, op in made.items()}
    return [LayerMacs(op.name, op.kind, counted[value] * op.weight[0].numel()) for value, op in made.items()]
