"""Spiking networks on disk: a safetensors file whose header holds a description in JSON. No pickled objects."""

import collections
import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor
from torch.utils import _pytree as pytree

from snn import neuron as neurons
from snn.carry import CRPI
from snn.checks import ConversionError
from snn.convert import assemble
from snn.graph.graph import Container, Graph, Outputs, check
from snn.graph.operations import Op
from snn.network import DTYPES, SpikingNetwork

FORMAT, VERSION = "spiking-network", 2
# Bounds on what a file may ask for: what such a network takes must have to do with the file's size.
_MOST_OPS, _MOST_STEPS = 4096, 2**16


def save(spiking: SpikingNetwork, path: str | os.PathLike) -> None:
    """Write weights, thresholds, neuron, T, CRPI and options to `path`, atomically.

    What was carried between decisions is not saved: a loaded network stands at an episode's start. Rules, codings and
    carry rules are saved by name.
    """
    graph = spiking.module
    tensors: dict[str, Tensor] = {}
    nodes = []
    for value in graph.values:
        op, node = graph.op(value), graph.nodes[value - 1]
        if op.kind == "relu":
            tensors[f"{value}.theta"] = op.theta
            op = Op("relu", node.path, {"ceiling": op.ceiling})
        tensors |= {f"{value}.{key}": tensor for key, tensor in op.tensors.items()}
        nodes.append({"path": node.path, "inputs": node.inputs, "kind": op.kind, "name": op.name, "args": op.args})
    neuron, carry = spiking.neuron, spiking.carry
    description = {
        "nodes": nodes,
        "titles": {name: part._get_name() for name, part in graph.named_modules() if isinstance(part, Container)},
        "outputs": _plain(graph.outputs),
        "rule": neuron.rule.name,
        "coding": neuron.coding.name,
        "n_thresholds": neuron.n,
        "strict": neuron.strict,
        "slack": neuron.coding.slack,
        "timesteps": spiking.timesteps,
        "crpi": None if spiking.crpi is None else {"alpha": carry.plain_alpha, "mode": carry.mode, "seed": carry.seed},
        "dtype": str(spiking.compute_dtype).removeprefix("torch."),
        "max_batch_bytes": spiking.max_batch_bytes,
        "chunk_rows": spiking.chunk_rows,
    }
    # A tensor's own memory each: the format holds no views.
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    text = json.dumps(description, allow_nan=False)
    header = {"format": FORMAT, "version": str(VERSION), "network": text, "sha256": _sum(text, tensors)}
    with whole(path) as temporary, open(temporary, "wb") as file:
        file.write(to_bytes(tensors, header))
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def whole(path: str | os.PathLike) -> Iterator[Path]:
    """A file beside `path`, which becomes `path` if what is done with it ends well."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _plain(outputs: Outputs) -> Any:
    """Outputs as JSON, which knows neither tuples nor keys that are no texts."""
    if isinstance(outputs, dict):
        return {"dict": [[key, _plain(value)] for key, value in outputs.items()]}
    if isinstance(outputs, (tuple, list)):
        return {"tuple" if isinstance(outputs, tuple) else "list": [_plain(value) for value in outputs]}
    return outputs


def _structured(plain: Any) -> Outputs:
    """What `_plain` was given."""
    if not isinstance(plain, dict):
        return plain
    ((kind, entries),) = plain.items()
    if kind == "dict":
        return {key: _structured(value) for key, value in entries}
    values = [_structured(entry) for entry in entries]
    return tuple(values) if kind == "tuple" else values


def _sum(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for key in sorted(tensors):
        digest.update(tensors[key].numpy().tobytes())
    return digest.hexdigest()


@torch.inference_mode(False)
@torch.no_grad()
def load(path: str | os.PathLike, device: torch.device | str = "cpu") -> SpikingNetwork:
    """Read what `save` wrote. Runs no code from the file.

    Raises ConversionError, one line, for a file that is not such a network, is damaged, or names a rule that isn't
    registered.
    """
    path = Path(path)
    try:
        if path.open("rb").read(2) == b"PK":
            raise ConversionError(
                "it is a torch archive: a policy, or a network that an earlier version saved; convert the policy again "
                "with convert.py save=true, or snn.convert and snn.save"
            )
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT or header.get("version") != str(VERSION):
                raise ConversionError("another kind of file; a converted network is what snn.save writes")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # not a dict
        if header["sha256"] != _sum(header["network"], tensors):
            raise ConversionError("it is damaged: its sum is another one")
        spiking = _network(json.loads(header["network"]), tensors)
    except OSError as error:
        raise ConversionError(f"{path} can't be read: {error.strerror or error}") from None
    except Exception as error:  # a hostile file may fail anywhere
        raise ConversionError(f"{path} is not a readable spiking network: {_printable(error)}") from error
    return spiking.to(device)


def _printable(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(character if character.isprintable() else "?" for character in text)[:300]


def _network(description: dict[str, Any], tensors: dict[str, Tensor]) -> SpikingNetwork:
    if not 0 < len(description["nodes"]) <= _MOST_OPS:
        raise ConversionError(f"it holds {len(description['nodes'])} operations")
    if description["timesteps"] > _MOST_STEPS:
        raise ConversionError(f"its timesteps are above {_MOST_STEPS}")
    graph, thresholds = Graph(description["titles"]), []
    tensors_of: dict[str, dict[str, Tensor]] = collections.defaultdict(dict)
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        tensors_of[number][name] = tensor
    for value, entry in enumerate(description["nodes"], 1):
        parts = tensors_of.pop(str(value), {})
        if entry["kind"] == "relu":
            thresholds.append(parts.pop("theta"))
        op = Op(entry["kind"], entry["name"], entry["args"], parts)
        inputs = entry["inputs"]
        if not inputs or not all(type(i) is int and 0 <= i < value for i in inputs):
            raise ConversionError(f"'{op.name}' takes values that are not made before it")
        graph.append(entry["path"], op, tuple(inputs))
        if graph.nodes[-1].path != entry["path"]:
            raise ConversionError(f"two operations stand at {entry['path']!r:.80}")
    if tensors_of:
        raise ConversionError("it holds tensors that no operation has")
    outputs = description["outputs"]
    if "tuple" in description:  # of an earlier version, which told no tuple inside from a list, no key from its text
        graph.outputs = tuple(outputs) if description["tuple"] else outputs
    else:
        graph.outputs = _structured(outputs)
    leaves = pytree.tree_leaves(graph.outputs)
    if not leaves or not all(type(value) is int and 0 < value <= len(graph.nodes) for value in leaves):
        raise ConversionError("its outputs are no values of the network")
    check(graph, hybrid=True)
    crpi = description["crpi"] and CRPI(**description["crpi"])
    spec = neurons.make(
        description["rule"],
        description["coding"],
        description["n_thresholds"],
        strict=description["strict"],
        slack=description["slack"],
    )
    return assemble(
        graph,
        thresholds,
        spec,
        description["timesteps"],
        crpi,
        DTYPES[description["dtype"]],
        description["max_batch_bytes"],
        description["chunk_rows"],
    )
