"""The operations that a traced module may hold: a kind, plain arguments, tensors.

Plain data can be saved without pickle, moved, rescaled and run with or without its bias.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn.checks import ConversionError

Shape = tuple[int, ...]  # of one environment's values: (channels, ...) or (units,)
# Of a whole number among an operation's arguments: more would make a file of a few bytes ask for gigabytes.
_LARGEST = {"padding": 256, "pad": 256, "output_size": 1024, "scale_factor": 16, "shape": 2**31, "size": 2**31}


@dataclass(frozen=True)
class Kind:
    """What an operation does.

    forward    (op, inputs, bias) -> values; with bias=False only the part that is linear in the inputs
    args       names of its arguments, and those that may not be lacking
    tensors    names of its tensors; an "?" behind a name says that it may be lacking
    linear     is it linear in its inputs, but for a constant?
    """

    forward: Callable[["Op", tuple[Tensor, ...], bool], Tensor]
    args: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    linear: bool = True


class Op(nn.Module):
    """One operation of a `snn.graph.Graph`, on batches [N, ...].

    kind     see `KINDS`
    name     the module's name in the source, or the traced node's; for messages
    args     numbers and names, JSON-able
    tensors  become buffers
    Raises ConversionError for arguments and tensors that its kind can't have (those of a file may be any).
    """

    def __init__(
        self, kind: str, name: str, args: dict[str, Any] | None = None, tensors: dict[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.kind, self.name, self.args, given = kind, name, dict(args or {}), tensors or {}
        _check(self, given)
        for key in (name.rstrip("?") for name in KINDS[kind].tensors):
            if key in given:
                self.register_buffer(key, given[key].detach())

    weight: Tensor
    scale: Tensor
    shift: Tensor
    value: Tensor

    @property
    def linear(self) -> bool:
        return KINDS[self.kind].linear

    @property
    def weighted(self) -> bool:
        return "weight" in self._buffers and self.linear

    @property
    def transposed(self) -> bool:
        """Is it a convolution whose weight is [in, out, ...]?"""
        return self.kind.startswith("conv_transpose")

    @property
    def tensors(self) -> dict[str, Tensor]:
        return {key: value for key, value in self._buffers.items() if value is not None}

    def forward(self, *inputs: Tensor, bias: bool = True) -> Tensor:
        if self.kind == "linear" and inputs[0].dim() != 2:
            raise ConversionError(
                f"Linear '{self.name}' gets {inputs[0].dim() - 1}-d values, {tuple(inputs[0].shape[1:])} for each "
                "input; flatten them before it"
            )
        try:
            return KINDS[self.kind].forward(self, inputs, bias)
        except (RuntimeError, ValueError, TypeError) as error:  # a file's arguments may be of any type
            shapes = " and ".join(str(tuple(x.shape[1:])) for x in inputs)
            reason = str(error).splitlines()[0]
            raise ConversionError(f"'{self.name}' can't take an input of shape {shapes}: {reason}") from error

    def replaced(self, **tensors: Tensor) -> "Op":
        """The same operation with other tensors."""
        return Op(self.kind, self.name, self.args, tensors)

    def extra_repr(self) -> str:
        shapes = {key: tuple(value.shape) for key, value in self.tensors.items() if value.dim()}
        return ", ".join(f"{key}={value}" for key, value in (self.args | shapes).items())

    def _get_name(self) -> str:
        return TITLES.get(self.kind, self.kind)


TITLES = {
    "linear": "Linear",
    "relu": "ReLU",
    "layernorm": "LayerNorm",
    "tanh": "Tanh",
    "flatten": "Flatten",
    "scale_shift": "BatchNorm",
} | {
    f"{name}{d}d": f"{title}{d}d"
    for d in (1, 2, 3)
    for name, title in (("conv", "Conv"), ("conv_transpose", "ConvTranspose"), ("avg_pool", "AvgPool"))
}


def _weighted(function: Callable) -> Callable:
    def forward(op: Op, inputs: tuple[Tensor, ...], bias: bool) -> Tensor:
        shift = op._buffers.get("bias") if bias else None
        return function(inputs[0], weight=op._buffers.get("weight"), bias=shift, **op.args)

    return forward


def _plain(function: Callable) -> Callable:
    """A function of tensors and arguments that has no bias."""
    return lambda op, inputs, bias: function(*inputs, **op.args)


def _convolution(function: Callable, *more: str) -> Kind:
    return Kind(_weighted(function), ("stride", "padding", "dilation", "groups", *more), ("weight", "bias?"))


_ARITHMETIC: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "rsub": torch.rsub,
    "mul": torch.mul,
    "div": torch.div,
    "max": lambda x, value: torch.maximum(x, value.to(x)),
    "min": lambda x, value: torch.minimum(x, value.to(x)),
}


def _arithmetic(op: Op, inputs: tuple[Tensor, ...], bias: bool) -> Tensor:
    (x,), value, fn = inputs, op.value, op.args["fn"]
    if not bias and fn in ("add", "sub", "rsub"):
        if value.dim() < x.dim() and all(a in (1, b) for a, b in zip(value.shape[::-1], x.shape[::-1])):
            return -x if fn == "rsub" else x
        value = torch.zeros_like(value)  # it may widen what it is added to
    return _ARITHMETIC[fn](x, value)


def _scale_shift(op: Op, inputs: tuple[Tensor, ...], bias: bool) -> Tensor:
    x = inputs[0]
    shape = (1, -1) + (1,) * (x.dim() - 2)
    scaled = x * op.scale.view(shape)
    return scaled + op.shift.view(shape) if bias else scaled


def _slice(x: Tensor, dim: int, start: int | None, stop: int | None, step: int | None) -> Tensor:
    return x[(slice(None),) * (dim % x.dim()) + (slice(start, stop, step),)]


_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
KINDS: dict[str, Kind] = {
    "linear": Kind(_weighted(F.linear), (), ("weight", "bias?")),
    "conv1d": _convolution(F.conv1d),
    "conv2d": _convolution(F.conv2d),
    "conv3d": _convolution(F.conv3d),
    "conv_transpose1d": _convolution(F.conv_transpose1d, "output_padding"),
    "conv_transpose2d": _convolution(F.conv_transpose2d, "output_padding"),
    "conv_transpose3d": _convolution(F.conv_transpose3d, "output_padding"),
    "avg_pool1d": Kind(_plain(F.avg_pool1d), _POOL),
    "avg_pool2d": Kind(_plain(F.avg_pool2d), (*_POOL, "divisor_override")),
    "avg_pool3d": Kind(_plain(F.avg_pool3d), (*_POOL, "divisor_override")),
    "adaptive_avg_pool1d": Kind(_plain(F.adaptive_avg_pool1d), ("output_size",)),
    "adaptive_avg_pool2d": Kind(_plain(F.adaptive_avg_pool2d), ("output_size",)),
    "adaptive_avg_pool3d": Kind(_plain(F.adaptive_avg_pool3d), ("output_size",)),
    "mean": Kind(_plain(torch.mean), ("dim", "keepdim")),
    "sum": Kind(_plain(torch.sum), ("dim", "keepdim")),
    "flatten": Kind(_plain(lambda x, start: x.flatten(start)), ("start",)),
    "reshape": Kind(_plain(lambda x, shape: x.reshape(len(x), *shape)), ("shape",)),
    "unflatten": Kind(_plain(lambda x, shape: x.unflatten(1, shape)), ("shape",)),
    "permute": Kind(_plain(torch.permute), ("dims",)),
    "transpose": Kind(_plain(torch.transpose), ("dim0", "dim1")),
    "squeeze": Kind(_plain(torch.squeeze), ("dim",)),
    "unsqueeze": Kind(_plain(torch.unsqueeze), ("dim",)),
    "chunk": Kind(_plain(lambda x, chunks, dim, index: x.chunk(chunks, dim)[index]), ("chunks", "dim", "index")),
    "split": Kind(_plain(lambda x, size, dim, index: x.split(size, dim)[index]), ("size", "dim", "index")),
    "slice": Kind(_plain(_slice), ("dim", "start", "stop", "step")),
    "pad": Kind(_plain(F.pad), ("pad",)),
    "upsample": Kind(_plain(F.interpolate), ("scale_factor", "mode")),
    "add": Kind(_plain(lambda x, y: x + y)),
    "sub": Kind(_plain(lambda x, y: x - y)),
    "cat": Kind(_plain(lambda *inputs, dim: torch.cat(inputs, dim)), ("dim",)),
    "arith": Kind(_arithmetic, ("fn",), ("value",)),
    "scale_shift": Kind(_scale_shift, (), ("scale", "shift")),
    # Not linear: the ReLU, where neurons stand; the others run on decoded values.
    "relu": Kind(_plain(lambda x, ceiling: x.clamp(0, ceiling)), ("ceiling",), linear=False),
    "layernorm": Kind(_weighted(F.layer_norm), ("normalized_shape", "eps"), ("weight?", "bias?"), linear=False),
    "tanh": Kind(_plain(torch.tanh), linear=False),
    "sigmoid": Kind(_plain(torch.sigmoid), linear=False),
    "exp": Kind(_plain(torch.exp), linear=False),
    "softplus": Kind(_plain(F.softplus), linear=False),
    "clamp": Kind(_plain(torch.clamp), ("min", "max"), linear=False),
    "bound": Kind(_arithmetic, ("fn",), ("value",), linear=False),
}
# What only a hybrid network may hold between its layers, run on decoded values.
HYBRID = ("layernorm", "tanh")
# Monotone functions of each value alone: behind the last layer they are the policy's, on decoded values.
SQUASHING = ("tanh", "sigmoid", "exp", "softplus", "clamp", "bound")


def _check(op: Op, tensors: dict[str, Tensor]) -> None:
    """What the tracer makes passes; a file may hold anything."""
    if not (isinstance(op.kind, str) and op.kind in KINDS):
        raise ConversionError(f"operation {op.kind!r:.40} is not known")
    if not (isinstance(op.name, str) and op.name.isprintable() and len(op.name) <= 1000):
        raise ConversionError("an operation has a name that can't be shown")
    kind = KINDS[op.kind]
    if set(op.args) != set(kind.args) or not all(_allowed(value, key) for key, value in op.args.items()):
        raise ConversionError(f"'{op.name}' doesn't have the arguments of {op.kind}: {', '.join(kind.args) or 'none'}")
    needed = {key for key in kind.tensors if not key.endswith("?")}
    if not needed <= set(tensors) <= {key.rstrip("?") for key in kind.tensors}:
        raise ConversionError(f"'{op.name}' doesn't have the tensors of {op.kind}: {', '.join(kind.tensors) or 'none'}")
    for key, value in tensors.items():
        if not value.is_floating_point() or not torch.isfinite(value).all():
            raise ConversionError(f"'{op.name}' holds a {key} that is not finite")


def _allowed(value: Any, key: str) -> bool:
    if isinstance(value, list):
        return 0 < len(value) <= 16 and all(not isinstance(entry, list) and _allowed(entry, key) for entry in value)
    if isinstance(value, int):
        return abs(value) <= _LARGEST.get(key, 2**16)
    return value is None or isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))
