"""From one node of a traced graph to one operation, or to a refusal that names it."""

import math
import operator

import torch
import torch.fx
import torch.nn.functional as F
from torch import nn

from snn.errors import ConversionError
from snn.graph.ops import Op

ADD = {operator.add: "add", operator.iadd: "add", torch.add: "add", "add": "add", "add_": "add"}
_SUB = {operator.sub: "sub", operator.isub: "sub", torch.sub: "sub", "sub": "sub", "sub_": "sub"}
_MUL = {operator.mul: "mul", operator.imul: "mul", torch.mul: "mul", "mul": "mul", "mul_": "mul"}
_DIV = {operator.truediv: "div", operator.itruediv: "div", torch.div: "div", "div": "div", "div_": "div"}
_CLIP = {torch.maximum: "max", torch.minimum: "min"}
_ARITH = ADD | _SUB | _MUL | _DIV | _CLIP
_RELU = {F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_"}
_TANH = {torch.tanh, F.tanh, "tanh", "tanh_"}
_DROP = {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, torch.dropout}
_CAST = {"float", "double", "to", "type", "contiguous", "clone", "detach"}
_FLAT = {torch.flatten, "flatten", "view", "reshape", torch.reshape}
_SHAPE = {"size", "dim"}
REASONS = {
    "LayerNorm": "it needs all units' exact values at once, which no single spiking unit has; "
    "convert with hybrid=True to run it on decoded values, or train a ReLU trunk",
    "Tanh": "its output is signed and saturates, which a firing rate can't express; "
    "convert with hybrid=True to run it on decoded values, or leave a final tanh to the caller",
    "MaxPool2d": "the largest of several rates is not the rate of any one spike train; use AvgPool2d or a stride",
    "cat": "concatenation joins branches; only a chain of layers converts",
}
REASONS |= {"max_pool2d": REASONS["MaxPool2d"], "concat": REASONS["cat"], "stack": REASONS["cat"]}


def refused(kind: str, name: str) -> ConversionError:
    """The error for an operation of this kind."""
    reason = REASONS.get(kind, "only ReLU networks of Conv2d, Linear and AvgPool2d convert to firing rates")
    return ConversionError(f"{kind} '{name}' can't be converted: {reason}")


def is_shape(node) -> bool:
    """Does this node hold sizes, not values?"""
    if not isinstance(node, torch.fx.Node):
        return False
    if node.op == "call_method" and node.target in _SHAPE or node.target is len:
        return True
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim", "device", "dtype")
    return node.op == "call_function" and any(is_shape(arg) for arg in node.all_input_nodes)


def label(node) -> str:
    """What a node calls, for messages."""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def op_of(node: torch.fx.Node, source: nn.Module) -> Op | None:
    """The operation of a traced node; None for one that changes nothing. Raises ConversionError."""
    if node.op == "call_module":
        return _module_op(node.target, source.get_submodule(node.target))
    return _function_op(node, source)


def _module_op(name: str, m: nn.Module) -> Op | None:
    if isinstance(m, (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)):
        return None
    if type(m) is nn.Conv2d:
        if m.padding_mode != "zeros":
            raise ConversionError(f"Conv2d '{name}' pads with padding_mode={m.padding_mode!r}; only zeros convert")
        padding = m.padding if isinstance(m.padding, str) else list(m.padding)
        args = {"stride": list(m.stride), "padding": padding, "dilation": list(m.dilation), "groups": m.groups}
        return Op("conv2d", name, args, _parameters(m, "weight", "bias"))
    if type(m) is nn.Linear:
        return Op("linear", name, {}, _parameters(m, "weight", "bias"))
    if type(m) is nn.ReLU:
        return Op("relu", name)
    if type(m) is nn.Flatten:
        return _flatten(name, m.start_dim, m.end_dim)
    if type(m) is nn.AvgPool2d:
        return _avgpool(name, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override)
    if type(m) in (nn.BatchNorm1d, nn.BatchNorm2d):
        return _batchnorm(name, m)
    if type(m) is nn.LayerNorm:
        args = {"normalized_shape": list(m.normalized_shape), "eps": m.eps}
        return Op("layernorm", name, args, _parameters(m, "weight", "bias"))
    if type(m) is nn.Tanh:
        return Op("tanh", name)
    raise refused(type(m).__name__, name)


def _parameters(m, *keys) -> dict:
    return {key: getattr(m, key).detach().clone() for key in keys if getattr(m, key) is not None}


def _batchnorm(name, m) -> Op:
    if m.running_mean is None:
        raise ConversionError(f"BatchNorm '{name}' keeps no running statistics, so it has no fixed scale to fold")
    ones = torch.ones_like(m.running_var)
    tensors = {
        "mean": m.running_mean.detach().clone(),
        "var": m.running_var.detach().clone(),
        "weight": ones if m.weight is None else m.weight.detach().clone(),
        "bias": 0 * ones if m.bias is None else m.bias.detach().clone(),
    }
    return Op("batchnorm", name, {"eps": m.eps}, tensors)


def _flatten(name, start, end) -> Op:
    if start != 1 or end != -1:
        raise ConversionError(f"'{name}' does not flatten everything but the batch; only that converts")
    return Op("flatten", name)


def _pair(value):
    if isinstance(value, str):  # a convolution's "same" or "valid"
        return value
    return list(value) if isinstance(value, (tuple, list)) else [value, value]


def _avgpool(
    name, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
) -> Op:
    args = {
        "kernel_size": _pair(kernel),
        "stride": _pair(kernel if stride is None else stride),
        "padding": _pair(padding),
        "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad,
        "divisor_override": divisor_override,
    }
    return Op("avgpool2d", name, args)


def _function_op(node, source) -> Op | None:
    target = node.target
    if target in _RELU:
        return Op("relu", node.name)
    if target in _TANH:
        return Op("tanh", node.name)
    if target in _CAST:
        arguments = [*node.args, *node.kwargs.values()]
        if any(isinstance(arg, torch.dtype) and not arg.is_floating_point for arg in arguments):
            raise ConversionError(f"'{node.name}' casts to whole numbers, which is not linear")
        return None
    if target in _DROP:
        training = node.kwargs.get("training", node.args[2] if len(node.args) > 2 else True)
        if training:
            raise ConversionError(f"dropout '{node.name}' stays on in eval mode; pass training=self.training")
        return None
    if target in _FLAT:
        return _reshape(node)
    if target is F.avg_pool2d:
        return _avgpool(node.name, *node.args[1:], **node.kwargs)
    if target is F.linear:
        return Op("linear", node.name, {}, _arguments(node, source, ("weight", "bias")))
    if target in (F.conv2d, torch.conv2d):
        return _functional_conv(node, source)
    if target is F.layer_norm:
        shape = node.args[1] if len(node.args) > 1 else node.kwargs["normalized_shape"]
        eps = node.args[4] if len(node.args) > 4 else node.kwargs.get("eps", 1e-5)
        tensors = _arguments(node, source, ("weight", "bias"), first=2)
        return Op("layernorm", node.name, {"normalized_shape": list(shape), "eps": eps}, tensors)
    if target in _ARITH:
        return _arith(node, source)
    raise refused(label(node), node.name)


def _attribute(node, source) -> torch.Tensor:
    value = source
    for part in node.target.split("."):
        value = getattr(value, part)
    return value.detach().clone()


def _arguments(node, source, keys, first=1) -> dict:
    found = dict(zip(keys, node.args[first:])) | {k: v for k, v in node.kwargs.items() if k in keys}
    found = {key: value for key, value in found.items() if value is not None}
    for value in found.values():
        if not (isinstance(value, torch.fx.Node) and value.op == "get_attr"):
            raise ConversionError(f"'{node.name}' has weights that are computed, not stored; only stored ones convert")
    return {key: _attribute(value, source) for key, value in found.items()}


def _functional_conv(node, source) -> Op:
    names = ("stride", "padding", "dilation", "groups")
    given = dict(stride=1, padding=0, dilation=1, groups=1) | dict(zip(names, node.args[3:]))
    given |= {key: value for key, value in node.kwargs.items() if key in names}
    args = {key: given[key] if key == "groups" else _pair(given[key]) for key in names}
    return Op("conv2d", node.name, args, _arguments(node, source, ("weight", "bias")))


def _reshape(node) -> Op:
    if node.target in ("flatten", torch.flatten):
        positions = dict(zip(("start_dim", "end_dim"), node.args[1:])) | node.kwargs
        return _flatten(node.name, positions.get("start_dim", 0), positions.get("end_dim", -1))
    shape = node.kwargs.get("shape", node.args[1:])
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    keeps_batch = len(shape) == 2 and (is_shape(shape[0]) or shape[0] == -1) and shape[0] is not shape[1]
    if not keeps_batch or not (isinstance(shape[1], int) or is_shape(shape[1])):
        raise ConversionError(
            f"{label(node)} '{node.name}' does not flatten everything but the batch; only that converts"
        )
    return Op("flatten", node.name)


def _arith(node, source) -> Op:
    fn = _ARITH[node.target]
    if len(node.args) != 2:
        raise ConversionError(f"'{node.name}' names its operands by keyword, which input scaling does not convert")
    left, right = node.args
    # With the constant in front: c + x, c * x and c - x are input scaling as well, c / x is not.
    reverse = not isinstance(left, torch.fx.Node) or left.op == "get_attr"
    if reverse:
        left, right = right, left
        if fn == "div":
            raise ConversionError(f"'{node.name}' divides by an activation, which is not linear")
        fn = "rsub" if fn == "sub" else fn
    unknown = {key: value for key, value in node.kwargs.items() if not (key == "alpha" and value == 1)}
    if unknown:
        raise ConversionError(f"'{node.name}' uses {', '.join(unknown)}, which input scaling does not convert")
    if isinstance(right, torch.fx.Node):
        if right.op != "get_attr":
            raise ConversionError(
                f"'{node.name}' combines an activation with itself or its sizes; only constants convert"
            )
        value = _attribute(right, source)
    elif isinstance(right, torch.Tensor):
        value = right.detach().clone()
    elif isinstance(right, (int, float)) and math.isfinite(right):
        value = torch.tensor(right, dtype=torch.float64)
    else:
        raise ConversionError(f"'{node.name}' scales by {right!r}, which is not a finite number")
    if not value.is_floating_point():
        value = value.double()
    return Op("arith", node.name, {"fn": fn}, {"value": value})
