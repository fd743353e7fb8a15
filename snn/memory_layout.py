"""How a layer's units lie in memory: flat, [N, units], in the order in which a channels-last convolution writes them
(height, width, channel), so that no layer has to be transposed on the way."""

import math

from torch import Tensor

from snn.graph.operations import Shape


def flatten(x: Tensor) -> Tensor:
    """[N, C, ...] or [N, units] -> [N, units], units in memory order."""
    return x.movedim(1, -1).reshape(len(x), -1)


def unflatten(x: Tensor, shape: Shape) -> Tensor:
    """The inverse: [..., units] -> [..., C, H, W] or [..., units], without a copy."""
    return x.unflatten(-1, (*shape[1:], shape[0])).movedim(-1, -len(shape))


def per_unit(values: Tensor, shape: Shape) -> Tensor:
    """One value per channel (or unit) -> one per unit, in memory order."""
    return values.repeat(math.prod(shape[1:]))
