"""From a torch module to a graph of operations, by torch.fx; what can't be converted is refused by name."""

import copy
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from snn.errors import ConversionError
from snn.graph.graph import Graph, Outputs, check
from snn.graph.nodes import NAMED_PARTS, is_value, label, op_of, refused
from snn.graph.operations import Op


def trace(module: nn.Module, hybrid: bool = False, output: str | int | None = None) -> Graph:
    """The graph of operations that `module` (one tensor in) computes in eval mode.

    The module itself is not changed: a copy is traced and its weights are copied. `output` names one of
    several outputs. Raises ConversionError for anything that isn't made of convertible operations.
    """
    if not isinstance(module, nn.Module):
        raise ConversionError(f"expected a torch module, got {type(module).__name__}")
    try:
        source = copy.deepcopy(module).eval()
    except RuntimeError as error:
        raise ConversionError(
            f"{type(module).__name__} can't be copied: {str(error).splitlines()[0]} If weights are pruned or "
            "normalised, call prune.remove or remove_weight_norm first"
        ) from error
    for name, part in source.named_modules():
        if part._forward_hooks or part._forward_pre_hooks:
            raise ConversionError(
                f"{type(part).__name__} '{name}' has forward hooks, which a converted network would not run; remove "
                "them first (with prune.remove or remove_weight_norm, if pruning or weight norm put them there)"
            )
    try:
        traced = torch.fx.Tracer().trace(source)
    except Exception as error:  # whatever the module's own forward raises on symbolic values
        raise ConversionError(
            f"{type(module).__name__} can't be traced: {str(error).splitlines()[0]}; "
            "its forward must not branch on values"
        ) from error
    _check_inplace(traced, source)
    traced = torch.fx.GraphModule(source, traced).graph
    traced.eliminate_dead_code()
    returned = _returned(traced, output)
    steps, outputs = _steps(traced, source, returned)
    _fold_batchnorm(steps)
    _relu_before_flatten(steps)
    titles = {name: type(part).__name__ for name, part in source.named_modules()}
    graph = Graph(titles[""])
    places = {0: 0}
    for number, step in enumerate(steps, 1):
        if isinstance(step, int):
            continue
        op, inputs = step
        places[number] = graph.append(op.name, op, tuple(places[_kept(steps, i)] for i in inputs), titles)
    graph.outputs = pytree.tree_map(lambda number: places[_kept(steps, number)], outputs)
    if not any(graph.weighted) or 0 in pytree.tree_leaves(graph.outputs):
        raise ConversionError("the module's output does not depend on a layer with weights")
    for value in graph.values:
        op = graph.op(value)
        if op.kind == "scale_shift":
            op.to(graph.dtype)
    check(graph, hybrid)
    return graph


# An operation and the numbers of the values that it takes; once it is merged into another, that one's number.
Step = tuple[Op, list[int]]
Steps = list[Step | int]


def _kept(steps: list[Any], number: int) -> int:
    while number and isinstance(steps[number - 1], int):
        number = steps[number - 1]
    return number


def _returned(graph: torch.fx.Graph, output: str | int | None) -> Any:
    returned: Any = next(node for node in graph.nodes if node.op == "output").args[0]
    if output is not None:
        try:
            return returned[output]
        except (KeyError, IndexError, TypeError):
            names = ", ".join(map(repr, returned)) if isinstance(returned, dict) else "positions of a tuple"
            raise ConversionError(f"output={output!r} is not what the module returns ({names})") from None
    return returned


def _steps(graph: torch.fx.Graph, source: nn.Module, returned: Any) -> tuple[list[Any], Outputs]:
    """The operations that the returned nodes need, in order, and the numbers of the outputs."""
    placeholders = [node for node in graph.nodes if node.op == "placeholder" and node.users]
    if len(placeholders) != 1:
        raise ConversionError(f"the module takes {len(placeholders)} inputs; only modules of one input tensor convert")
    needed: set[torch.fx.Node] = set()
    waiting: list[torch.fx.Node] = []
    torch.fx.node.map_arg(returned, waiting.append)
    if not waiting:
        raise ConversionError("the module's output does not depend on its input")
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += [arg for arg in node.all_input_nodes if is_value(arg)]
    numbered: dict[torch.fx.Node, int] = {placeholders[0]: 0}
    steps: list[Any] = []
    for node in graph.nodes:
        if node not in needed or node.op == "placeholder":
            continue
        if node.target in NAMED_PARTS:  # chunk and split: their items are the operations
            numbered[node] = numbered[_only(node)]
            continue
        op = op_of(node, source)
        inputs = [arg for arg in node.all_input_nodes if is_value(arg)]
        if not inputs:
            raise ConversionError("the module's output does not depend on its input")
        if op is None:
            numbered[node] = numbered[_only(node)]
            continue
        if op.kind in ("add", "sub", "cat"):
            operands: Any = node.args[0] if op.kind == "cat" else node.args
            inputs = list(operands)
            if not all(is_value(arg) for arg in inputs):
                raise ConversionError(
                    f"{op.kind} '{node.name}' joins an activation with a constant; only activations join"
                )
        elif len(inputs) > 1:
            raise refused(label(node), node.name)
        steps.append((op, [numbered[arg] for arg in inputs]))
        numbered[node] = len(steps)
    return steps, pytree.tree_map(lambda node: numbered[_tensor(node)], returned)


def _tensor(returned: Any) -> torch.fx.Node:
    if not isinstance(returned, torch.fx.Node):
        raise ConversionError(f"the module returns {returned!r} beside tensors; only tensors convert")
    if returned.target in NAMED_PARTS:
        raise ConversionError(
            f"the module returns all of {label(returned)} '{returned.name}'; return its items by name"
        )
    return returned


def _only(node: torch.fx.Node) -> torch.fx.Node:
    return next(arg for arg in node.all_input_nodes if is_value(arg))


def _users(steps: list[Any], number: int) -> list[int]:
    return [n for n, step in enumerate(steps, 1) if isinstance(step, tuple) and number in step[1]]


def _fold_batchnorm(steps: list[Any]) -> None:
    """BatchNorm right behind a convolution or linear layer becomes part of its weights."""
    for number, (op, inputs) in enumerate(list(steps), 1):
        before = inputs[0]
        if op.kind != "scale_shift" or not before or len(_users(steps, before)) > 1:
            continue
        layer = steps[_kept(steps, before) - 1][0]
        if layer.weighted and not layer.kind.startswith("conv_transpose"):
            steps[_kept(steps, before) - 1] = (_scaled(layer, op.scale, op.shift), steps[_kept(steps, before) - 1][1])
            steps[number - 1] = before


def _scaled(op: Op, scale: Tensor, shift: Tensor) -> Op:
    weight = op.weight
    bias = op.tensors.get("bias", torch.zeros(len(weight), dtype=weight.dtype, device=weight.device))
    by_output = scale.view(-1, *[1] * (weight.dim() - 1))
    return op.replaced(
        weight=(weight.double() * by_output).to(weight.dtype), bias=(bias.double() * scale + shift).to(weight.dtype)
    )


def _relu_before_flatten(steps: list[Any]) -> None:
    # Both orders mean the same; with the ReLU first, a convolution's thresholds stay one per channel.
    swapped = True
    while swapped:
        swapped = False
        for number, step in enumerate(steps, 1):
            if not isinstance(step, tuple) or step[0].kind != "relu" or not step[1][0]:
                continue
            before = _kept(steps, step[1][0])
            flatten = steps[before - 1] if before else None
            if flatten is not None and flatten[0].kind == "flatten" and len(_users(steps, before)) == 1:
                steps[before - 1], steps[number - 1] = (step[0], flatten[1]), (flatten[0], step[1])
                swapped = True


def _check_inplace(graph: torch.fx.Graph, source: nn.Module) -> None:
    # A graph shows no change in place: `F.relu_(h); return h` would trace as if the ReLU were not there.
    for node in graph.nodes:
        name = label(node)
        inplace = node.kwargs.get("inplace") or node.op != "call_module" and name.endswith("_") and name[0] != "_"
        if node.op == "call_module":
            inplace = getattr(source.get_submodule(str(node.target)), "inplace", False)
        if inplace and not node.users and node.op.startswith("call"):
            raise ConversionError(f"'{node.name}' works in place and its result is not used; assign its result")
