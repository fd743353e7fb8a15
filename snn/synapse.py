"""The linear map from one layer's spikes to the next layer's current, prepared for speed.

Units are kept flat, [N, units], in the order in which a channels-last convolution writes them (height, width,
channel), so that no layer has to be transposed on the way.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from snn.cpu import events
from snn.errors import ConversionError
from snn.graph.ops import WEIGHTED, Op, Shape


def flatten(x: Tensor) -> Tensor:
    """[N, C, H, W] or [N, units] -> [N, units], units in memory order."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1) if x.dim() == 4 else x


def unflatten(x: Tensor, shape: Shape) -> Tensor:
    """The inverse: [..., units] -> [..., C, H, W] or [..., units], without a copy."""
    if len(shape) == 1:
        return x
    c, h, w = shape
    return x.unflatten(-1, (h, w, c)).movedim(-1, -3)


def per_unit(values: Tensor, shape: Shape) -> Tensor:
    """One value per channel (or unit) -> one per unit, in memory order."""
    return values.repeat(shape[1] * shape[2]) if len(shape) == 3 else values


class Synapse:
    """A stage's linear operations, without bias, and what follows from them.

    in_shape, out_shape  logical shapes
    analog   does it take the network's input (or decoded values), the same at all steps?
    bias     [units out] current that flows without any input, in `state_dtype`
    scale    if given, one factor per input channel (unit), multiplied into the weights
    dtype    precision of weights and inputs
    """

    def __init__(
        self, ops: list[Op], in_shape: Shape, device, dtype, state_dtype, scale: Tensor | None = None, analog=False
    ) -> None:
        self.analog = analog
        self.in_shape = in_shape
        self.dtype = dtype
        self._ops = ops
        self._steps = []
        x, shape = torch.zeros(1, *in_shape, device=device, dtype=state_dtype), in_shape
        self.largest = 0  # values per input that the largest intermediate or final result holds
        for op in ops:
            op = op.to(device, state_dtype)
            x = apply(op, x)
            self.largest = max(self.largest, x.numel())
            if op.kind != "flatten":  # a linear layer behind it takes its input as it lies in memory
                self._steps.append(_prepared(op, shape, dtype, scale))
                scale = None if op.kind in WEIGHTED else scale
                shape = tuple(x.shape[1:])
        if x.dim() not in (2, 4):
            raise ConversionError(f"{ops[-1].name} puts out {x.dim() - 1}-d values; only (C, H, W) and flat convert")
        self.out_shape: Shape = tuple(x.shape[1:])
        self.bias = flatten(x)[0].contiguous()
        # bfloat16 is asked for where the processor multiplies it many times faster: dense wins there.
        eventful = not analog and dtype is state_dtype and len(self._steps) == 1
        self._of_events = (
            events.prepared(self._steps[0], self.bias.device, in_shape, self.out_shape) if eventful else None
        )

    @property
    def event_driven(self) -> bool:
        """Whether it takes spikes as events: if so, call `of_events`."""
        return self._of_events is not None

    def of_events(self, spikes: events.Events) -> Tensor:
        """W x for the spikes of S steps of R rows -> [S, R, units out] in memory order, contiguous; undefined in rows that
        aren't active."""
        return self._of_events(spikes)

    def __call__(self, x: Tensor) -> Tensor:
        """W x for inputs [N, units in] in memory order -> [N, units out] in memory order, contiguous."""
        x = unflatten(x, self.in_shape)
        for op in self._steps:
            x = F.linear(flatten(x), op.tensors["weight"]) if op.kind == "linear" else op(x, bias=False)
        return flatten(x).contiguous()

    def fan_out(self) -> Tensor:
        """Synapses of each input unit, [units in], int32, on the CPU: borders and strides counted exactly."""
        x = torch.zeros(1, *self.in_shape, requires_grad=True)
        with torch.enable_grad():
            y = x
            for op in self._ops:
                y = _ones(op)(y)
            y.sum().backward()
        return flatten(x.grad)[0].round().to(torch.int32).contiguous()


def apply(op: Op, x: Tensor) -> Tensor:
    """`op(x)`, with a ConversionError that names the layer if the shape does not fit."""
    try:
        return op(x)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ConversionError(f"'{op.name}' can't take an input of shape {tuple(x.shape[1:])}: {reason}") from error


def _prepared(op: Op, shape: Shape, dtype, scale: Tensor | None) -> Op:
    if op.kind not in WEIGHTED:
        return op
    weight = op.tensors["weight"]
    if scale is not None:
        weight = _scaled_inputs(weight, scale, op, shape)
    if op.kind == "linear" and len(shape) == 3:
        weight = flatten(weight.view(-1, *shape))  # columns in memory order: the input needs no transposing
    layout = torch.channels_last if op.kind == "conv2d" else torch.contiguous_format
    return Op(op.kind, op.name, op.args, {"weight": weight.to(dtype).contiguous(memory_format=layout)})


def _ones(op: Op) -> Op:
    # With every weight 1 and a pool that sums, the gradient of the output's sum is the number of connections.
    if op.kind in WEIGHTED:
        return Op(op.kind, op.name, op.args, {"weight": torch.ones(op.tensors["weight"].shape)})
    if op.kind == "avgpool2d":
        return Op(op.kind, op.name, op.args | {"divisor_override": 1})
    return op


def _scaled_inputs(weight: Tensor, scale: Tensor, op: Op, shape: Shape) -> Tensor:
    if op.kind == "linear":
        return weight * (scale.repeat_interleave(shape[1] * shape[2]) if len(shape) == 3 else scale)
    groups = op.args["groups"]
    by_output = scale.view(groups, -1).repeat_interleave(weight.shape[0] // groups, dim=0)
    return weight * by_output[:, :, None, None]
