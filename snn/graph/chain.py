"""A converted module's structure: its operations in order, and how they split into spiking layers."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from snn.errors import ConversionError
from snn.graph.ops import ANALOG, INPUT_ONLY, WEIGHTED, Op


@dataclass
class Stage:
    """One spiking layer: the linear operations that make its input current; a neuron follows."""

    name: str
    ops: list[Op]


@dataclass
class Segment:
    """A run of spiking layers: analog operations on its input, the layers, linear operations on the decoded output."""

    pre: list[Op] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    readout: list[Op] = field(default_factory=list)


class Chain:
    """Operations in order. Raises ConversionError where their order can't be converted."""

    def __init__(self, ops: list[Op]) -> None:
        self.ops = _relu_before_flatten(_fold_batchnorm(ops))
        _check_order(self.ops)
        self.segments = _split(self.ops)

    @property
    def stages(self) -> list[Stage]:
        return [stage for segment in self.segments for stage in segment.stages]

    @property
    def hybrid(self) -> bool:
        return any(op.kind in ANALOG for op in self.ops)

    @property
    def dtype(self) -> torch.dtype:
        return self._first_weight.dtype

    @property
    def device(self) -> torch.device:
        return self._first_weight.device

    @property
    def _first_weight(self) -> Tensor:
        return next(op.tensors["weight"] for op in self.ops if op.kind in WEIGHTED)

    def to(self, device=None, dtype=None) -> "Chain":
        return Chain([op.to(device, dtype) for op in self.ops])

    def ann(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The source network itself: its output and the output of each ReLU, in order. x [B, ...] of this dtype."""
        relus = []
        for op in self.ops:
            x = op(x)
            if op.kind == "relu":
                relus.append(x)
        return x, relus


def _fold_batchnorm(ops: list[Op]) -> list[Op]:
    """BatchNorm behind a convolution or linear layer becomes part of its weights; in front of all, a scaling."""
    out: list[Op] = []
    for op in ops:
        if op.kind != "batchnorm":
            out.append(op)
            continue
        t = {key: value.double() for key, value in op.tensors.items()}
        scale = t["weight"] / torch.sqrt(t["var"] + op.args["eps"])
        shift = t["bias"] - t["mean"] * scale
        if out and out[-1].kind in WEIGHTED:
            out[-1] = _scaled(out[-1], scale, shift)
        elif all(before.kind not in WEIGHTED for before in out):
            dtype = op.tensors["mean"].dtype
            out.append(Op("scale_shift", op.name, {}, {"scale": scale.to(dtype), "shift": shift.to(dtype)}))
        else:
            raise ConversionError(
                f"BatchNorm '{op.name}' does not directly follow a Conv2d or Linear, so it can't be folded into one; "
                "put it between the layer and its ReLU"
            )
    return out


def _scaled(op: Op, scale: Tensor, shift: Tensor) -> Op:
    weight = op.tensors["weight"]
    bias = op.tensors.get("bias", torch.zeros_like(weight[:, 0].flatten(1)[:, 0] if weight.dim() > 2 else weight[:, 0]))
    by_output = scale.view(-1, *[1] * (weight.dim() - 1))
    folded = {
        "weight": (weight.double() * by_output).to(weight.dtype),
        "bias": (bias.double() * scale + shift).to(weight.dtype),
    }
    return Op(op.kind, op.name, op.args, folded)


def _relu_before_flatten(ops: list[Op]) -> list[Op]:
    # Both orders mean the same; with the ReLU first, a convolution's thresholds stay one per channel.
    ops = list(ops)
    for i in range(1, len(ops)):
        j = i
        while ops[j].kind == "relu" and j > 0 and ops[j - 1].kind == "flatten":
            ops[j - 1], ops[j] = ops[j], ops[j - 1]
            j -= 1
    return ops


def _check_order(ops: list[Op]) -> None:
    if not any(op.kind == "relu" for op in ops):
        raise ConversionError("there is nothing to convert: the module holds no ReLU")
    weighted: Op | None = None  # the layer still waiting for its ReLU
    seen_weights = False
    for op in ops:
        if op.kind in WEIGHTED:
            if weighted is not None:
                raise ConversionError(
                    f"'{weighted.name}' feeds '{op.name}' with no ReLU between them, so there is no neuron to convert; "
                    "merge the two layers or put a ReLU between them"
                )
            weighted, seen_weights = op, True
        elif op.kind in INPUT_ONLY and seen_weights:
            raise ConversionError(f"scaling '{op.name}' comes after the first layer; only input scaling converts")
        elif op.kind == "relu":
            if weighted is None:
                raise ConversionError(f"ReLU '{op.name}' has no Conv2d or Linear of its own before it")
            weighted = None
        elif op.kind in ANALOG:
            weighted = None


def _split(ops: list[Op]) -> list[Segment]:
    segments, pending = [Segment()], []
    for op in ops:
        current = segments[-1]
        if op.kind == "relu":
            name = next(o.name for o in pending if o.kind in WEIGHTED)
            current.stages.append(Stage(name, pending))
            pending = []
        elif op.kind in ANALOG and (current.stages or pending):
            current.readout, pending = pending, []
            segments.append(Segment(pre=[op]))
        elif not current.stages and not pending and op.kind not in WEIGHTED:
            current.pre.append(op)
        else:
            pending.append(op)
    segments[-1].readout = pending
    return segments
