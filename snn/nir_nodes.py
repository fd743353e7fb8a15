"""The nodes of a NIR graph, one after the other, from a chain of operations and layers of IF neurons."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from snn.errors import ConversionError
from snn.graph.ops import INPUT_ONLY, WEIGHTED, Op
from snn.synapse import apply

# Stands for the threshold of a unit that never fires. Infinity would be the word, but 0 * inf is NaN in a soft reset.
_NEVER = float(np.finfo(np.float32).max)


class Writer:
    """Builds a chain of nodes with the module `nir`, for observations of `shape`.

    `_scale`, `_shift`: what the values so far must be multiplied by and added to, per channel or unit: input scaling before
    the first layer, thresholds behind a layer of neurons.
    """

    def __init__(self, nir: Any, shape: tuple[int, ...]) -> None:
        self._nir = nir
        self._probe = torch.zeros(1, *shape, dtype=torch.float64)
        self._nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array(shape)})}
        self._scale, self._shift = self._flat(1.0), self._flat(0.0)

    def linear(self, op: Op) -> None:
        """A node for an operation between neurons, or none for a scaling, which goes into the next weights."""
        exact = op.to(dtype=torch.float64)
        if op.kind in INPUT_ONLY:
            return self._scaling(exact)
        after = apply(exact, self._probe)
        if op.kind in WEIGHTED:
            self._weights(exact, op.tensors["weight"].dtype)
        elif op.kind == "avgpool2d":
            self._pool(exact)
        else:
            self._flatten(exact)
        self._probe = torch.zeros_like(after)
        if op.kind in WEIGHTED:
            self._scale, self._shift = self._flat(1.0), self._flat(0.0)

    def neurons(self, op: Op, theta: Tensor) -> None:
        """A layer of IF neurons with the thresholds `theta`, one per channel or unit; 0 stands for a silent one."""
        theta = theta.cpu()
        height = theta.view(-1, *[1] * (self._probe.dim() - 2)).expand(self._probe.shape[1:]).numpy()
        threshold = np.where(height > 0, height, height.dtype.type(_NEVER))
        metadata = {"v_init": height / 2, "reset": "soft"}
        node = self._nir.IF(
            r=np.ones_like(height), v_threshold=threshold, v_reset=np.zeros_like(height), metadata=metadata
        )
        self._nodes[f"if_{len(self._nodes)}"] = node
        self._scale, self._shift = theta.double(), self._flat(0.0)

    def graph(self, metadata: dict[str, Any]) -> Any:
        """The finished `nir.NIRGraph`. Raises ConversionError where NIR's own type check refuses it."""
        self._nodes["output"] = self._nir.Output(output_type={"output": np.array(self._probe.shape[1:])})
        names = list(self._nodes)
        try:
            return self._nir.NIRGraph(self._nodes, list(zip(names, names[1:], strict=False)), metadata=metadata)
        except ValueError as error:
            raise ConversionError(f"NIR's types refuse this network: {' '.join(str(error).split())}") from error

    def _flat(self, value: float) -> Tensor:
        return torch.full((self._probe.shape[1],), value, dtype=torch.float64)

    def _scaling(self, op: Op) -> None:
        if op.args.get("fn") in ("max", "min"):
            raise ConversionError(f"NIR can't represent '{op.name}': it clips the input")
        zeros, ones = op(self._probe), op(self._probe + 1)
        if zeros.shape != self._probe.shape:
            raise ConversionError(f"NIR can't say '{op.name}': it changes the input's shape")
        shift, scale = (
            values[0].flatten(1) if values.dim() > 2 else values[0][:, None] for values in (zeros, ones - zeros)
        )
        if (shift != shift[:, :1]).any() or (scale != scale[:, :1]).any():
            raise ConversionError(f"NIR can't say '{op.name}': it scales places of an image differently")
        self._scale, self._shift = self._scale * scale[:, 0], self._shift * scale[:, 0] + shift[:, 0]

    def _weights(self, op: Op, dtype: torch.dtype) -> None:
        weight, args = op.tensors["weight"], op.args
        bias = op.tensors.get("bias", torch.zeros(len(weight), dtype=torch.float64))
        if op.kind == "conv2d":
            weight = _ungrouped(weight, args["groups"])
            padding = _padding(op, weight)
            if weight.shape[2] != weight.shape[3]:
                sizes = f"{weight.shape[2]} by {weight.shape[3]}"
                raise ConversionError(f"NIR's types can't say the kernel of '{op.name}', {sizes}; only square ones")
            if any(padding) and self._shift.any():
                raise ConversionError(
                    f"NIR can't say '{op.name}': it pads an input that is shifted first, which no bias can stand for"
                )
            bias = bias + torch.einsum("oihw,i->o", weight, self._shift)
            weight = weight * self._scale[:, None, None]
            node = self._nir.Conv2d(
                input_shape=tuple(self._probe.shape[2:]),
                weight=_array(weight, dtype),
                stride=tuple(args["stride"]),
                padding=padding,
                dilation=tuple(args["dilation"]),
                groups=1,
                bias=_array(bias, dtype),
            )
        else:
            bias, weight = bias + weight @ self._shift, weight * self._scale
            node = self._nir.Affine(weight=_array(weight, dtype), bias=_array(bias, dtype))
        self._nodes[f"{op.kind}_{len(self._nodes)}"] = node

    def _pool(self, op: Op) -> None:
        args = op.args
        odd = (
            args["ceil_mode"]
            or args["divisor_override"] is not None
            or (any(args["padding"]) and not args["count_include_pad"])
        )
        if odd or (any(args["padding"]) and self._shift.any()):
            raise ConversionError(
                f"NIR can't say how '{op.name}' pools at the borders; use AvgPool2d with its defaults"
            )
        sizes = {key: np.array(args[key]) for key in ("kernel_size", "stride", "padding")}
        self._nodes[f"avgpool2d_{len(self._nodes)}"] = self._nir.AvgPool2d(**sizes)

    def _flatten(self, op: Op) -> None:
        shape = tuple(self._probe.shape[1:])
        if len(shape) > 1:
            # NIR's shapes have no batch dimension, so everything from dimension 0 on is one vector.
            node = self._nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
            self._nodes[f"flatten_{len(self._nodes)}"] = node
        each = int(np.prod(shape[1:]))
        self._scale, self._shift = self._scale.repeat_interleave(each), self._shift.repeat_interleave(each)


def _ungrouped(weight: Tensor, groups: int) -> Tensor:
    # NIR's type check takes no groups: the same convolution with zeros between them.
    outputs, inputs = len(weight) // groups, weight.shape[1]
    full = weight.new_zeros(len(weight), inputs * groups, *weight.shape[2:])
    for g in range(groups):
        full[g * outputs : (g + 1) * outputs, g * inputs : (g + 1) * inputs] = weight[g * outputs : (g + 1) * outputs]
    return full


def _padding(op: Op, weight: Tensor) -> tuple[int, int]:
    padding = op.args["padding"]
    if padding == "valid":
        return 0, 0
    if padding == "same":
        both = [dilation * (size - 1) for dilation, size in zip(op.args["dilation"], weight.shape[2:], strict=True)]
        if any(total % 2 for total in both):
            raise ConversionError(f"NIR can't say the padding of '{op.name}', which is wider on one side")
        return both[0] // 2, both[1] // 2
    return padding[0], padding[1]


def _array(values: Tensor, dtype: torch.dtype) -> np.ndarray:
    return values.to(dtype).cpu().numpy()
