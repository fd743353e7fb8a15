"""A module as a graph of operations, each in the place that its source has in the user's module."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from snn.checks import ConversionError, Movable
from snn.graph.nodes import refused
from snn.graph.operations import HYBRID, SQUASHING, Op

Outputs = Any  # a value's number, or a list, tuple or dict of such


@dataclass(frozen=True)
class Node:
    """Value i of a graph (value 0 is its input): what `path` computes from the values `inputs`."""

    path: str
    inputs: tuple[int, ...]


class Container(nn.Module):
    """Stands for a module of the source that holds others."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def _get_name(self) -> str:
        return self._title


class Graph(Container, Movable):
    """The operations as submodules under the source's names, and how values flow through them.

    titles   names of the source's classes by the paths of its modules
    nodes    in order; node n makes value n + 1
    outputs  numbers of the values that the module returns, structured as it returns them
    """

    def __init__(self, titles: dict[str, str]) -> None:
        super().__init__(titles[""])
        self._titles = titles
        self.nodes: list[Node] = []
        self._places: list[tuple[nn.Module, str]] = []  # where each node's module stands: a look-up by path takes time
        self.outputs: Outputs = 0

    def append(self, path: str, op: nn.Module, inputs: tuple[int, ...]) -> int:
        """Put `op` at `path`, or near it if that place is taken. Returns the number of its value."""
        while self._taken(path):
            path += "_"
        holder: nn.Module = self
        *above, name = path.split(".")
        for depth, part in enumerate(above):
            if part not in holder._modules:
                holder.add_module(part, Container(self._titles.get(".".join(above[: depth + 1]), "Module")))
            holder = holder.get_submodule(part)
        holder.add_module(name, op)
        self.nodes.append(Node(path, inputs))
        self._places.append((holder, name))
        return len(self.nodes)

    def _taken(self, path: str) -> bool:
        known = [node.path for node in self.nodes]
        inside = any(other == path or other.startswith(f"{path}.") or path.startswith(f"{other}.") for other in known)
        return inside or hasattr(self, path.split(".")[0]) and path.split(".")[0] not in self._modules

    def op(self, value: int) -> Any:
        """What computes this value."""
        holder, name = self._places[value - 1]
        return holder._modules[name]

    def inputs(self, value: int) -> tuple[int, ...]:
        """The values that this one is computed from."""
        return self.nodes[value - 1].inputs if value else ()

    def versions(self) -> list[tuple[int, int, int]]:
        """What tells whether a module or a tensor is another one, or has been changed, since the last look."""
        modules = (holder._modules[name] for holder, name in self._places)
        return [
            (id(module), id(buffer), buffer._version)
            for module in modules
            for buffer in module._buffers.values()  # type: ignore[union-attr]  # a place is never empty
            if buffer is not None
        ]

    @property
    def values(self) -> range:
        """All values but the input, in order."""
        return range(1, len(self.nodes) + 1)

    @property
    def neurons(self) -> list[int]:
        """The ReLUs, or what stands in their places, in order."""
        return [value for value in self.values if self.op(value).kind == "relu"]

    @property
    def weighted(self) -> Iterator[Op]:
        """The layers with weights, in order."""
        return (op for value in self.values if (op := self.op(value)).weighted)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.weighted).weight.dtype

    @property
    def device(self) -> torch.device:
        return next(self.weighted).weight.device

    def users(self, value: int) -> list[int]:
        """Values that are computed from this one."""
        return [user for user in self.values if value in self.inputs(user)]

    def source_layer(self, neuron: int) -> tuple[str, str]:
        """Name and kind of the nearest layer with weights before a neuron, if there is exactly one way back to it; the
        neuron's own name and "sum" where several branches reach it."""
        value = neuron
        while len(inputs := self.inputs(value)) == 1 and inputs[0]:
            value = inputs[0]
            op = self.op(value)
            if op.weighted:
                return op.name, op.kind
            if not op.linear:
                break
        return self.nodes[neuron - 1].path, "sum"

    def channels(self, neuron: int) -> int | None:
        """How many channels or units reach a neuron, where its layer tells."""
        (value,) = self.inputs(neuron)
        op = self.op(value) if value else None
        if op is None or not op.weighted:
            return None
        return op.weight.shape[1] * op.args["groups"] if op.transposed else len(op.weight)

    def ann(self, x: Tensor) -> dict[int, Tensor]:
        """The source network itself: all values by number. x [B, ...] in dtype."""
        values = {0: x}
        for value in self.values:
            op, inputs = self.op(value), [values[i] for i in self.inputs(value)]
            values[value] = op(*inputs) if isinstance(op, Op) else inputs[0].clamp(0, op.ceiling)
        return values

    def pick(self, values: dict[int, Tensor]) -> Any:
        """The outputs among the values, structured as the module returns them."""
        if isinstance(self.outputs, int):  # for which a walk through structures takes too long
            return values[self.outputs]
        return pytree.tree_map(values.__getitem__, self.outputs)


@dataclass(frozen=True)
class Phase:
    """A run of layers that spike at the same time.

    exact    values that are known before the first step: the input, what follows from it without weights, and what
             hybrid networks compute from the decoded values of the phase before
    neurons  the layers, in order
    decoded  values whose means later phases or the outputs need
    known    values that are known when it begins
    """

    exact: list[int]
    neurons: list[int]
    decoded: list[int]
    known: set[int]


def phases(graph: Graph) -> list[Phase]:
    """The phases in order. Values cross from one to the next by their means alone."""
    neurons, phase, exact = set(graph.neurons), {0: 0}, {0: True}
    for value in graph.values:
        op, inputs = graph.op(value), graph.inputs(value)
        phase[value] = max(phase[i] for i in inputs)
        known = all(exact[i] or phase[i] < phase[value] for i in inputs)
        if value in neurons:
            exact[value] = False
        elif op.linear:
            exact[value] = known and not op.weighted
        else:
            exact[value] = True
            phase[value] += not known
    needed = set(pytree.tree_leaves(graph.outputs))
    needed |= {i for value in graph.values for i in graph.inputs(value) if phase[i] < phase[value]}
    result = []
    for number in range(max(phase.values()) + 1):
        here = [value for value in graph.values if phase[value] == number]
        spiking = [value for value in here if not exact[value]]
        result.append(
            Phase(
                exact=[value for value in here if exact[value]],
                neurons=[value for value in spiking if value in neurons],
                decoded=[value for value in spiking if value in needed],
                known={value for value in phase if phase[value] < number or (exact[value] and phase[value] == number)},
            )
        )
    return result


def between(graph: Graph, start: int, phase: Phase) -> tuple[list[int], list[int]]:
    """Where a phase's value comes from: the values that are known or spike, and those in between, in order."""
    needed = {start}
    sources: list[int] = []
    inner: list[int] = []
    for value in range(start, -1, -1):
        if value in needed and (value in phase.known or value in phase.neurons):
            sources.insert(0, value)
        elif value in needed:
            inner.insert(0, value)
            needed.update(graph.inputs(value))
    return sources, inner


def analog_inside(graph: Graph) -> Iterator[Op]:
    """Operations that are neither linear nor a ReLU, and neither on the observation nor behind the last layer."""
    layers = {value for value in graph.values if graph.op(value).weighted or graph.op(value).kind == "relu"}
    after, before = set(layers), set[int]()  # values that layers reach, and those that reach layers
    for value in graph.values:
        if after.intersection(graph.inputs(value)):
            after.add(value)
    for value in reversed(graph.values):
        if value in layers or value in before:
            before.update(graph.inputs(value))
    for value in sorted(after - layers):
        op = graph.op(value)
        if not op.linear and (op.kind not in SQUASHING or value in before):
            yield op


def check(graph: Graph, hybrid: bool) -> None:
    """Raises ConversionError, naming it, for an operation that can't be converted where it is."""
    if not graph.neurons:
        raise ConversionError("there is nothing to convert: the module holds no ReLU")
    for op in analog_inside(graph):
        if op.kind not in HYBRID or not hybrid:
            raise refused(op.kind, op.name)
