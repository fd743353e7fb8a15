"""The nodes and edges of a NIR graph, from a graph of operations and layers of IF neurons."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from snn.errors import ConversionError
from snn.graph.graph import Graph
from snn.graph.operations import Op, Shape


class Writer:
    """Builds nodes with the module `nir`, for observations of `shape`.

    Every threshold is 1: the weights into a layer are divided by its thresholds and those behind are multiplied by
    them. A value is the sum of the nodes in `_nodes_of[value]`, times `_scale` plus `_shift` per channel or unit: input
    scaling before the first layer, thresholds behind a layer of neurons.
    """

    def __init__(self, nir: Any, graph: Graph, shape: Shape) -> None:
        self._nir, self._graph = nir, graph
        self._nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array(shape)})}
        self._edges: list[tuple[str, str]] = []
        self._nodes_of = {0: ["input"]}
        exact = torch.zeros(1, *shape, dtype=torch.float64)
        with torch.no_grad():
            self._shapes = {value: tuple(x.shape[1:]) for value, x in _ann(graph, exact).items()}
        self._scale, self._shift = {0: self._flat(0, 1.0)}, {0: self._flat(0, 0.0)}
        # What a value must be multiplied by, per channel, for the neurons behind it.
        self._factor: dict[int, Tensor] = {}
        for neuron in graph.neurons:
            self._fold(graph.inputs(neuron)[0], _inverse(graph.op(neuron).theta))
        for value in graph.values:
            self._write(value)

    def graph(self, metadata: dict[str, Any]) -> Any:
        """The finished `nir.NIRGraph`. Raises ConversionError where NIR's own type check refuses it."""
        output = self._graph.outputs
        if isinstance(output, (list, tuple, dict)):
            raise ConversionError("NIR can't represent several outputs; convert with output=...")
        self._nodes["output"] = self._nir.Output(output_type={"output": np.array(self._shapes[output])})
        self._connect(self._plain(output), "output")
        try:
            return self._nir.NIRGraph(self._nodes, self._edges, metadata=metadata)
        except ValueError as error:
            raise ConversionError(f"NIR's types refuse this network: {' '.join(str(error).split())}") from error

    # --- what is folded where ----------------------------------------------------------------------------------

    def _fold(self, value: int, factor: Tensor) -> bool:
        """Have a value come multiplied by `factor` from the weights before it, if no one else uses it. Can it?"""
        op = self._graph.op(value) if value else None
        if not isinstance(op, Op) or len(self._graph.users(value)) > 1:
            return False
        inputs = self._graph.inputs(value)
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

    def _flat(self, value: int, number: float) -> Tensor:
        return torch.full((self._shapes[value][0],), number, dtype=torch.float64)

    def _plain(self, value: int) -> list[str]:
        """Nodes whose sum is the value itself."""
        return self._times(value, self._flat(value, 1.0))

    def _write(self, value: int) -> None:
        op, inputs = self._graph.op(value), self._graph.inputs(value)
        if not isinstance(op, Op):
            return self._neurons(value, op.theta.double().cpu())
        source = inputs[0]
        self._scale[value], self._shift[value] = self._flat(value, 1.0), self._flat(value, 0.0)
        if op.kind in ("arith", "scale_shift"):
            self._scaling(value, op)
        elif op.weighted:
            self._weights(value, op)
        elif op.kind == "add":
            missing = {i: self._factor[value] for i in inputs if value in self._factor and i not in self._factor}
            branches = [self._times(i, missing[i]) if i in missing else self._plain(i) for i in inputs]
            self._nodes_of[value] = [name for branch in branches for name in branch]
        elif op.kind == "flatten" and op.args["start"] == 1:
            self._flatten(value)
        elif op.kind == "avg_pool2d":
            self._check_pool(op, self._shift[source])
            sizes = {key: np.array(op.args[key]) for key in ("kernel_size", "stride", "padding")}
            self._nodes_of[value] = self._add(op.kind, self._nir.AvgPool2d(**sizes), self._nodes_of[source])
            self._scale[value], self._shift[value] = self._scale[source], self._shift[source]
        else:
            raise ConversionError(f"NIR can't represent '{op.name}' ({op.kind})")

    def _times(self, value: int, factor: Tensor) -> list[str]:
        """Nodes whose sum is the value times `factor` per channel."""
        if self._shift[value].any():
            raise ConversionError("NIR can't represent a shift that no layer with weights follows")
        total = self._scale[value] * factor
        if (total == 1).all():
            return self._nodes_of[value]
        # A diagonal of weights: few simulators know NIR's Scale.
        size = self._shapes[value][1:]
        weight = torch.diag(total).view(len(total), len(total), *[1] * len(size))
        return self._add("scale", self._layer(weight, torch.zeros_like(total), size), self._nodes_of[value])

    def _layer(self, weight: Tensor, bias: Tensor, size: Shape, **geometry: Any) -> Any:
        """A node of weights and bias, for images of this size or, without one, vectors."""
        arrays = {"weight": _array(weight, self._graph.dtype), "bias": _array(bias, self._graph.dtype)}
        if not size:
            return self._nir.Affine(**arrays)
        plain = {key: (value,) * len(size) for key, value in (("stride", 1), ("padding", 0), ("dilation", 1))}
        given = {key: tuple(value) for key, value in (plain | geometry).items()} | {"input_shape": tuple(size)}
        if len(size) == 1:
            given = {key: value[0] for key, value in given.items()}
        return getattr(self._nir, f"Conv{len(size)}d")(**arrays, **given, groups=1)

    def _neurons(self, value: int, theta: Tensor) -> None:
        """A layer of IF neurons whose thresholds are 1; of silent ones no current comes."""
        source, shape = self._graph.inputs(value)[0], self._shapes[value]
        incoming = self._plain(source) if source in self._factor else self._times(source, _inverse(theta))
        ones = np.ones(shape, np.dtype(str(self._graph.dtype).removeprefix("torch.")))
        metadata = {"v_init": ones / 2, "reset": "soft"}
        node = self._nir.IF(r=ones, v_threshold=ones, v_reset=0 * ones, metadata=metadata)
        self._nodes_of[value] = self._add("if", node, incoming)
        self._scale[value], self._shift[value] = theta, self._flat(value, 0.0)

    def _scaling(self, value: int, op: Op) -> None:
        source = self._graph.inputs(value)[0]
        exact = op.replaced(**{key: tensor.double().cpu() for key, tensor in op.tensors.items()})
        probe = torch.zeros(1, *self._shapes[source], dtype=torch.float64)
        zeros, ones = exact(probe), exact(probe + 1)
        if zeros.shape != probe.shape:
            raise ConversionError(f"NIR can't represent '{op.name}': it changes the input's shape")
        shift, scale = (
            values[0].flatten(1) if values.dim() > 2 else values[0][:, None] for values in (zeros, ones - zeros)
        )
        if (shift != shift[:, :1]).any() or (scale != scale[:, :1]).any():
            raise ConversionError(f"NIR can't represent '{op.name}': it scales places of an image differently")
        self._nodes_of[value] = self._nodes_of[source]
        self._scale[value] = self._scale[source] * scale[:, 0]
        self._shift[value] = self._shift[source] * scale[:, 0] + shift[:, 0]

    def _weights(self, value: int, op: Op) -> None:
        source = self._graph.inputs(value)[0]
        scale, shift = self._scale[source], self._shift[source]
        weight, args = op.weight.double().cpu(), op.args
        bias = op.tensors["bias"].double().cpu() if "bias" in op.tensors else weight.new_zeros(len(weight))
        factor = self._factor.get(value, self._flat(value, 1.0))
        size, geometry = self._shapes[source][1:], {}
        if op.kind == "linear":
            bias, size = bias + weight @ shift, ()
        elif op.kind in ("conv1d", "conv2d"):
            weight = _ungrouped(weight, args["groups"])
            geometry = {"padding": _padding(op, weight), "stride": args["stride"], "dilation": args["dilation"]}
            if len(set(weight.shape[2:])) > 1:
                sizes = " by ".join(map(str, weight.shape[2:]))
                raise ConversionError(
                    f"NIR's types can't represent the kernel of '{op.name}', {sizes}; only square ones"
                )
            if any(geometry["padding"]) and shift.any():
                raise ConversionError(
                    f"NIR can't represent '{op.name}': it pads an input shifted first, which no bias can stand for"
                )
            bias = bias + weight.flatten(2).sum(2) @ shift
        else:
            raise ConversionError(f"NIR can't represent '{op.name}' ({op.kind})")
        wide = [1] * (weight.dim() - 2)
        weight = weight * scale.view(-1, *wide) * factor.view(-1, 1, *wide)
        self._nodes_of[value] = self._add(
            op.kind, self._layer(weight, bias * factor, size, **geometry), self._nodes_of[source]
        )

    def _check_pool(self, op: Op, shift: Tensor) -> None:
        args = op.args
        padded = any(args["padding"])
        odd = (
            args["ceil_mode"] or args.get("divisor_override") is not None or (padded and not args["count_include_pad"])
        )
        if odd or (padded and shift.any()):
            raise ConversionError(
                f"NIR can't represent how '{op.name}' pools at the borders; use AvgPool2d with its defaults"
            )

    def _flatten(self, value: int) -> None:
        source = self._graph.inputs(value)[0]
        shape = self._shapes[source]
        self._nodes_of[value] = self._nodes_of[source]
        if len(shape) > 1:
            # NIR's shapes have no batch dimension, so everything from dimension 0 on is one vector.
            node = self._nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
            self._nodes_of[value] = self._add("flatten", node, self._nodes_of[source])
        each = int(np.prod(shape[1:]))
        self._scale[value] = self._scale[source].repeat_interleave(each)
        self._shift[value] = self._shift[source].repeat_interleave(each)


def _inverse(theta: Tensor) -> Tensor:
    theta = theta.double().cpu()
    return torch.where(theta > 0, 1 / theta, torch.zeros_like(theta))


def _ann(graph: Graph, x: Tensor) -> dict[int, Tensor]:
    return graph.ann(x.to(graph.device, graph.dtype))[0]


def _ungrouped(weight: Tensor, groups: int) -> Tensor:
    # NIR's type check takes no groups: the same convolution with zeros between them.
    outputs, inputs = len(weight) // groups, weight.shape[1]
    full = weight.new_zeros(len(weight), inputs * groups, *weight.shape[2:])
    for g in range(groups):
        full[g * outputs : (g + 1) * outputs, g * inputs : (g + 1) * inputs] = weight[g * outputs : (g + 1) * outputs]
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


def _array(values: Tensor, dtype: torch.dtype) -> np.ndarray:
    return values.to(dtype).contiguous().cpu().numpy()
