"""Thresholds from what the source network does on its own inputs."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from snn.errors import ConversionError
from snn.graph.tracing import trace
from snn.quantiles import Quantiles


@torch.no_grad()
def calibrate(
    module: nn.Module, batches: Iterable[Tensor], percentile: float | None = None, *, hybrid: bool = False
) -> list[Tensor]:
    """Thresholds for `snn.convert`: per ReLU, the largest output seen.

    module      as for `snn.convert`; runs in eval mode, is not changed
    batches     input tensors [B, ...]
    percentile  None: the maximum. Otherwise that percentile of all outputs, zeros included, in (0, 100], estimated to
                within 1 % in bounded memory; a unit that fired, but too rarely for its percentile to be above 0, gets
                its maximum.
    Returns one tensor per ReLU in order, [channels] behind a Conv2d, [units] behind a Linear, in the unit of that
    ReLU's output. A unit that never fired gets 0 and stays silent.
    Raises ConversionError if there are no batches, or values are not finite.
    """
    if percentile is not None and not 0 < percentile <= 100:
        raise ConversionError(f"percentile={percentile!r} must be above 0 and at most 100")
    chain = trace(module, hybrid)
    largest: list[Tensor] = []
    quantiles = [Quantiles() for _ in chain.stages]
    for batch in batches:
        if not largest:
            _compare(module, chain, batch)
        relus = chain.ann(torch.as_tensor(batch).to(chain.device, chain.dtype))[1]
        outputs = [relu.transpose(0, 1).flatten(1) for relu in relus]  # [channels, values]
        for stage, output in zip(chain.stages, outputs, strict=True):
            if not torch.isfinite(output).all():
                raise ConversionError(f"calibration made values in '{stage.name}' that are not finite")
        maxima = [output.amax(1) for output in outputs]
        largest = [torch.maximum(a, b) for a, b in zip(largest, maxima, strict=True)] if largest else maxima
        if percentile is not None:
            for quantile, output in zip(quantiles, outputs, strict=True):
                quantile.add(output)
    if not largest:
        raise ConversionError("calibration got no batches; give it at least one input tensor")
    if percentile is None or percentile == 100:
        return largest
    estimates = [quantile.estimate(percentile / 100).to(top) for quantile, top in zip(quantiles, largest, strict=True)]
    return [torch.where(e > 0, torch.minimum(e, top), top) for e, top in zip(estimates, largest, strict=True)]


def _compare(module: nn.Module, chain, batch) -> None:
    # A guard against what tracing can't see: code that changes tensors in place or depends on their values.
    x = torch.as_tensor(batch).to(chain.device)
    try:
        expected = copy.deepcopy(module).eval()(x if x.is_floating_point() else x.to(chain.dtype))
    except RuntimeError as error:
        raise ConversionError(f"the module can't take a batch of shape {tuple(x.shape)}: {error}") from error
    got = chain.ann(x.to(chain.dtype))[0]
    scale = float(expected.abs().max()) + 1e-6
    if got.shape != expected.shape or float((got - expected.to(got)).abs().max()) > 1e-2 * scale:
        raise ConversionError("the traced chain does not compute what the module does; its forward can't be converted")
