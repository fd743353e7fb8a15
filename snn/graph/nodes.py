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

from snn.errors import ConversionError
from snn.graph.operations import TITLES, Op

_SHAPE = {"size", "dim"}
NAMED_PARTS: dict[Any, tuple[str, str]] = {torch.chunk: ("chunk", "chunks"), torch.split: ("split", "size")}
NAMED_PARTS |= {kind: (kind, first) for kind, first in NAMED_PARTS.values()}
_ALIASES = {"axis": "dim", "split_size_or_sections": "size", "split_size": "size", "train": "training"}

# By the names of modules and functions in lower case, without underscores.
_REASONS = {
    "layernorm": "it needs all units' exact values at once, which no single spiking unit has; "
    "convert with hybrid=True to run it on decoded values, or train a ReLU trunk",
    "stack": "use cat, or give each branch its own output",
}
_REASONS |= dict.fromkeys(
    ("tanh", "sigmoid"),
    "its output is signed and saturates, which a firing rate can't express; "
    "convert with hybrid=True to run it on decoded values, or leave it to the end",
)
_REASONS |= dict.fromkeys(
    ("maxpool1d", "maxpool2d", "maxpool3d", "adaptivemaxpool1d", "adaptivemaxpool2d", "adaptivemaxpool3d"),
    "the largest of several rates is not the rate of any one spike train; use AvgPool2d or a stride",
)
_REASONS |= dict.fromkeys(
    ("leakyrelu", "prelu", "gelu", "silu", "elu", "mish"), "its slope below 0 needs negative rates: train with ReLU"
)


def refused(kind: str, name: str) -> ConversionError:
    """The error for an operation of this kind."""
    reason = _REASONS.get(kind.replace("_", "").lower(), "only linear maps and ReLUs convert to firing rates")
    return ConversionError(f"{TITLES.get(kind, kind)} '{name}' can't be converted: {reason}")


def is_shape(node: Any) -> bool:
    """Does this node hold sizes, not values?"""
    if not isinstance(node, torch.fx.Node):
        return False
    if node.op == "call_method" and node.target in _SHAPE or node.target is len:
        return True
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim", "device", "dtype")
    return node.op == "call_function" and any(is_shape(arg) for arg in node.all_input_nodes)


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

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Weight and bias, copied."""
        found = {key: self.given.get(key) for key in ("weight", "bias")}
        if any(isinstance(value, torch.fx.Node) for value in found.values()):
            raise ConversionError(f"'{self.name}' has weights that are computed, not stored; only stored ones convert")
        return {key: value.detach().clone() for key, value in found.items() if value is not None}


def op_of(node: torch.fx.Node, source: nn.Module) -> Op | None:
    """The operation of a traced node; None for one that changes nothing. Raises ConversionError."""
    if node.op == "call_module":
        name, module = str(node.target), source.get_submodule(str(node.target))
        kind: Any = type_before_parametrizations(module)
        title = kind.__name__
        given = {key: getattr(module, key, default) for key, default in _FORMS.get(kind, _NO_FORM)[1].items()}
    else:
        name, module, kind, title = node.name, source, node.target, label(node)
        given = dict(_FORMS.get(kind, _NO_FORM)[1])
        known = dict(zip(given, node.args[1:])) | {_ALIASES.get(key, key): value for key, value in node.kwargs.items()}
        given |= {key: _stored(value, source) for key, value in known.items() if key in given}
    build, _ = _FORMS.get(kind, _NO_FORM)
    return build(Call(name, title, given, node, module))


def _stored(value: Any, source: nn.Module) -> Any:
    """What a node stands for, if that is a tensor of the module's own; other values as they are."""
    if not (isinstance(value, torch.fx.Node) and value.op == "get_attr"):
        return value
    found: Any = source
    for part in str(value.target).split("."):
        found = getattr(found, part)
    return found


def _no_form(call: Call) -> Op | None:
    raise refused(call.title, call.name)


def _nothing(call: Call) -> Op | None:
    return None


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list)) else value


def _sizes(value: Any, count: int) -> Any:
    """A size for each of `count` dimensions; a convolution's "same" or "valid" as it is."""
    return _listed(value) if isinstance(value, (str, tuple, list)) else [value] * count


def _of(kind: str) -> Callable[[Call], Op]:
    """The operation of this kind with the call's weights and its other arguments as they are."""

    def build(call: Call) -> Op:
        args = {key: _listed(value) for key, value in call.given.items() if key not in ("weight", "bias")}
        return Op(kind, call.name, args, call.tensors)

    return build


def _convolution(kind: str) -> Callable[[Call], Op]:
    def build(call: Call) -> Op:
        args = {key: value for key, value in call.given.items() if key not in ("weight", "bias", "padding_mode")}
        mode = call.given["padding_mode"]
        if mode != "zeros":
            raise ConversionError(f"{call.title} '{call.name}' pads with padding_mode={mode!r}; only zeros convert")
        args = {key: value if key == "groups" else _sizes(value, int(kind[-2])) for key, value in args.items()}
        return Op(kind, call.name, args, call.tensors)

    return build


def _avg_pool(kind: str) -> Callable[[Call], Op]:
    def build(call: Call) -> Op:
        args, size = dict(call.given), int(kind[-2])
        if args["stride"] is None:
            args["stride"] = args["kernel_size"]
        args |= {key: _sizes(args[key], size) for key in ("kernel_size", "stride", "padding")}
        return Op(kind, call.name, args)

    return build


def _along(kind: str) -> Callable[[Call], Op]:
    """Of a function over dimensions, of which none may be the batch's."""
    build = _of(kind)

    def checked(call: Call) -> Op:
        dims = [_listed(value) for key, value in call.given.items() if key.startswith("dim")]
        if any(dim is ... or dim == 0 or (isinstance(dim, list) and 0 in dim) for dim in dims):
            raise ConversionError(f"{kind} '{call.name}' goes over the batch; name the other dimensions, as in dim=1")
        return build(call)

    return checked


def _relu(call: Call) -> Op:
    return Op("relu", call.name, {"ceiling": None})


def _clamp(call: Call) -> Op:
    low, high = call.given.values()
    for bound in (low, high):
        if not (bound is None or isinstance(bound, (int, float))):
            raise ConversionError(f"'{call.name}' clamps by values that are computed; only numbers convert")
    if low == 0 and (high is None or high > 0):
        return Op("relu", call.name, {"ceiling": None if high is None or math.isinf(high) else float(high)})
    return Op("clamp", call.name, {"min": low, "max": high})


def _softplus(call: Call) -> Op:
    if call.given["beta"] != 1:
        raise refused(call.title, call.name)
    return Op("softplus", call.name)


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


def _flatten(call: Call) -> Op:
    if call.given["start_dim"] < 1 or call.given["end_dim"] != -1:
        raise ConversionError(f"'{call.name}' does not flatten everything but the batch; only that converts")
    return Op("flatten", call.name, {"start": call.given["start_dim"]})


def _unflatten(call: Call) -> Op:
    if call.given["dim"] != 1:
        raise refused(call.title, call.name)
    return Op("unflatten", call.name, {"shape": list(call.given["unflattened_size"])})


def _upsample(call: Call) -> Op:
    factor, mode = call.given["scale_factor"], call.given["mode"]
    if mode != "nearest" or factor is None:
        raise ConversionError(f"'{call.name}' interpolates; only scale_factor=... with mode='nearest' converts")
    return Op("upsample", call.name, {"scale_factor": _listed(factor), "mode": mode})


def _pad(call: Call) -> Op:
    if call.given["mode"] != "constant" or call.given["value"]:
        raise refused(call.title, call.name)
    return Op("pad", call.name, {"pad": _listed(call.given["pad"])})


def _zero_pad(call: Call) -> Op:
    return Op("pad", call.name, {"pad": list(call.given["padding"])})


def _cat(call: Call) -> Op:
    if call.given["dim"] == 0:
        raise ConversionError(f"cat '{call.name}' joins along the batch; only other dimensions convert")
    return Op("cat", call.name, {"dim": call.given["dim"]})


def _cast(call: Call) -> None:
    arguments = [*call.node.args, *call.node.kwargs.values()]
    if any(isinstance(arg, torch.dtype) and not arg.is_floating_point for arg in arguments):
        raise ConversionError(f"'{call.name}' casts to whole numbers, which is not linear")


def _dropout(call: Call) -> None:
    if call.given["training"]:
        raise ConversionError(f"dropout '{call.name}' stays on in eval mode; pass training=self.training")


def _permute(call: Call) -> Op:
    rest: Any = call.node.args[1:]
    dims = call.node.kwargs.get("dims", rest[0] if len(rest) == 1 else rest)
    if not isinstance(dims, (tuple, list)) or dims[0] != 0:
        raise ConversionError(f"permute '{call.name}' moves the batch; only what leaves dimension 0 in place converts")
    return Op("permute", call.name, {"dims": _listed(dims)})


def _neg(call: Call) -> Op:
    return Op("arith", call.name, {"fn": "mul"}, {"value": torch.tensor(-1.0, dtype=torch.float64)})


def _reshape(call: Call) -> Op:
    node = call.node
    shape: Any = node.kwargs.get("shape", node.args[1:])
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    keeps_batch = len(shape) > 1 and (is_shape(shape[0]) or shape[0] == -1) and shape[0] is not shape[1]
    if keeps_batch and len(shape) == 2 and (isinstance(shape[1], int) or is_shape(shape[1])):
        return Op("flatten", node.name, {"start": 1})
    if keeps_batch and len(shape) > 2 and all(isinstance(size, int) for size in shape[1:]):
        return Op("reshape", node.name, {"shape": list(shape[1:])})
    raise ConversionError(f"{label(node)} '{node.name}' does not leave the batch in dimension 0; only that converts")


def _item(call: Call) -> Op | None:
    node = call.node
    source, index = node.args
    if isinstance(index, str):
        raise ConversionError(
            f"the module takes a dict (it reads {index!r}); wrap it in a module that takes that tensor alone"
        )
    if isinstance(source, torch.fx.Node) and source.target in NAMED_PARTS:
        kind, first = NAMED_PARTS[source.target]
        given: dict[str, Any] = {"dim": 0} | dict(zip((first, "dim"), source.args[1:]))
        given |= {_ALIASES.get(key, key): value for key, value in source.kwargs.items()}
        if given["dim"] != 0:
            return Op(kind, node.name, {first: _listed(given[first]), "dim": given["dim"], "index": index})
    entries = index if isinstance(index, tuple) else (index,)
    everything = slice(None, None, None)
    cut = [(place, entry) for place, entry in enumerate(entries) if entry not in (everything, Ellipsis)]
    if not cut:
        return None
    place, entry = cut[0]
    bounds = [entry.start, entry.stop, entry.step] if isinstance(entry, slice) else ["no"]
    if len(cut) > 1 or place == 0 or not all(bound is None or isinstance(bound, int) for bound in bounds):
        raise ConversionError(f"'{node.name}' takes single items; only one range, as in x[:, :3], converts")
    dim = place - len(entries) if Ellipsis in entries[:place] else place
    return Op("slice", node.name, {"dim": dim, "start": bounds[0], "stop": bounds[1], "step": bounds[2]})


def _arith(call: Call) -> Op:
    node, fn = call.node, _ARITHMETIC[call.node.target]
    if len(node.args) != 2:
        raise ConversionError(f"'{node.name}' names its operands by keyword, which does not convert")
    left, right = node.args
    unknown = {key: value for key, value in node.kwargs.items() if not (key == "alpha" and value == 1)}
    if unknown:
        raise ConversionError(f"'{node.name}' uses {', '.join(unknown)}, which does not convert")
    if is_value(left) and is_value(right):
        if fn in ("add", "sub"):
            return Op(fn, node.name)
        raise ConversionError(f"'{node.name}' combines activations, by more than their sum, which is not linear")
    # With the constant in front: c + x, c * x and c - x are affine, c / x is not.
    if not is_value(left):
        left, right = right, left
        if fn == "div":
            raise ConversionError(f"'{node.name}' divides by an activation, which is not linear")
        fn = "rsub" if fn == "sub" else fn
    right = _stored(right, call.module)
    if isinstance(right, torch.fx.Node):
        raise ConversionError(f"'{node.name}' combines an activation with its sizes; only constants convert")
    if isinstance(right, Tensor):
        value = right.detach().clone()
    elif isinstance(right, (int, float)) and math.isfinite(right):
        value = torch.tensor(right, dtype=torch.float64)
    else:
        raise ConversionError(f"'{node.name}' scales by {right!r}, which is not a finite number")
    kind = "bound" if fn in ("max", "min") else "arith"
    return Op(kind, node.name, {"fn": fn}, {"value": value if value.is_floating_point() else value.double()})


_ARITHMETIC: dict[Any, str] = {torch.maximum: "max", torch.minimum: "min"}
_ARITHMETIC |= dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), "add")
_ARITHMETIC |= dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub", "sub_"), "sub")
_ARITHMETIC |= dict.fromkeys((operator.mul, operator.imul, torch.mul, "mul", "mul_"), "mul")
_ARITHMETIC |= dict.fromkeys((operator.truediv, operator.itruediv, torch.div, "div", "div_"), "div")
Form = tuple[Callable[[Call], Op | None], dict[str, Any]]
_NO_FORM: Form = (_no_form, {})


def _forms() -> dict[Any, Form]:
    """What converts, by the functions, methods and modules that stand for it: how, and with which arguments by their
    names in functions and modules (`...`: it must be given)."""
    stored: dict[str, Any] = {"weight": None, "bias": None}
    dropout = {"p": 0.5, "training": True}
    rows: list[tuple[Callable[[Call], Op | None], dict[str, Any], tuple[Any, ...]]] = [
        (_nothing, {}, (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)),
        (_cast, {}, ("float", "double", "to", "type", "contiguous", "clone", "detach")),
        (_dropout, dropout, (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, torch.dropout)),
        (_of("linear"), stored, (nn.Linear, F.linear)),
        (_relu, {}, (nn.ReLU, F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_")),
        (_clamp, {"min": None, "max": None}, (torch.clamp, torch.clip, "clamp", "clamp_", "clip", "clip_")),
        (_clamp, {"min_val": -1.0, "max_val": 1.0}, (nn.Hardtanh, nn.ReLU6, F.hardtanh)),
        (lambda call: Op("relu", call.name, {"ceiling": 6.0}), {}, (F.relu6,)),
        (_of("tanh"), {}, (nn.Tanh, F.tanh, torch.tanh, "tanh", "tanh_")),
        (_of("sigmoid"), {}, (nn.Sigmoid, F.sigmoid, torch.sigmoid, "sigmoid")),
        (_of("exp"), {}, (torch.exp, "exp")),
        (_softplus, {"beta": 1}, (nn.Softplus, F.softplus)),
        (_of("layernorm"), {"normalized_shape": ..., **stored, "eps": 1e-5}, (nn.LayerNorm, F.layer_norm)),
        (_batchnorm, {}, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)),
        (_flatten, {"start_dim": 0, "end_dim": -1}, (nn.Flatten, torch.flatten, "flatten")),
        (_unflatten, {"dim": ..., "unflattened_size": ...}, (nn.Unflatten,)),
        (_reshape, {}, ("view", "reshape", torch.reshape)),
        (_permute, {}, ("permute", torch.permute)),
        (_along("mean"), {"dim": ..., "keepdim": False}, (torch.mean, "mean")),
        (_along("sum"), {"dim": ..., "keepdim": False}, (torch.sum, "sum")),
        (_along("transpose"), {"dim0": ..., "dim1": ...}, (torch.transpose, "transpose")),
        (_along("squeeze"), {"dim": ...}, (torch.squeeze, "squeeze")),
        (_along("unsqueeze"), {"dim": ...}, (torch.unsqueeze, "unsqueeze")),
        (_item, {}, (operator.getitem,)),
        (_cat, {"dim": 0}, (torch.cat, torch.concat, torch.concatenate)),
        (_pad, {"pad": ..., "mode": "constant", "value": None}, (F.pad,)),
        (_zero_pad, {"padding": ...}, (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)),
        (_upsample, {"size": None, "scale_factor": None, "mode": "nearest"}, (nn.Upsample, F.interpolate)),
        (_neg, {}, (operator.neg, torch.neg, "neg")),
        (_arith, {}, tuple(_ARITHMETIC)),
    ]
    for d in (1, 2, 3):
        plain = stored | {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros"}
        back = stored | {"stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "dilation": 1}
        pool = {"kernel_size": ..., "stride": None, "padding": 0, "ceil_mode": False, "count_include_pad": True}
        pool |= {"divisor_override": None} if d > 1 else {}
        per_dimension: list[tuple[Callable[[str], Callable[[Call], Op]], dict[str, Any], str, str]] = [
            (_convolution, plain, "conv", "Conv"),
            (_convolution, back | {"padding_mode": "zeros"}, "conv_transpose", "ConvTranspose"),
            (_avg_pool, pool, "avg_pool", "AvgPool"),
            (_of, {"output_size": ...}, "adaptive_avg_pool", "AdaptiveAvgPool"),
        ]
        for build, given, kind, title in per_dimension:
            kind, title = f"{kind}{d}d", f"{title}{d}d"
            rows.append((build(kind), given, (getattr(nn, title), getattr(F, kind))))
    return {source: (build, given) for build, given, sources in rows for source in sources}


_FORMS = _forms()
