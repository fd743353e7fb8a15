"""Thresholds from what the source network does on its own inputs."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from snn.checks import ConversionError, finite
from snn.graph.graph import Graph
from snn.graph.tracing import trace
from snn.quantiles import Quantiles


@torch.no_grad()
def calibrate(
    module: nn.Module,
    batches: Iterable[Tensor],
    percentile: float | None = None,
    *,
    hybrid: bool = False,
    output: str | int | None = None,
) -> list[Tensor]:
    """Thresholds for `snn.convert`: per ReLU, the largest output seen.

    module      as for `snn.convert`, like `hybrid` and `output`; runs in eval mode, is not changed
    batches     input tensors [B, ...]
    percentile  None: the maximum. Otherwise that percentile of all outputs, zeros included, in (0, 100], estimated to
                within 1 % in bounded memory; a unit that fired, but too rarely for its percentile to be above 0, gets
                its maximum.
    Returns one tensor per ReLU in order, [channels] behind a convolution, [units] behind a Linear, in the unit of that
    ReLU's output. A unit that never fired gets 0 and stays silent.
    Raises ConversionError if there are no batches, they are no tensors, or values are not finite.
    """
    if percentile is not None and not (isinstance(percentile, (int, float)) and 0 < percentile <= 100):
        raise ConversionError(f"percentile={percentile!r} must be above 0 and at most 100")
    if isinstance(batches, Tensor) or not isinstance(batches, Iterable):
        raise ConversionError("batches must be several tensors [B, ...], not one: pass [inputs], or inputs.split(100)")
    graph = trace(module, hybrid, output)
    largest: list[Tensor] = []
    quantiles: list[Quantiles] = []
    for batch in batches:
        if not isinstance(batch, Tensor):
            raise ConversionError(
                f"a batch must be a tensor [B, ...], got a {type(batch).__name__}; of inputs and labels take "
                "the inputs: (x for x, y in loader)"
            )
        if batch.dim() < 2 or not batch.numel():
            raise ConversionError(f"a batch must be a tensor [B, ...] of at least one input, got {tuple(batch.shape)}")
        x = finite("a batch", batch.to(graph.device), graph.dtype)
        if not largest:
            _compare(module, graph, x, output)
        values = graph.ann(x)
        outputs = [values[neuron].transpose(0, 1).flatten(1) for neuron in graph.neurons]  # [channels, values]
        for neuron, seen in zip(graph.neurons, outputs, strict=True):
            if not torch.isfinite(seen).all():
                name, _ = graph.source_layer(neuron)
                raise ConversionError(f"calibration made values in '{name}' that are not finite")
        maxima = [seen.amax(1) for seen in outputs]
        largest = [torch.maximum(a, b) for a, b in zip(largest, maxima, strict=True)] if largest else maxima
        if percentile is not None:
            quantiles = quantiles or [Quantiles(len(seen), seen.device) for seen in outputs]
            for quantile, seen in zip(quantiles, outputs, strict=True):
                quantile.add(seen)
    if not largest:
        raise ConversionError("calibration got no batches; give it at least one input tensor")
    if percentile is None or percentile == 100:
        return largest
    estimates = [quantile.estimate(percentile / 100).to(top) for quantile, top in zip(quantiles, largest, strict=True)]
    return [torch.where(e > 0, torch.minimum(e, top), top) for e, top in zip(estimates, largest, strict=True)]


def _compare(module: nn.Module, graph: Graph, x: Tensor, output: str | int | None) -> None:
    # A guard against what tracing can't see: code that changes tensors in place or depends on their values.
    try:
        returned = copy.deepcopy(module).eval()(x.clone())  # which it may change in place
    except RuntimeError as error:
        raise ConversionError(f"the module can't take a batch of shape {tuple(x.shape)}: {error}") from error
    expected = pytree.tree_leaves(returned if output is None else returned[output])
    computed = pytree.tree_leaves(graph.pick(graph.ann(x)))
    for ours, theirs in zip(computed, expected, strict=True):
        scale = float(theirs.abs().max()) + 1e-6
        if ours.shape != theirs.shape or float((ours - theirs.to(ours)).abs().max()) > 1e-2 * scale:
            raise ConversionError(
                "the traced graph does not compute what the module does; its forward can't be converted"
            )
