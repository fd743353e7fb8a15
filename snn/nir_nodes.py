"""The nodes and edges of a NIR graph, from a graph of operations and layers of IF neurons."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from snn.checks import ConversionError
from snn.graph.graph import Graph
from snn.graph.operations import Op, Shape


class Sum(NamedTuple):
    """A value: the sum of what nodes put out, times `scale`, plus `shift`, each per channel or unit.

    What scales: the input's preprocessing before the first layer, thresholds behind a layer of neurons.
    """

    nodes: list[str]
    scale: Tensor
    shift: Tensor


class Writer:
    """Builds nodes with the module `nir`, for observations of `shape`.

    Every threshold is 1: the weights into a layer are divided by its thresholds and those behind are multiplied by
    them.
    """

    def __init__(self, nir: Any, graph: Graph, shape: Shape) -> None:
        self._nir, self._graph = nir, graph
        self._nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array(shape)})}
        self._edges: list[tuple[str, str]] = []
        with torch.no_grad():
            zeros = torch.zeros(1, *shape, dtype=graph.dtype, device=graph.device)
            self._shapes = {value: tuple(x.shape[1:]) for value, x in graph.ann(zeros).items()}
        # What a value must be multiplied by, per channel, for the neurons behind it.
        self._factor: dict[int, Tensor] = {}
        for neuron in graph.neurons:
            self._fold(graph.inputs(neuron)[0], _inverse(graph.op(neuron).theta))
        self._sums = {0: self._plain(0, ["input"])}
        for value in graph.values:
            self._sums[value] = self._written(value)

    def graph(self, metadata: dict[str, Any]) -> Any:
        """The finished `nir.NIRGraph`. Raises ConversionError where NIR's own type check refuses it."""
        output = self._graph.outputs
        if not isinstance(output, int):
            raise ConversionError("NIR can't represent several outputs; convert with output=...")
        self._nodes["output"] = self._nir.Output(output_type={"output": np.array(self._shapes[output])})
        self._connect(self._times(output), "output")
        try:
            return self._nir.NIRGraph(self._nodes, self._edges, metadata=metadata)
        except ValueError as error:
            raise ConversionError(f"NIR's types refuse this network: {' '.join(str(error).split())}") from error

    def _fold(self, value: int, factor: Tensor) -> bool:
        """Have a value come multiplied by `factor` from the weights before it, if no one else uses it. Can it?"""
        op, inputs = self._graph.op(value) if value else None, self._graph.inputs(value)
        if op is None or len(self._graph.users(value)) > 1:
            return False
        if op.kind == "add":  # what a branch can't fold gets a node of its own
            for i in inputs:
                self._fold(i, factor)
        elif not (op.weighted or (op.kind == "avg_pool2d" and self._fold(inputs[0], factor))):
            return False
        self._factor[value] = factor
        return True

    # --- nodes -------------------------------------------------------------------------------------------------

    def _add(self, kind: str, node: Any, sources: list[str]) -> list[str]:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes[name] = node
        self._connect(sources, name)
        return [name]

    def _connect(self, sources: list[str], name: str) -> None:
        self._edges += [(source, name) for source in sources]

    def _plain(self, value: int, nodes: list[str]) -> Sum:
        ones = torch.ones(self._shapes[value][0], dtype=torch.float64)
        return Sum(nodes, ones, 0 * ones)

    def _times(self, value: int, factor: Tensor | float = 1.0) -> list[str]:
        """Nodes whose sum is the value times `factor` per channel."""
        nodes, scale, shift = self._sums[value]
        if shift.any():
            raise ConversionError("NIR can't represent a shift that no layer with weights follows")
        total = scale * factor
        if (total == 1).all():
            return nodes
        # A diagonal of weights: few simulators know NIR's Scale.
        size = self._shapes[value][1:]
        weight = torch.diag(total).view(len(total), len(total), *[1] * len(size))
        return self._add("scale", self._layer(weight, torch.zeros_like(total), size), nodes)

    def _layer(self, weight: Tensor, bias: Tensor, size: Shape, **geometry: Any) -> Any:
        """A node of weights and bias, for images of this size or, without one, vectors."""
        arrays = {
            key: values.to(self._graph.dtype).contiguous().cpu().numpy()
            for key, values in (("weight", weight), ("bias", bias))
        }
        if not size:
            return self._nir.Affine(**arrays)
        plain = {key: (value,) * len(size) for key, value in (("stride", 1), ("padding", 0), ("dilation", 1))}
        given = plain | geometry | {"input_shape": size}
        given = {key: tuple(value) if len(size) > 1 else value[0] for key, value in given.items()}
        return getattr(self._nir, f"Conv{len(size)}d")(**arrays, **given, groups=1)

    def _written(self, value: int) -> Sum:
        """Writes a value's nodes."""
        op, inputs = self._graph.op(value), self._graph.inputs(value)
        source = self._sums[inputs[0]]
        if op.kind == "relu":
            return self._neurons(value, op.theta.double().cpu())
        if op.kind in ("arith", "scale_shift"):
            return self._scaled(source, op, self._shapes[inputs[0]])
        if op.kind == "flatten" and op.args["start"] == 1:
            return self._flattened(source, self._shapes[inputs[0]])
        if op.kind == "avg_pool2d":
            args, padded = op.args, any(op.args["padding"])
            odd = (
                args["ceil_mode"] or args["divisor_override"] is not None or (padded and not args["count_include_pad"])
            )
            if odd or (padded and source.shift.any()):
                raise ConversionError(
                    f"NIR can't represent how '{op.name}' pools at the borders; use AvgPool2d with its defaults"
                )
            sizes = {key: np.array(op.args[key]) for key in ("kernel_size", "stride", "padding")}
            return source._replace(nodes=self._add(op.kind, self._nir.AvgPool2d(**sizes), source.nodes))
        if op.kind == "add":
            factor = self._factor.get(value, 1.0)
            branches = [self._times(i, 1.0 if i in self._factor else factor) for i in inputs]
            return self._plain(value, [name for branch in branches for name in branch])
        return self._plain(value, self._weights(value, op, source, self._shapes[inputs[0]][1:]))

    def _neurons(self, value: int, theta: Tensor) -> Sum:
        """A layer of IF neurons whose thresholds are 1; of silent ones no current comes."""
        source, shape = self._graph.inputs(value)[0], self._shapes[value]
        incoming = self._times(source, 1.0 if source in self._factor else _inverse(theta))
        ones = np.ones(shape, np.dtype(str(self._graph.dtype).removeprefix("torch.")))
        metadata = {"v_init": ones / 2, "reset": "soft"}
        node = self._nir.IF(r=ones, v_threshold=ones, v_reset=0 * ones, metadata=metadata)
        return Sum(self._add("if", node, incoming), theta, 0 * theta)

    def _scaled(self, source: Sum, op: Op, shape: Shape) -> Sum:
        exact = op.replaced(**{key: tensor.double().cpu() for key, tensor in op.tensors.items()})
        probe = torch.zeros(1, *shape, dtype=torch.float64)
        zeros, ones = exact(probe), exact(probe + 1)
        if zeros.shape != probe.shape:
            raise ConversionError(f"NIR can't represent '{op.name}': it changes the input's shape")
        shift, scale = (values[0].reshape(shape[0], -1) for values in (zeros, ones - zeros))
        if (shift != shift[:, :1]).any() or (scale != scale[:, :1]).any():
            raise ConversionError(f"NIR can't represent '{op.name}': it scales places of an image differently")
        return Sum(source.nodes, source.scale * scale[:, 0], source.shift * scale[:, 0] + shift[:, 0])

    def _flattened(self, source: Sum, shape: Shape) -> Sum:
        nodes, each = source.nodes, int(np.prod(shape[1:]))
        if len(shape) > 1:
            # NIR's shapes have no batch dimension, so everything from dimension 0 on is one vector.
            node = self._nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
            nodes = self._add("flatten", node, nodes)
        return Sum(nodes, source.scale.repeat_interleave(each), source.shift.repeat_interleave(each))

    def _weights(self, value: int, op: Op, source: Sum, size: Shape) -> list[str]:
        """The node of a layer with weights, for inputs of this size behind the channels."""
        if op.kind not in ("linear", "conv1d", "conv2d"):
            raise ConversionError(f"NIR can't represent '{op.name}' ({op.kind})")
        weight, geometry = op.weight.double().cpu(), {}
        bias = op.tensors["bias"].double().cpu() if "bias" in op.tensors else weight.new_zeros(len(weight))
        if op.kind == "linear":
            bias, size = bias + weight @ source.shift, ()
        else:
            weight = _ungrouped(weight, op.args["groups"])
            geometry = {"padding": _padding(op, weight), "stride": op.args["stride"], "dilation": op.args["dilation"]}
            if len(set(weight.shape[2:])) > 1:
                sizes = " by ".join(map(str, weight.shape[2:]))
                raise ConversionError(
                    f"NIR's types can't represent the kernel of '{op.name}', {sizes}; only square ones"
                )
            if any(geometry["padding"]) and source.shift.any():
                raise ConversionError(
                    f"NIR can't represent '{op.name}': it pads an input shifted first, which no bias can stand for"
                )
            bias = bias + weight.flatten(2).sum(2) @ source.shift
        wide, factor = [1] * (weight.dim() - 2), self._factor.get(value, torch.ones_like(bias))
        weight = weight * source.scale.view(-1, *wide) * factor.view(-1, 1, *wide)
        return self._add(op.kind, self._layer(weight, bias * factor, size, **geometry), source.nodes)


def _inverse(theta: Tensor) -> Tensor:
    theta = theta.double().cpu()
    return torch.where(theta > 0, 1 / theta, torch.zeros_like(theta))


def _ungrouped(weight: Tensor, groups: int) -> Tensor:
    # NIR's type check takes no groups: the same convolution with zeros between them.
    full = weight.new_zeros(len(weight), weight.shape[1] * groups, *weight.shape[2:])
    for i, part in enumerate(weight.chunk(groups)):
        full.chunk(groups)[i].chunk(groups, 1)[i].copy_(part)
    return full


def _padding(op: Op, weight: Tensor) -> tuple[int, ...]:
    padding = op.args["padding"]
    if padding == "valid":
        return (0,) * (weight.dim() - 2)
    if padding == "same":
        both = [dilation * (size - 1) for dilation, size in zip(op.args["dilation"], weight.shape[2:], strict=True)]
        if any(total % 2 for total in both):
            raise ConversionError(f"NIR can't represent the padding of '{op.name}', which is wider on one side")
        return tuple(total // 2 for total in both)
    return tuple(padding)
