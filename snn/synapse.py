"""The linear map from spikes to the next layer's current, prepared for speed."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from snn.cpu import events
from snn.graph.graph import Graph
from snn.graph.operations import Op, Shape
from snn.memory_layout import flatten, unflatten

_POOLING = ("flatten", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d")


class Synapse:
    """A chain of linear operations from one source, without bias, and what follows from them.

    zeros        [1, ...] an input of zeros, on the device and in the dtype of all but weights
    dtype        precision of weights and inputs
    scale        if given, one factor per input channel (unit), multiplied into the weights
    analog       does it take values that are the same at all steps, not spikes?
    bias         [units out] current that flows without any input
    largest      values per environment that the largest intermediate or final result holds
    owns_result  is the result never the input itself, so that it may be overwritten?
    of_events    as `snn.cpu.events.prepared` gives it; None: it takes spikes at full length
    """

    def __init__(
        self, ops: Sequence[Op], zeros: Tensor, dtype: torch.dtype, scale: Tensor | None = None, analog: bool = False
    ) -> None:
        self.dtype, self.owns_result = dtype, any(op.weighted for op in ops)
        self._in_shape: Shape = tuple(zeros.shape[1:])
        self._steps: list[tuple[Op, Tensor | None]] = []
        x, shape = zeros, self._in_shape
        self.largest = 0
        for op, following in itertools.zip_longest(ops, ops[1:]):
            x = op(x)
            self.largest = max(self.largest, x.numel())
            if op.kind != "flatten" or following is None or following.kind != "linear":
                self._steps.append((op, _prepared(op, shape, dtype, scale)))
                scale = None if op.weighted else scale
                shape = tuple(x.shape[1:])
        self.bias = flatten(x)[0].contiguous()
        # bfloat16 is asked for where the processor multiplies it many times faster: dense wins there.
        self.of_events: Callable[[events.Events], Tensor] | None = None
        if not analog and dtype is zeros.dtype and len(self._steps) == 1:
            self.of_events = events.prepared(*self._steps[0], zeros.device, self._in_shape, tuple(x.shape[1:]))

    def __call__(self, sources: dict[int, Tensor]) -> Tensor:
        """W x of the only source's [N, units in] -> [N, units out], both in memory order, contiguous."""
        (x,) = sources.values()
        x = unflatten(x, self._in_shape)
        for op, weight in self._steps:
            if weight is None:
                x = op(x, bias=False)
            else:  # torch's functions of weights are called as their kinds are
                x = flatten(x) if op.kind == "linear" else x
                x = getattr(F, op.kind)(x.to(weight.dtype), weight, None, **op.args)
        return flatten(x).contiguous()


class Junction:
    """Linear operations that join several sources, or one in several ways. As a `Synapse`, but for its inputs.

    zeros    zeros [1, ...] of the shape of each value of the graph
    sources  the values that it takes; inner: those between, in order; current: the last, or a source itself
    """

    of_events, owns_result = None, False

    def __init__(
        self, graph: Graph, zeros: dict[int, Tensor], sources: list[int], inner: list[int], current: int
    ) -> None:
        self._between = [(value, graph.op(value), graph.inputs(value)) for value in inner]
        self._sources, self._current = sources, current
        values = self._values({value: zeros[value] for value in sources}, bias=True)
        self._shapes: dict[int, Shape] = {value: tuple(x.shape[1:]) for value, x in values.items()}
        self.dtype, self.largest = values[current].dtype, sum(values[value].numel() for value in inner)
        self.bias = flatten(values[current])[0].contiguous()

    def _values(
        self, given: dict[int, Any], bias: bool, compute: Callable[..., Tensor] = Op.__call__
    ) -> dict[int, Any]:
        """All values from those of the sources (None: it sends nothing), None where nothing reaches."""
        values = dict(given)
        for value, op, inputs in self._between:
            known = [values[i] for i in inputs]
            like = next((x for x in known if x is not None), None)
            if like is None:
                values[value] = None
            elif op.kind in ("add", "sub", "cat") and any(x is None for x in known):
                blank = (like.new_zeros(len(like), *self._shapes[i]) for i in inputs)
                values[value] = op(*(zeros if x is None else x for x, zeros in zip(known, blank, strict=True)))
            else:
                values[value] = compute(op, *known, bias=bias)
        return values

    def __call__(self, sources: dict[int, Tensor]) -> Tensor:
        """The current, without bias, of the sources given, each [N, units] in memory order; the others send nothing."""
        given = {i: unflatten(sources[i], self._shapes[i]) if i in sources else None for i in self._sources}
        return flatten(self._values(given, bias=False)[self._current]).contiguous()

    def fan_out(self, source: int) -> Tensor:
        """Synapses of each unit of one source, [units], int32, on the CPU: borders and strides counted."""
        # With every weight 1 and a pool that sums, the gradient of the output's sum is the number of connections.
        with torch.inference_mode(False), torch.enable_grad():
            x = torch.zeros(1, *self._shapes[source], requires_grad=True)
            given = {i: x if i == source else None for i in self._sources}
            current = self._values(given, bias=True, compute=_connections)[self._current]
            (reached,) = torch.autograd.grad(current.sum(), x)
        return flatten(reached)[0].round().to(torch.int32).contiguous()


def _prepared(op: Op, shape: Shape, dtype: torch.dtype, scale: Tensor | None) -> Tensor | None:
    """The weight as the fast way wants it."""
    if not op.weighted:
        return None
    weight = op.weight if scale is None else _scaled_inputs(op, scale)
    if op.kind == "linear" and len(shape) > 1:
        weight = flatten(weight.view(-1, *shape))  # columns in memory order: the input needs no transposing
    layout = torch.channels_last if op.kind == "conv2d" else torch.contiguous_format
    return weight.to(dtype).contiguous(memory_format=layout)


def takes_scale(ops: Sequence[Op]) -> bool:
    """Can one factor per input channel be multiplied into these operations' first weights?"""
    for op in ops:
        if op.weighted:
            return not op.transposed
        if op.kind not in _POOLING or op.args.get("start", 1) != 1:
            return False
    return False


def _connections(op: Op, *inputs: Tensor, bias: bool) -> Tensor:
    """The operation with every weight 1, and sums for means (of pools that adapt, if their windows are equal)."""
    x = inputs[0]
    if op.weighted:
        return op.replaced(weight=torch.ones(op.weight.shape))(x)
    if op.kind == "arith":
        return x + torch.zeros(op.value.shape)  # as wide as it makes what it is applied to
    if op.kind == "mean":
        return x.sum(**op.args)
    if op.kind in ("avg_pool2d", "avg_pool3d"):
        return Op(op.kind, op.name, op.args | {"divisor_override": 1})(x)
    result = x if op.kind == "scale_shift" else op(*inputs)
    if "pool" in op.kind:
        result *= op.args["kernel_size"][0] if op.kind == "avg_pool1d" else x[0, 0].numel() / result[0, 0].numel()
    return result


def _scaled_inputs(op: Op, scale: Tensor) -> Tensor:
    if op.kind == "linear":
        return op.weight * scale.repeat_interleave(op.weight.shape[1] // len(scale))
    weight, groups = op.weight, op.args["groups"]
    by_output = scale.view(groups, -1).repeat_interleave(weight.shape[0] // groups, dim=0)
    return weight * by_output[(..., *[None] * (weight.dim() - 2))]
