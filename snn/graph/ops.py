"""The few operations that a traced module may hold, as plain data: a kind, numbers, tensors.

Plain data can be saved without pickle, moved, rescaled and run with or without its bias.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, ...]  # (C, H, W) or (units,)

WEIGHTED = ("conv2d", "linear")
ANALOG = ("layernorm", "tanh")  # not linear, not ReLU: only a hybrid network runs them, on decoded values
INPUT_ONLY = ("arith", "scale_shift")


@dataclass
class Op:
    """One operation.

    kind     conv2d | linear | avgpool2d | flatten | arith | scale_shift | relu | layernorm | tanh, or batchnorm until
             it is folded
    name     the module's name in the source, or the traced node's
    args     numbers and names, JSON-able
    tensors  weights; keys are fixed per kind
    """

    kind: str
    name: str
    args: dict = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def __call__(self, x: Tensor, bias: bool = True) -> Tensor:
        return _FORWARD[self.kind](self, x, bias)

    def to(self, device=None, dtype=None) -> "Op":
        """A copy with its tensors on `device` in `dtype`."""
        moved = {key: value.detach().to(device=device, dtype=dtype, copy=True) for key, value in self.tensors.items()}
        return Op(self.kind, self.name, dict(self.args), moved)


def _conv2d(op, x, bias):
    a = op.args
    b = op.tensors.get("bias") if bias else None
    return F.conv2d(x, op.tensors["weight"], b, a["stride"], a["padding"], a["dilation"], a["groups"])


def _linear(op, x, bias):
    return F.linear(x, op.tensors["weight"], op.tensors.get("bias") if bias else None)


def _avgpool2d(op, x, bias):
    a = op.args
    return F.avg_pool2d(
        x, a["kernel_size"], a["stride"], a["padding"], a["ceil_mode"], a["count_include_pad"], a["divisor_override"]
    )


_ARITH = {
    "add": torch.add,
    "sub": torch.sub,
    "rsub": torch.rsub,
    "mul": torch.mul,
    "div": torch.div,
    "max": torch.maximum,
    "min": torch.minimum,
}


def _arith(op, x, bias):
    return _ARITH[op.args["fn"]](x, op.tensors["value"])


def _scale_shift(op, x, bias):
    shape = (1, -1) + (1,) * (x.dim() - 2)
    return x * op.tensors["scale"].view(shape) + op.tensors["shift"].view(shape)


def _layernorm(op, x, bias):
    return F.layer_norm(
        x, op.args["normalized_shape"], op.tensors.get("weight"), op.tensors.get("bias"), op.args["eps"]
    )


_FORWARD = {
    "conv2d": _conv2d,
    "linear": _linear,
    "avgpool2d": _avgpool2d,
    "flatten": lambda op, x, bias: x.flatten(1),
    "arith": _arith,
    "scale_shift": _scale_shift,
    "relu": lambda op, x, bias: torch.relu(x),
    "layernorm": _layernorm,
    "tanh": lambda op, x, bias: torch.tanh(x),
}

KINDS = tuple(_FORWARD)
