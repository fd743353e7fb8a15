"""From one node of a traced graph to one operation, or to a refusal that names it."""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from snn.checks import ConversionError
from snn.graph.operations import KINDS, TITLES, Op

NAMED_PARTS: dict[Any, tuple[str, str]] = {torch.chunk: ("chunk", "chunks"), torch.split: ("split", "size")}
NAMED_PARTS |= {kind: (kind, first) for kind, first in NAMED_PARTS.values()}
_ALIASES = {"axis": "dim", "split_size_or_sections": "size", "split_size": "size", "train": "training"}

# By the names of modules and functions in lower case, without underscores.
_REASONS = {
    name: reason
    for names, reason in {
        "layernorm": "it needs all units' exact values at once, which no single spiking unit has; "
        "convert with hybrid=True to run it on decoded values, or train a ReLU trunk",
        "stack": "use cat, or give each branch its own output",
        "tanh sigmoid": "its output is signed and saturates, which a firing rate can't express; "
        "convert with hybrid=True to run it on decoded values, or leave it to the end",
        "maxpool1d maxpool2d maxpool3d adaptivemaxpool1d adaptivemaxpool2d adaptivemaxpool3d": "the largest of several "
        "rates is not the rate of any one spike train; use AvgPool2d or a stride",
        "leakyrelu prelu gelu silu elu mish": "its slope below 0 needs negative rates: train with ReLU",
    }.items()
    for name in names.split()
}


def refused(kind: str, name: str) -> ConversionError:
    """The error for an operation of this kind."""
    reason = _REASONS.get(kind.replace("_", "").lower(), "only linear maps and ReLUs convert to firing rates")
    return ConversionError(f"{TITLES.get(kind, kind)} '{name}' can't be converted: {reason}")


def is_shape(node: Any) -> bool:
    """Does this node hold sizes, not values?"""
    if not isinstance(node, torch.fx.Node):
        return False
    if node.op == "call_method" and node.target in ("size", "dim") or node.target is len:
        return True
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim", "device", "dtype")
    taken = node.all_input_nodes
    return node.op == "call_function" and bool(taken) and all(map(is_shape, taken))


def is_value(node: Any) -> bool:
    """Does this node hold activations (no sizes, no parameters)?"""
    return isinstance(node, torch.fx.Node) and node.op != "get_attr" and not is_shape(node)


def label(node: torch.fx.Node) -> str:
    """What a node calls, for messages."""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


@dataclass(frozen=True)
class Call:
    """A call of the source: its name for messages, what it is, its arguments by name, its node, and the module that is
    called or owns the constants."""

    name: str
    title: str
    given: dict[str, Any]
    node: torch.fx.Node
    module: Any


Build = Callable[[Call], Op | None]  # None: it changes nothing


def op_of(node: torch.fx.Node, source: nn.Module) -> Op | None:
    """The operation of a traced node; None for one that changes nothing. Raises ConversionError."""
    if node.op == "call_module":
        name, module = str(node.target), source.get_submodule(str(node.target))
        kind: Any = type_before_parametrizations(module)
        title = kind.__name__
    else:
        name, module, kind, title = node.name, source, node.target, label(node)
    if kind not in _FORMS:
        raise refused(title, name)
    build, defaults = _FORMS[kind]
    if node.op == "call_module":
        if len(node.args) + len(node.kwargs) > 1:  # output_size of a transposed convolution
            raise ConversionError(f"{title} '{name}' is given more than its input; set it when the module is made")
        given = {key: getattr(module, key, default) for key, default in defaults.items()}
    else:
        named = {_ALIASES.get(key, key): value for key, value in node.kwargs.items()}
        passed = dict(zip(defaults, node.args[1:])) | named
        given = defaults | {key: _stored(value, source) for key, value in passed.items() if key in defaults}
    return build(Call(name, title, given, node, module))


def _stored(value: Any, source: nn.Module) -> Any:
    """What a node stands for, if that is a tensor of the module's own; other values as they are."""
    if isinstance(value, torch.fx.Node) and value.op == "get_attr":
        return operator.attrgetter(str(value.target))(source)
    return value


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list)) else value


# --- operations with the arguments that torch gives them --------------------------------------------------------------

# Our names of arguments that torch calls otherwise.
_RENAMED = {"start_dim": "start", "unflattened_size": "shape", "padding": "pad"}
# Arguments that hold one size for each dimension, though torch also takes one for all.
_SIZES = ("kernel_size", "stride", "padding", "output_padding", "dilation")


def _of(kind: str, **only: tuple[Any, ...]) -> Build:
    """The operation of this kind with the call's weights and arguments. `only`: the values that further arguments may
    have."""

    def build(call: Call) -> Op:
        for key, allowed in only.items():
            if call.given[key] not in allowed:
                raise ConversionError(
                    f"{call.title} '{call.name}' has {key}={call.given[key]!r}; only {key}={allowed[0]!r} converts"
                )
        dims = [_listed(value) for key, value in call.given.items() if key in ("dim", "dim0", "dim1")]
        over_batch = any(dim is ... or dim == 0 or (isinstance(dim, list) and 0 in dim) for dim in dims)
        if over_batch or call.given.get("start_dim", 1) < 1:
            raise ConversionError(
                f"{call.title} '{call.name}' goes over the batch; name the other dimensions, as in dim=1"
            )
        names = KINDS[kind].args
        args = {key if key in names else _RENAMED.get(key, ""): _listed(value) for key, value in call.given.items()}
        args = {key: value for key, value in args.items() if key in names}
        if args.get("stride", 1) is None:
            args["stride"] = args["kernel_size"]
        for key in _SIZES:
            if isinstance(args.get(key), int):
                args[key] = [args[key]] * int(kind[-2])
        return Op(kind, call.name, args, _weights(call))

    return build


def _weights(call: Call) -> dict[str, Tensor]:
    """Weight and bias, copied."""
    found = {key: call.given.get(key) for key in ("weight", "bias")}
    if any(isinstance(value, torch.fx.Node) for value in found.values()):
        raise ConversionError(f"'{call.name}' has weights that are computed, not stored; only stored ones convert")
    return {key: value.detach().clone() for key, value in found.items() if value is not None}


# --- operations that ask for more -------------------------------------------------------------------------------------


def _nothing(call: Call) -> None:
    return None


def _cast(call: Call) -> None:
    arguments = [*call.node.args, *call.node.kwargs.values()]
    if any(isinstance(arg, torch.dtype) and not arg.is_floating_point for arg in arguments):
        raise ConversionError(f"'{call.name}' casts to whole numbers, which is not linear")


def _dropout(call: Call) -> None:
    if call.given["training"]:
        raise ConversionError(f"dropout '{call.name}' stays on in eval mode; pass training=self.training")


def _clamp(call: Call) -> Op:
    low, high = call.given.values()
    if not all(bound is None or isinstance(bound, (int, float)) for bound in (low, high)):
        raise ConversionError(f"'{call.name}' clamps by values that are computed; only numbers convert")
    if low == 0 and (high is None or high > 0):
        return Op("relu", call.name, {"ceiling": None if high is None or math.isinf(high) else float(high)})
    return Op("clamp", call.name, {"min": low, "max": high})


def _batchnorm(call: Call) -> Op:
    name, m = call.name, call.module
    if m.running_mean is None:
        raise ConversionError(f"BatchNorm '{name}' keeps no running statistics, so it has no fixed scale to fold")
    mean, var = m.running_mean.detach().double(), m.running_var.detach().double()
    weight, bias = (None if value is None else value.detach().double() for value in (m.weight, m.bias))
    scale = (torch.ones_like(var) if weight is None else weight) / torch.sqrt(var + m.eps)
    shift = (torch.zeros_like(mean) if bias is None else bias) - mean * scale
    # Kept in double precision: where it can be, it is multiplied into the weights before it.
    return Op("scale_shift", name, {}, {"scale": scale, "shift": shift})


def _several(node: torch.fx.Node, key: str) -> Any:
    """The sizes or dimensions that a call names, one by one or as a sequence."""
    rest: Any = node.kwargs.get(key, node.args[1:])
    return rest[0] if len(rest) == 1 and isinstance(rest[0], (tuple, list)) else rest


def _permute(call: Call) -> Op:
    dims = _several(call.node, "dims")
    if dims[0] != 0:
        raise ConversionError(f"permute '{call.name}' moves the batch; only what leaves dimension 0 in place converts")
    return Op("permute", call.name, {"dims": list(dims)})


def _reshape(call: Call) -> Op:
    first, *rest = _several(call.node, "shape")
    if rest and (is_shape(first) or first == -1) and first is not rest[0]:
        if len(rest) == 1 and (isinstance(rest[0], int) or is_shape(rest[0])):
            return Op("flatten", call.name, {"start": 1})
        if len(rest) > 1 and all(isinstance(size, int) for size in rest):
            return Op("reshape", call.name, {"shape": rest})
    raise ConversionError(f"{call.title} '{call.name}' does not leave the batch in dimension 0; only that converts")


def _item(call: Call) -> Op | None:
    source, index = call.node.args
    if isinstance(index, str):
        raise ConversionError(
            f"the module takes a dict (it reads {index!r}); wrap it in a module that takes that tensor alone"
        )
    if isinstance(source, torch.fx.Node) and source.target in NAMED_PARTS:
        kind, first = NAMED_PARTS[source.target]
        given: dict[str, Any] = {"dim": 0} | dict(zip((first, "dim"), source.args[1:]))
        given |= {_ALIASES.get(key, key): value for key, value in source.kwargs.items()}
        if given["dim"] != 0:
            return Op(kind, call.name, {first: _listed(given[first]), "dim": given["dim"], "index": index})
    entries = index if isinstance(index, tuple) else (index,)
    cut = [(place, entry) for place, entry in enumerate(entries) if entry not in (slice(None), Ellipsis)]
    if not cut:
        return None
    place, entry = cut[0]
    bounds = [entry.start, entry.stop, entry.step] if isinstance(entry, slice) else ["no"]
    if len(cut) > 1 or place == 0 or not all(bound is None or isinstance(bound, int) for bound in bounds):
        raise ConversionError(f"'{call.name}' takes single items; only one range, as in x[:, :3], converts")
    dim = place - len(entries) if Ellipsis in entries[:place] else place
    return Op("slice", call.name, {"dim": dim} | dict(zip(("start", "stop", "step"), bounds)))


def _neg(call: Call) -> Op:
    return Op("arith", call.name, {"fn": "mul"}, {"value": torch.tensor(-1.0, dtype=torch.float64)})


def _arith(call: Call) -> Op:
    node, name, fn = call.node, call.name, _ARITHMETIC[call.node.target]
    if len(node.args) != 2:
        raise ConversionError(f"'{name}' names its operands by keyword, which does not convert")
    left, right = node.args
    unknown = {key: value for key, value in node.kwargs.items() if not (key == "alpha" and value == 1)}
    if unknown:
        raise ConversionError(f"'{name}' uses {', '.join(unknown)}, which does not convert")
    if is_value(left) and is_value(right):
        if fn in ("add", "sub"):
            return Op(fn, name)
        raise ConversionError(f"'{name}' combines activations, by more than their sum, which is not linear")
    # With the constant in front: c + x, c * x and c - x are affine, c / x is not.
    if not is_value(left):
        left, right = right, left
        if fn == "div":
            raise ConversionError(f"'{name}' divides by an activation, which is not linear")
        fn = "rsub" if fn == "sub" else fn
    right = _stored(right, call.module)
    if isinstance(right, torch.fx.Node):
        raise ConversionError(f"'{name}' combines an activation with its sizes; only constants convert")
    if not isinstance(right, (int, float, Tensor)):
        raise ConversionError(f"'{name}' scales by {right!r}, which is not a number")
    value = right.detach().clone() if isinstance(right, Tensor) else torch.tensor(right, dtype=torch.float64)
    kind = "bound" if fn in ("max", "min") else "arith"
    return Op(kind, name, {"fn": fn}, {"value": value if value.is_floating_point() else value.double()})


_ARITHMETIC: dict[Any, str] = {torch.maximum: "max", torch.minimum: "min"} | {
    source: fn
    for fn, sources in {
        "add": (operator.add, operator.iadd, torch.add, "add", "add_"),
        "sub": (operator.sub, operator.isub, torch.sub, "sub", "sub_"),
        "mul": (operator.mul, operator.imul, torch.mul, "mul", "mul_"),
        "div": (operator.truediv, operator.itruediv, torch.div, "div", "div_"),
    }.items()
    for source in sources
}

# --- what converts: how, its arguments by torch's names (`...`: it must be given), and what stands for it -------------

_WEIGHTS: dict[str, Any] = {"weight": None, "bias": None}
_DIM = {"dim": ..., "keepdim": False}
_ROWS: list[tuple[Build, dict[str, Any], tuple[Any, ...]]] = [
    (_nothing, {}, (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)),
    (_cast, {}, ("float", "double", "to", "type", "contiguous", "clone", "detach")),
    (_dropout, {"p": 0.5, "training": True}, (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, torch.dropout)),
    (_of("linear"), _WEIGHTS, (nn.Linear, F.linear)),
    (
        _of("relu"),
        {"inplace": False, "ceiling": None},
        (nn.ReLU, F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_"),
    ),
    (_of("relu"), {"inplace": False, "ceiling": 6.0}, (F.relu6,)),
    (_clamp, {"min": None, "max": None}, (torch.clamp, torch.clip, "clamp", "clamp_", "clip", "clip_")),
    (_clamp, {"min_val": -1.0, "max_val": 1.0}, (nn.Hardtanh, nn.ReLU6, F.hardtanh)),
    (_of("tanh"), {}, (nn.Tanh, F.tanh, torch.tanh, "tanh", "tanh_")),
    (_of("sigmoid"), {}, (nn.Sigmoid, F.sigmoid, torch.sigmoid, "sigmoid")),
    (_of("exp"), {}, (torch.exp, "exp")),
    (_of("softplus", beta=(1,), threshold=(20,)), {"beta": 1, "threshold": 20}, (nn.Softplus, F.softplus)),
    (_of("layernorm"), {"normalized_shape": ..., **_WEIGHTS, "eps": 1e-5}, (nn.LayerNorm, F.layer_norm)),
    (_batchnorm, {}, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)),
    (_of("flatten", end_dim=(-1,)), {"start_dim": 0, "end_dim": -1}, (nn.Flatten, torch.flatten, "flatten")),
    (_of("unflatten", dim=(1,)), {"dim": ..., "unflattened_size": ...}, (nn.Unflatten,)),
    (_reshape, {}, ("view", "reshape", torch.reshape)),
    (_permute, {}, ("permute", torch.permute)),
    (_of("mean"), _DIM, (torch.mean, "mean")),
    (_of("sum"), _DIM, (torch.sum, "sum")),
    (_of("transpose"), {"dim0": ..., "dim1": ...}, (torch.transpose, "transpose")),
    (_of("squeeze"), {"dim": ...}, (torch.squeeze, "squeeze")),
    (_of("unsqueeze"), {"dim": ...}, (torch.unsqueeze, "unsqueeze")),
    (_item, {}, (operator.getitem,)),
    (_of("cat"), {"dim": 0}, (torch.cat, torch.concat, torch.concatenate)),
    (_of("pad", mode=("constant",), value=(0, None)), {"pad": ..., "mode": "constant", "value": None}, (F.pad,)),
    (_of("pad"), {"padding": ...}, (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)),
    (
        _of("upsample", mode=("nearest",), size=(None,)),
        {"size": None, "scale_factor": None, "mode": "nearest"},
        (nn.Upsample, F.interpolate),
    ),
    (_neg, {}, (operator.neg, torch.neg, "neg")),
    (_arith, {}, tuple(_ARITHMETIC)),
]
_CONV = _WEIGHTS | {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros"}
_BACK = _WEIGHTS | {"stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "dilation": 1, "padding_mode": "zeros"}
_POOL = {
    "kernel_size": ...,
    "stride": None,
    "padding": 0,
    "ceil_mode": False,
    "count_include_pad": True,
    "divisor_override": None,
}
_ZEROS = {"padding_mode": ("zeros",)}
_ROWS += [
    (_of(f"{kind}{d}d", **only), given, (getattr(nn, f"{title}{d}d"), getattr(F, f"{kind}{d}d")))
    for d in (1, 2, 3)
    for kind, title, given, only in (
        ("conv", "Conv", _CONV, _ZEROS),
        ("conv_transpose", "ConvTranspose", _BACK, _ZEROS),
        ("avg_pool", "AvgPool", _POOL, {}),
        ("adaptive_avg_pool", "AdaptiveAvgPool", {"output_size": ...}, {}),
    )
]
_FORMS = {source: (build, given) for build, given, sources in _ROWS for source in sources}
