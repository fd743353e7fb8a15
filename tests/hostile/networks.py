"""Damaged and hostile files of saved networks; the base is a safetensors file with JSON in its header."""

import hashlib
import json
import os
import pickle
from collections.abc import Callable

import torch
from safetensors.torch import load, save
from torch import nn

from tests.hostile import snapshots
from tests.hostile.snapshots import ODD, Bases, Random, pick

GENERATORS: dict[str, Callable[[Bases, Random], bytes]] = {}
# A file cut, flipped or overwritten where it doesn't matter may still be read.
MAY_BE_HARMLESS = {"network_flipped", "network_overwritten"}
HUGE = (-1, 10**9, 2**31, 2**63, 10**30, 1e300, float("nan"), "x", None, [], {}, [10**9], True)


def generator(make: Callable[[Bases, Random], bytes]) -> Callable[[Bases, Random], bytes]:
    GENERATORS[f"network_{make.__name__}"] = make
    return make


def whole_module() -> nn.Module:
    """With all that files of networks hold; its input is [2, 6, 6]."""
    torch.manual_seed(0)
    layers = [nn.BatchNorm2d(2).eval(), nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()]
    layers += [nn.Linear(36, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)]
    return nn.Sequential(*layers)


def opened(content: bytes) -> tuple[dict, dict[str, torch.Tensor]]:
    """Description and tensors of a saved network."""
    size = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["network"]), load(content)


def written(description: object, tensors: dict[str, torch.Tensor], **header: str) -> bytes:
    """A file of them, with the sum that belongs to it."""
    text = description if isinstance(description, str) else json.dumps(description)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for key in sorted(tensors):
        digest.update(tensors[key].contiguous().view(torch.uint8).numpy().tobytes() if tensors[key].numel() else b"")
    known = {"format": "spiking-network", "version": "2", "network": text, "sha256": digest.hexdigest()}
    return save(tensors, known | header)


for damage in (snapshots.truncated, snapshots.flipped, snapshots.overwritten):
    generator(damage)


class _Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


@generator
def hostile_pickle(bases: Bases, random: Random) -> bytes:
    return pick(random, [pickle.dumps, snapshots.saved])({"json": "{}", "tensors": _Evil()})


@generator
def lying_header(bases: Bases, random: Random) -> bytes:
    """A header longer than the file, or tensors where there are none."""
    content = bases["network"]
    size = int.from_bytes(content[:8], "little")
    if random.random() < 0.5:
        return pick(random, [2**63, 2**40, 0, len(content)]).to_bytes(8, "little") + content[8:]
    header = json.loads(content[8 : 8 + size])
    name = pick(random, [key for key in header if key != "__metadata__"])
    key = pick(random, ["shape", "data_offsets", "dtype"])
    header[name][key] = pick(
        random, {"shape": [[10**12], [-1], []], "dtype": ["X", "BOOL", None]}.get(key, [[0, 10**12], [5, 4], []])
    )
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


# What each field must never be taken for.
_WRONG = {
    "rule": ODD,
    "coding": ODD,
    "n_thresholds": HUGE,
    "strict": ("x", None, []),
    "slack": (-1, 2, "x", [], {}),
    "timesteps": (0, *HUGE),
    "crpi": (
        0,
        "x",
        [],
        {},
        {"alpha": 3.0, "mode": "residual", "seed": 0},
        {"alpha": 1.0, "mode": "eval", "seed": 0},
        {"alpha": 1.0, "mode": "random", "seed": -1},
        {"alpha": [["x"]], "mode": "residual", "seed": 0},
    ),
    "dtype": ODD,
    "max_batch_bytes": (0, -1, "x", None, 1.5, True),
    "chunk_rows": (0, -1, "x", 1.5, True),
    "nodes": (0, None, "x", [], {}, [1], [{}], [[]]),
    "outputs": (0, -1, 10**6, None, "x", [], [[0]], True),
    "titles": (0, None, [], {}),
}


@generator
def wrong_description(bases: Bases, random: Random) -> bytes:
    description, tensors = opened(bases["network"])
    key = pick(random, sorted(_WRONG))
    if random.random() < 0.1:
        del description[key]
    else:
        description[key] = pick(random, _WRONG[key])
    return written(description, tensors)


_WRONG_IN_NODE = {
    "kind": ("exec", "batchnorm", "__class__", None, [], {}, 1),
    "name": (None, 1, [], "\x1b[2J", "a\nb", "a" * 10**5),
    "args": (None, 1, {"more": 1}, [["a", 1]], "x"),
    "inputs": ([], [10**6], [-1], None, "x", [11]),
}


@generator
def wrong_operation(bases: Bases, random: Random) -> bytes:
    """An operation with another kind, name, inputs or arguments, one argument of a convolution, or other operations."""
    description, tensors = opened(bases["network"])
    nodes = description["nodes"]
    if random.random() < 1 / 6:
        description["nodes"] = pick(random, [nodes * 2000, [nodes[0]] * 3, nodes[1:]])
    elif random.random() < 1 / 5:
        args = pick(random, [node["args"] for node in nodes if node["kind"] == "conv2d"])
        args[pick(random, sorted(args))] = pick(random, ("x", {}, [10**6, 10**6], [[1]], float("inf")))
    else:
        key = pick(random, sorted(_WRONG_IN_NODE))
        pick(random, nodes)[key] = pick(random, _WRONG_IN_NODE[key])
    return written(description, tensors)


@generator
def wrong_json(bases: Bases, random: Random) -> bytes:
    description, tensors = opened(bases["network"])
    texts = ["", "[]", "null", "{", "[" * 100_000, "9" * 10_000, '{"nodes": ' * 5000 + "1" + "}" * 5000]
    other = [{"format": "other"}, {"version": "99"}, {"sha256": "0"}, {"sha256": ""}]
    if random.random() < 0.3:
        return written(description, tensors, **pick(random, other))
    return written(pick(random, texts), tensors)


@generator
def wrong_tensors(bases: Bases, random: Random) -> bytes:
    """Other shapes and types, values that aren't finite, thresholds below zero, tensors missing or too many."""
    description, tensors = opened(bases["network"])
    name = pick(random, [key for key in sorted(tensors) if key.endswith("theta") or tensors[key].dim() > 1])
    value = tensors[name]
    spoilt = value.clone()
    spoilt.view(-1)[int(random.integers(value.numel()))] = pick(random, [float("nan"), float("inf"), float("-inf")])
    others = [spoilt, value[None].clone(), torch.zeros(0), value.to(torch.int64), None]
    replaced = -value - 1 if name.endswith("theta") and random.random() < 0.3 else pick(random, others)
    if replaced is None:
        del tensors[name]
    else:
        tensors[name] = replaced
    if random.random() < 0.1:
        tensors["more"] = torch.zeros(1)
    return written(description, tensors)
