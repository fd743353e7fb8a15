"""From a torch module to a chain of operations, by torch.fx; what can't be converted is refused by name."""

import copy

import torch
import torch.fx
from torch import nn

from snn.errors import ConversionError
from snn.graph.chain import Chain
from snn.graph.nodes import ADD, REASONS, is_shape, label, op_of, refused
from snn.graph.ops import ANALOG


def trace(module: nn.Module, hybrid: bool = False) -> Chain:
    """The chain of operations that `module` (one tensor in, one out) computes in eval mode.

    The module itself is not changed: a copy is traced and its weights are copied.
    Raises ConversionError for anything that isn't a chain of convertible operations.
    """
    if not isinstance(module, nn.Module):
        raise ConversionError(f"expected a torch module, got {type(module).__name__}")
    source = copy.deepcopy(module).eval()
    try:
        graph = torch.fx.Tracer().trace(source)
    except Exception as error:  # whatever the module's own forward raises on symbolic values
        raise ConversionError(
            f"{type(module).__name__} can't be traced: {str(error).splitlines()[0]}; its forward must not branch on values"
        ) from error
    _check_inplace(graph, source)
    graph = torch.fx.GraphModule(source, graph).graph
    graph.eliminate_dead_code()
    nodes = _chain_of_nodes(graph)
    ops = []
    for node in nodes:
        op = op_of(node, source)
        if op is not None:
            ops.append(op)
    _check_once(nodes, source)
    _check_finite(ops)
    if not hybrid:
        for op in ops:
            if op.kind in ANALOG:
                raise refused("LayerNorm" if op.kind == "layernorm" else "Tanh", op.name)
    return Chain(ops)


def _values(node) -> list[torch.fx.Node]:
    """The inputs of a node that hold activations (no sizes, no parameters)."""
    return [arg for arg in node.all_input_nodes if not is_shape(arg) and arg.op != "get_attr"]


def _chain_of_nodes(graph) -> list[torch.fx.Node]:
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    used = [node for node in placeholders if node.users]
    if len(used) != 1:
        raise ConversionError(f"the module takes {len(used)} inputs; only modules of one input tensor convert")
    result = next(node for node in graph.nodes if node.op == "output").args[0]
    if not isinstance(result, torch.fx.Node):
        raise ConversionError("the module returns several values; only one output tensor converts")
    chain, node = [], result
    while node.op != "placeholder":
        chain.append(node)
        inputs = _values(node)
        if len(inputs) > 1:
            kind = "residual add" if node.target in ADD else label(node)
            reason = REASONS.get(kind, "it joins branches; only a chain of layers converts")
            raise ConversionError(f"{kind} '{node.name}' can't be converted: {reason}")
        if not inputs:
            raise ConversionError("the module's output does not depend on its input")
        node = inputs[0]
    chain.reverse()
    for node in [node, *chain]:
        users = [user for user in node.users if not is_shape(user)]
        if len(users) > 1:
            raise ConversionError(f"the output of '{node.name}' is used {len(users)} times; only a chain converts")
    return chain


def _check_once(nodes, source) -> None:
    targets = [node.target for node in nodes if node.op == "call_module"]
    for target in targets:
        if targets.count(target) > 1:
            raise ConversionError(
                f"{type(source.get_submodule(target)).__name__} '{target}' is used {targets.count(target)} times; "
                "each use needs a neuron with a threshold of its own, so give each use a module of its own"
            )


def _check_inplace(graph, source) -> None:
    # A graph shows no change in place: `F.relu_(h); return h` would trace as if the ReLU were not there.
    for node in graph.nodes:
        name = label(node)
        inplace = node.kwargs.get("inplace") or node.op != "call_module" and name.endswith("_") and name[0] != "_"
        if node.op == "call_module":
            inplace = getattr(source.get_submodule(node.target), "inplace", False)
        if inplace and not node.users and node.op.startswith("call"):
            raise ConversionError(f"'{node.name}' works in place and its result is not used; assign its result")


def _check_finite(ops) -> None:
    for op in ops:
        for key, value in op.tensors.items():
            if not torch.isfinite(value).all():
                raise ConversionError(f"'{op.name}' holds a {key} that is not finite")
