"""What an operation that comes from a file must look like; the tracer makes no other."""

from collections.abc import Callable
from typing import Any

import torch

from snn.errors import ConversionError
from snn.graph.ops import KINDS, Op

_LARGEST = 2**16  # of a stride, a dilation, a window, a number of groups
_PADDING = 256  # a larger one would make a file of a few bytes ask for gigabytes


def checked(op: Op) -> Op:
    """`op` itself. Raises ConversionError, naming it, for other arguments or tensors than its kind has, or of other
    shapes, types or ranges."""
    if op.kind not in KINDS:
        raise ConversionError(f"operation {op.kind!r:.40} is not known")
    # It becomes a layer's name, which is printed.
    if not (isinstance(op.name, str) and op.name.isprintable() and len(op.name) <= 1000):
        raise ConversionError("an operation has a name that can't be shown")
    rules, tensors = _ARGS.get(op.kind, {}), _TENSORS.get(op.kind, {})
    if set(op.args) != set(rules):
        raise ConversionError(f"'{op.name}' doesn't have the arguments of {op.kind}: {', '.join(rules) or 'none'}")
    for key, fits in rules.items():
        if not fits(op.args[key]):
            raise ConversionError(f"'{op.name}' has {key}={op.args[key]!r:.40}, which {op.kind} can't take")
    needed = {key for key, (_, optional) in tensors.items() if not optional}
    if not needed <= set(op.tensors) <= set(tensors):
        raise ConversionError(f"'{op.name}' doesn't have the tensors of {op.kind}: {', '.join(tensors) or 'none'}")
    for key, value in op.tensors.items():
        if value.dtype not in (torch.float32, torch.float64, torch.bfloat16) or not torch.isfinite(value).all():
            raise ConversionError(f"'{op.name}' holds a {key} that is not a finite tensor")
        if tensors[key][0] not in (None, value.dim()) or value.numel() == 0:
            raise ConversionError(f"'{op.name}' holds a {key} of shape {tuple(value.shape)}")
    if "weight" in op.tensors and "bias" in op.tensors and op.tensors["bias"].shape[0] != op.tensors["weight"].shape[0]:
        raise ConversionError(f"'{op.name}' holds a bias that doesn't fit its weight")
    return op


def _whole(low: int, high: int = _LARGEST) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _pair(low: int, high: int = _LARGEST) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) in (1, 2) and all(map(_whole(low, high), value))


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _shape(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= 8 and all(type(n) is int and 0 < n < 2**31 for n in value)


# kind → argument → whether a value will do
_ARGS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "conv2d": {
        "stride": _pair(1),
        "padding": lambda value: value in ("same", "valid") or _pair(0, _PADDING)(value),
        "dilation": _pair(1),
        "groups": _whole(1),
    },
    "avgpool2d": {
        "kernel_size": _pair(1),
        "stride": _pair(1),
        "padding": _pair(0, _PADDING),
        "ceil_mode": _flag,
        "count_include_pad": _flag,
        "divisor_override": lambda value: value is None or _whole(1)(value),
    },
    "arith": {"fn": lambda value: value in ("add", "sub", "rsub", "mul", "div", "max", "min")},
    "layernorm": {"normalized_shape": _shape, "eps": lambda value: type(value) in (int, float) and 0 <= value <= 1},
}
# kind → tensor → (number of dimensions or None, whether it may be lacking)
_TENSORS: dict[str, dict[str, tuple[int | None, bool]]] = {
    "conv2d": {"weight": (4, False), "bias": (1, True)},
    "linear": {"weight": (2, False), "bias": (1, True)},
    "arith": {"value": (None, False)},
    "scale_shift": {"scale": (1, False), "shift": (1, False)},
    "layernorm": {"weight": (None, True), "bias": (None, True)},
}
