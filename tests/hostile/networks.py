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
from tests.hostile.snapshots import Bases, Random, pick

GENERATORS: dict[str, Callable[[Bases, Random], bytes]] = {}
# A file cut, flipped or overwritten where it doesn't matter may still be read.
MAY_BE_HARMLESS = {"network_flipped", "network_overwritten"}


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
