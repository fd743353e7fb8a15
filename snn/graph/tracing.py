"""From a torch module to a graph of operations, by torch.fx; what can't be converted is refused by name."""

import copy
from collections import Counter
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from snn.checks import ConversionError
from snn.graph.graph import Graph, Outputs, check
from snn.graph.nodes import NAMED_PARTS, is_shape, is_value, label, op_of, refused
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
    steps, outputs = _steps(traced, source, _returned(traced, output))
    kept = _simplify(steps, outputs)
    graph, places = Graph({name: type(part).__name__ for name, part in source.named_modules()}), {0: 0}
    for number, (op, inputs) in steps.items():
        places[number] = graph.append(op.name, op, tuple(places[kept[i]] for i in inputs))
    graph.outputs = pytree.tree_map(lambda number: places[kept[number]], outputs)
    if not any(graph.weighted) or 0 in pytree.tree_leaves(graph.outputs):
        raise ConversionError("the module's output does not depend on a layer with weights")
    for value in graph.values:
        op = graph.op(value)
        if op.kind == "scale_shift":
            op.to(graph.dtype)
    check(graph, hybrid)
    return graph


# Operations and the numbers of the values that they take, by the number of the value that they make (0: the input).
Steps = dict[int, tuple[Op, list[int]]]


def _returned(graph: torch.fx.Graph, output: str | int | None) -> Any:
    returned: Any = next(node for node in graph.nodes if node.op == "output").args[0]
    try:
        return returned if output is None else returned[output]
    except (KeyError, IndexError, TypeError):
        names = ", ".join(map(repr, returned)) if isinstance(returned, dict) else "positions of a tuple"
        raise ConversionError(f"output={output!r} is not what the module returns ({names})") from None


def _steps(graph: torch.fx.Graph, source: nn.Module, returned: Any) -> tuple[Steps, Outputs]:
    """The operations that the returned nodes need, in order, and the numbers of the outputs."""
    placeholders = [node for node in graph.nodes if node.op == "placeholder" and node.users]
    if len(placeholders) != 1:
        raise ConversionError(f"the module takes {len(placeholders)} inputs; only modules of one input tensor convert")
    needed = {_tensor(leaf) for leaf in pytree.tree_leaves(returned)}
    for node in reversed(graph.nodes):
        if node in needed:
            needed.update(filter(is_value, node.all_input_nodes))
    numbered: dict[torch.fx.Node, int] = {placeholders[0]: 0}
    steps: Steps = {}
    for node in graph.nodes:
        if node not in needed or node.op == "placeholder":
            continue
        op = None if node.target in NAMED_PARTS else op_of(node, source)  # of chunk and split the items are operations
        inputs: list[Any] = list(filter(is_value, node.all_input_nodes))
        if not inputs:
            raise ConversionError("the module's output does not depend on its input")
        if op is None:
            numbered[node] = numbered[inputs[0]]
            continue
        if op.kind in ("add", "sub", "cat"):
            operands: Any = (*node.args, node.kwargs.get("tensors"))[0] if op.kind == "cat" else node.args
            inputs = list(operands)
        elif len(inputs) > 1:
            raise refused(label(node), node.name)
        if not all(map(is_value, inputs)):
            raise ConversionError(f"cat '{node.name}' joins an activation with a constant; only activations join")
        numbered[node] = len(steps) + 1
        steps[len(steps) + 1] = op, [numbered[arg] for arg in inputs]
    return steps, pytree.tree_map(numbered.__getitem__, returned)


def _tensor(returned: Any) -> torch.fx.Node:
    if not isinstance(returned, torch.fx.Node):
        raise ConversionError(f"the module returns {returned!r} beside tensors; only tensors convert")
    if returned.target in NAMED_PARTS:
        raise ConversionError(
            f"the module returns all of {label(returned)} '{returned.name}'; return its items by name"
        )
    return returned


def _simplify(steps: Steps, outputs: Outputs) -> dict[int, int]:
    """BatchNorm right behind a convolution or linear layer becomes part of its weights, and a ReLU behind a flattening
    goes before it, which means the same and keeps a convolution's thresholds one per channel; neither where something
    else takes the value between them. Returns where each value is found now."""
    users = Counter(pytree.tree_leaves(outputs) + [i for _, inputs in steps.values() for i in inputs])
    kept = {number: number for number in (0, *steps)}
    for number, (op, inputs) in list(steps.items()):
        before = kept[inputs[0]]
        if users[inputs[0]] > 1 or not before:
            continue
        layer, sources = steps[before]
        if op.kind == "scale_shift" and layer.weighted and not layer.transposed:
            steps[before] = _scaled(layer, op.scale, op.shift), sources
            kept[number] = before
            del steps[number]
        while op.kind == "relu" and before and steps[before][0].kind == "flatten" and users[before] == 1:
            flatten, sources = steps[before]
            steps[before], steps[number] = (op, sources), (flatten, [before])
            number, before = before, kept[sources[0]]
    return kept


def _scaled(op: Op, scale: Tensor, shift: Tensor) -> Op:
    weight = op.weight
    bias = op.tensors.get("bias", torch.zeros(len(weight), dtype=weight.dtype, device=weight.device))
    by_output = scale.view(-1, *[1] * (weight.dim() - 1))
    return op.replaced(
        weight=(weight.double() * by_output).to(weight.dtype), bias=(bias.double() * scale + shift).to(weight.dtype)
    )


def _check_inplace(graph: torch.fx.Graph, source: nn.Module) -> None:
    # A graph shows no change in place: `F.relu_(h); return h` would trace as if the ReLU were not there.
    seen = set[torch.fx.Node]()
    for node in graph.nodes:
        seen.add(node)
        if node.op == "call_module":
            inplace = getattr(source.get_submodule(str(node.target)), "inplace", False)
        else:
            inplace = node.kwargs.get("inplace") or (label(node).endswith("_") and not label(node).startswith("_"))
        if not inplace or not node.op.startswith("call"):
            continue
        if not node.users:
            raise ConversionError(f"'{node.name}' works in place and its result is not used; assign its result")
        kind = _function(node, source)
        # Dropout changes nothing in eval mode, and a second ReLU nothing behind the first.
        changed = [] if kind.endswith("dropout") else node.all_input_nodes[:1]
        after = (user for value in changed for user in value.users if user not in seen)
        if any(not is_shape(user) and not (kind == _function(user, source) == "relu") for user in after):
            raise ConversionError(
                f"'{node.name}' works in place on what is used again after it; give it inplace=False, or a copy"
            )


def _function(node: torch.fx.Node, source: nn.Module) -> str:
    """The name of what a node calls, in lower case: one for a module, its function and that in place."""
    named = type(source.get_submodule(str(node.target))).__name__ if node.op == "call_module" else label(node)
    return named.lower().rstrip("_")
