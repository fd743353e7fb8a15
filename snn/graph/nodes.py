"""From one node of a traced graph to one operation, or to a refusal that names it."""

import math
import operator
from typing import Any, cast

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from snn.errors import ConversionError
from snn.graph.operations import Op

_ADD = {operator.add: "add", operator.iadd: "add", torch.add: "add", "add": "add", "add_": "add"}
_SUB = {operator.sub: "sub", operator.isub: "sub", torch.sub: "sub", "sub": "sub", "sub_": "sub"}
_MUL = {operator.mul: "mul", operator.imul: "mul", torch.mul: "mul", "mul": "mul", "mul_": "mul"}
_DIV = {operator.truediv: "div", operator.itruediv: "div", torch.div: "div", "div": "div", "div_": "div"}
_BOUND: dict[Any, str] = {torch.maximum: "max", torch.minimum: "min"}
_ARITH: dict[Any, str] = _ADD | _SUB | _MUL | _DIV | _BOUND
_NEG = {operator.neg, torch.neg, "neg"}
_RELU = {F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_"}
_CLAMP = {torch.clamp, torch.clip, "clamp", "clamp_", "clip", "clip_", F.hardtanh, F.relu6}
_SQUASHING: dict[Any, str] = {torch.tanh: "tanh", F.tanh: "tanh", "tanh": "tanh", "tanh_": "tanh"}
_SQUASHING |= {torch.sigmoid: "sigmoid", F.sigmoid: "sigmoid", "sigmoid": "sigmoid", F.softplus: "softplus"}
_SQUASHING |= {torch.exp: "exp", "exp": "exp"}
_DROP = {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, torch.dropout}
_CAST = {"float", "double", "to", "type", "contiguous", "clone", "detach"}
_VIEW = {"view", "reshape", torch.reshape}
_SHAPE = {"size", "dim"}
_CAT = {torch.cat, torch.concat, torch.concatenate}
_PARTS: dict[Any, str] = {torch.chunk: "chunk", "chunk": "chunk", torch.split: "split", "split": "split"}
_CONV = {getattr(F, f"conv{d}d"): f"conv{d}d" for d in (1, 2, 3)}
_CONV_TRANSPOSE = {getattr(F, f"conv_transpose{d}d"): f"conv_transpose{d}d" for d in (1, 2, 3)}
_CONV_ARGS = ("stride", "padding", "dilation", "groups")
_CONV_TRANSPOSE_ARGS = ("stride", "padding", "output_padding", "groups", "dilation")
_POOL_ARGS = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
# Functions whose arguments are ours, by name and default; `...` stands for one that must be given.
_PLAIN: dict[Any, tuple[str, dict[str, Any]]] = {
    torch.mean: ("mean", {"dim": ..., "keepdim": False}),
    torch.sum: ("sum", {"dim": ..., "keepdim": False}),
    torch.transpose: ("transpose", {"dim0": ..., "dim1": ...}),
    torch.squeeze: ("squeeze", {"dim": ...}),
    torch.unsqueeze: ("unsqueeze", {"dim": ...}),
}
_PLAIN |= {kind: (kind, args) for kind, args in _PLAIN.values()}
_PLAIN |= {getattr(F, f"adaptive_avg_pool{d}d"): (f"adaptive_avg_pool{d}d", {"output_size": ...}) for d in (1, 2, 3)}

_SHAPELESS = "its slope below 0 needs negative rates: train with ReLU"
REASONS = {
    "LayerNorm": "it needs all units' exact values at once, which no single spiking unit has; "
    "convert with hybrid=True to run it on decoded values, or train a ReLU trunk",
    "Tanh": "its output is signed and saturates, which a firing rate can't express; "
    "convert with hybrid=True to run it on decoded values, or leave it to the end",
    "MaxPool2d": "the largest of several rates is not the rate of any one spike train; use AvgPool2d or a stride",
    "stack": "use cat, or give each branch its own output",
    "LeakyReLU": _SHAPELESS,
    "GELU": _SHAPELESS,
    "SiLU": _SHAPELESS,
    "ELU": _SHAPELESS,
    "Mish": _SHAPELESS,
}
_SAME = {
    "max_pool2d": "MaxPool2d",
    "MaxPool1d": "MaxPool2d",
    "MaxPool3d": "MaxPool2d",
    "AdaptiveMaxPool2d": "MaxPool2d",
}
_SAME |= {"leaky_relu": "LeakyReLU", "gelu": "GELU", "silu": "SiLU", "elu": "ELU", "layernorm": "LayerNorm"}
_SAME |= {"tanh": "Tanh", "max_pool1d": "MaxPool2d", "PReLU": "LeakyReLU", "sigmoid": "Tanh", "Sigmoid": "Tanh"}


def refused(kind: str, name: str) -> ConversionError:
    """The error for an operation of this kind."""
    title = _SAME.get(kind, kind) if kind in ("tanh", "layernorm") else kind
    reason = REASONS.get(_SAME.get(kind, kind), "only linear maps and ReLUs convert to firing rates")
    return ConversionError(f"{title} '{name}' can't be converted: {reason}")


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


def op_of(node: torch.fx.Node, source: nn.Module) -> Op | None:
    """The operation of a traced node; None for one that changes nothing. Raises ConversionError."""
    if node.op == "call_module":
        return _module_op(str(node.target), source.get_submodule(str(node.target)))
    return _function_op(node, source)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list)) else value


def _module_op(name: str, m: Any) -> Op | None:
    kind = type_before_parametrizations(m)
    title = kind.__name__
    if kind in (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d):
        return None
    if kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d):
        if m.padding_mode != "zeros":
            raise ConversionError(f"{title} '{name}' pads with padding_mode={m.padding_mode!r}; only zeros convert")
        args = {key: _listed(getattr(m, key)) for key in _CONV_ARGS}
        return Op(title.lower(), name, args, _parameters(m, "weight", "bias"))
    if kind in (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d):
        args = {key: _listed(getattr(m, key)) for key in _CONV_TRANSPOSE_ARGS}
        return Op(f"conv_transpose{title[-2]}d", name, args, _parameters(m, "weight", "bias"))
    if kind is nn.Linear:
        return Op("linear", name, {}, _parameters(m, "weight", "bias"))
    if kind is nn.ReLU:
        return _relu(name)
    if kind in (nn.ReLU6, nn.Hardtanh):
        return _clamp(name, m.min_val, m.max_val)
    if kind is nn.Flatten:
        return _flatten(name, m.start_dim, m.end_dim)
    if kind is nn.Unflatten and m.dim == 1:
        return Op("reshape", name, {"shape": list(m.unflattened_size)})
    if kind in (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d):
        values: list[Any] = [getattr(m, key, None) for key in _POOL_ARGS]
        return _avg_pool(f"avg_pool{title[-2]}d", name, *values)
    if kind in (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d):
        return Op(f"adaptive_avg_pool{title[-2]}d", name, {"output_size": _listed(m.output_size)})
    if kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
        return _batchnorm(name, m)
    if kind is nn.LayerNorm:
        args = {"normalized_shape": list(m.normalized_shape), "eps": m.eps}
        return Op("layernorm", name, args, _parameters(m, "weight", "bias"))
    if kind in (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d):
        return Op("pad", name, {"pad": list(m.padding)})
    if kind is nn.Upsample:
        return _upsample(name, m.scale_factor, m.mode)
    if kind in (nn.Tanh, nn.Sigmoid, nn.Softplus) and getattr(m, "beta", 1) == 1:
        return Op(title.lower(), name)
    raise refused(title, name)


def _parameters(m: Any, *keys: str) -> dict[str, Tensor]:
    return {key: getattr(m, key).detach().clone() for key in keys if getattr(m, key) is not None}


def _relu(name: str, ceiling: float | None = None) -> Op:
    return Op("relu", name, {"ceiling": ceiling})


def _clamp(name: str, low: Any, high: Any) -> Op:
    for bound in (low, high):
        if not (bound is None or isinstance(bound, (int, float))):
            raise ConversionError(f"'{name}' clamps by values that are computed; only numbers convert")
    if low == 0 and (high is None or high > 0):
        return _relu(name, None if high is None or math.isinf(high) else float(high))
    return Op("clamp", name, {"min": low, "max": high})


def _batchnorm(name: str, m: Any) -> Op:
    if m.running_mean is None:
        raise ConversionError(f"BatchNorm '{name}' keeps no running statistics, so it has no fixed scale to fold")
    mean, var = m.running_mean.detach().double(), m.running_var.detach().double()
    weight, bias = (None if value is None else value.detach().double() for value in (m.weight, m.bias))
    scale = (torch.ones_like(var) if weight is None else weight) / torch.sqrt(var + m.eps)
    shift = (torch.zeros_like(mean) if bias is None else bias) - mean * scale
    # Kept in double precision: where it can be, it is multiplied into the weights before it.
    return Op("scale_shift", name, {}, {"scale": scale, "shift": shift})


def _flatten(name: str, start: int, end: int) -> Op:
    if start < 1 or end != -1:
        raise ConversionError(f"'{name}' does not flatten everything but the batch; only that converts")
    return Op("flatten", name, {"start": start})


def _pair(value: Any, size: int) -> Any:
    if isinstance(value, str):  # a convolution's "same" or "valid"
        return value
    return list(value) if isinstance(value, (tuple, list)) else [value] * size


def _avg_pool(
    kind: str,
    name: str,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Op:
    size = int(kind[-2])
    stride = kernel_size if stride is None else stride
    args = {"kernel_size": _pair(kernel_size, size), "stride": _pair(stride, size), "padding": _pair(padding, size)}
    args |= {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
    return Op(kind, name, args if size == 1 else args | {"divisor_override": divisor_override})


def _upsample(name: str, scale_factor: Any, mode: str) -> Op:
    if mode != "nearest" or scale_factor is None:
        raise ConversionError(f"'{name}' interpolates; only scale_factor=... with mode='nearest' converts")
    return Op("upsample", name, {"scale_factor": _listed(scale_factor), "mode": mode})


def _function_op(node: torch.fx.Node, source: nn.Module) -> Op | None:
    target: Any = node.target
    name, rest = node.name, cast(tuple[Any, ...], node.args[1:])
    named = cast(dict[str, Any], node.kwargs)
    if target in _RELU:
        return _relu(name)
    if target in _CLAMP:
        low, high = {F.hardtanh: (-1.0, 1.0), F.relu6: (0.0, 6.0)}.get(target, (None, None))
        keys = ("min_val", "max_val") if target is F.hardtanh else ("min", "max")
        given = dict(zip(keys, (low, high))) | dict(zip(keys, rest if target is not F.relu6 else ()))
        given |= {key: value for key, value in node.kwargs.items() if key in keys}
        return _clamp(name, *given.values())
    if target in _SQUASHING:
        return Op(_SQUASHING[target], name)
    if target in _CAST:
        arguments = [*node.args, *node.kwargs.values()]
        if any(isinstance(arg, torch.dtype) and not arg.is_floating_point for arg in arguments):
            raise ConversionError(f"'{name}' casts to whole numbers, which is not linear")
        return None
    if target in _DROP:
        if node.kwargs.get("training", node.args[2] if len(node.args) > 2 else True):
            raise ConversionError(f"dropout '{name}' stays on in eval mode; pass training=self.training")
        return None
    if target in ("flatten", torch.flatten):
        positions: dict[str, Any] = dict(zip(("start_dim", "end_dim"), rest)) | node.kwargs
        return _flatten(name, positions.get("start_dim", 0), positions.get("end_dim", -1))
    if target in _VIEW:
        return _reshape(node)
    if target in ("permute", torch.permute):
        dims = node.kwargs.get("dims", rest[0] if len(rest) == 1 else rest)
        if not isinstance(dims, (tuple, list)) or dims[0] != 0:
            raise ConversionError(f"permute '{name}' moves the batch; only what leaves dimension 0 in place converts")
        return Op("permute", name, {"dims": _listed(dims)})
    if target in _PLAIN:
        return _plain(node)
    if target is operator.getitem:
        return _item(node)
    if target is F.avg_pool2d or target in (F.avg_pool1d, F.avg_pool3d):
        return _avg_pool(target.__name__, name, *rest, **named)
    if target is F.linear:
        return Op("linear", name, {}, _arguments(node, source, ("weight", "bias")))
    if target in _CONV:
        return _functional_conv(node, source, _CONV[target], _CONV_ARGS)
    if target in _CONV_TRANSPOSE:
        return _functional_conv(node, source, _CONV_TRANSPOSE[target], _CONV_TRANSPOSE_ARGS)
    if target is F.layer_norm:
        shape = rest[0] if rest else node.kwargs["normalized_shape"]
        eps = node.args[4] if len(node.args) > 4 else node.kwargs.get("eps", 1e-5)
        tensors = _arguments(node, source, ("weight", "bias"), first=2)
        return Op("layernorm", name, {"normalized_shape": _listed(shape), "eps": eps}, tensors)
    if target in _CAT:
        dim = rest[0] if rest else node.kwargs.get("dim", node.kwargs.get("axis", 0))
        if dim == 0:
            raise ConversionError(f"cat '{name}' joins along the batch; only other dimensions convert")
        return Op("cat", name, {"dim": dim})
    if target is F.pad and node.kwargs.get("mode", "constant") == "constant" and not node.kwargs.get("value"):
        return Op("pad", name, {"pad": _listed(rest[0] if rest else node.kwargs["pad"])})
    if target is F.interpolate:
        return _upsample(name, node.kwargs.get("scale_factor"), str(node.kwargs.get("mode", "nearest")))
    if target in _NEG:
        return Op("arith", name, {"fn": "mul"}, {"value": torch.tensor(-1.0, dtype=torch.float64)})
    if target in _ARITH:
        return _arith(node, source)
    raise refused(label(node), name)


def _attribute(node: torch.fx.Node, source: Any) -> Tensor:
    value = source
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value.detach().clone()


def _arguments(node: torch.fx.Node, source: nn.Module, keys: tuple[str, ...], first: int = 1) -> dict[str, Tensor]:
    given: dict[str, Any] = dict(zip(keys, node.args[first:])) | {k: v for k, v in node.kwargs.items() if k in keys}
    given = {key: value for key, value in given.items() if value is not None}
    for value in given.values():
        if not (isinstance(value, torch.fx.Node) and value.op == "get_attr"):
            raise ConversionError(f"'{node.name}' has weights that are computed, not stored; only stored ones convert")
    return {key: _attribute(value, source) for key, value in given.items()}


def _functional_conv(node: torch.fx.Node, source: nn.Module, kind: str, keys: tuple[str, ...]) -> Op:
    defaults = {"stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "dilation": 1}
    given: dict[str, Any] = {key: defaults[key] for key in keys} | dict(zip(keys, node.args[3:]))
    given |= {key: value for key, value in node.kwargs.items() if key in keys}
    args = {key: given[key] if key == "groups" else _pair(given[key], int(kind[-2])) for key in keys}
    return Op(kind, node.name, args, _arguments(node, source, ("weight", "bias")))


def _reshape(node: torch.fx.Node) -> Op:
    shape: Any = node.kwargs.get("shape", node.args[1:])
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    keeps_batch = len(shape) > 1 and (is_shape(shape[0]) or shape[0] == -1) and shape[0] is not shape[1]
    if keeps_batch and len(shape) == 2 and (isinstance(shape[1], int) or is_shape(shape[1])):
        return Op("flatten", node.name, {"start": 1})
    if keeps_batch and len(shape) > 2 and all(isinstance(size, int) for size in shape[1:]):
        return Op("reshape", node.name, {"shape": list(shape[1:])})
    raise ConversionError(f"{label(node)} '{node.name}' does not leave the batch in dimension 0; only that converts")


def _plain(node: torch.fx.Node) -> Op:
    kind, defaults = _PLAIN[node.target]
    given: dict[str, Any] = defaults | dict(zip(defaults, node.args[1:]))
    given |= {{"axis": "dim"}.get(key, key): value for key, value in node.kwargs.items()}
    given = {key: _listed(value) for key, value in given.items() if key in defaults}
    dims = [value for key, value in given.items() if key.startswith("dim")]
    if ... in given.values() or any(dim == 0 or (isinstance(dim, list) and 0 in dim) for dim in dims):
        raise ConversionError(f"{kind} '{node.name}' goes over the batch; name the other dimensions, as in dim=1")
    return Op(kind, node.name, given)


def _item(node: torch.fx.Node) -> Op | None:
    source, index = node.args
    if isinstance(index, str):
        raise ConversionError(
            f"the module takes a dict (it reads {index!r}); wrap it in a module that takes that tensor alone"
        )
    if isinstance(source, torch.fx.Node) and source.target in _PARTS:
        kind = _PARTS[source.target]
        first = "chunks" if kind == "chunk" else "size"
        given: dict[str, Any] = {"dim": 0} | dict(zip((first, "dim"), source.args[1:]))
        given |= {
            {"split_size_or_sections": "size", "split_size": "size"}.get(k, k): v for k, v in source.kwargs.items()
        }
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


def _arith(node: torch.fx.Node, source: nn.Module) -> Op:
    fn = _ARITH[node.target]
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
    if isinstance(right, torch.fx.Node):
        if right.op != "get_attr":
            raise ConversionError(f"'{node.name}' combines an activation with its sizes; only constants convert")
        value = _attribute(right, source)
    elif isinstance(right, Tensor):
        value = right.detach().clone()
    elif isinstance(right, (int, float)) and math.isfinite(right):
        value = torch.tensor(right, dtype=torch.float64)
    else:
        raise ConversionError(f"'{node.name}' scales by {right!r}, which is not a finite number")
    kind = "bound" if fn in ("max", "min") else "arith"
    return Op(kind, node.name, {"fn": fn}, {"value": value if value.is_floating_point() else value.double()})


NAMED_PARTS: dict[Any, str] = _PARTS
