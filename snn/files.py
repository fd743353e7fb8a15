"""Spiking networks on disk: torch tensors and one JSON text, no pickled objects."""

import json
import os
from pathlib import Path

import torch
from torch import Tensor

from runtime import archives
from snn.carry import CRPI
from snn.convert import assemble
from snn.errors import ConversionError
from snn.graph.chain import Chain
from snn.graph.ops import Op
from snn.graph.saved_op import checked
from snn.network import SpikingNetwork
from snn.neuron import make

FORMAT, VERSION = "spiking-network", 1
# Bounds on what a file may ask for: what such a network takes must have to do with the file's size.
_MOST_OPS, _MOST_STEPS, _LARGEST_SEED = 4096, 2**16, 2**63
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float32, torch.float64, torch.bfloat16)}


def save(spiking: SpikingNetwork, path: str | os.PathLike) -> None:
    """Write weights, thresholds, neuron, T, alpha and options to `path`, atomically.

    What was carried between decisions is not saved: a loaded network stands at an episode's start.
    """
    tensors: dict[str, Tensor] = {}
    ops = []
    for i, op in enumerate(spiking.chain.ops):
        names = {}
        for key, value in op.tensors.items():
            names[key] = f"op{i}.{key}"
            tensors[names[key]] = value.cpu().contiguous().clone()
        ops.append({"kind": op.kind, "name": op.name, "args": op.args, "tensors": names})
    for i, theta in enumerate(spiking.thresholds):
        tensors[f"theta{i}"] = theta.cpu().clone()
    alpha = spiking.carry.alpha
    description = {
        "format": FORMAT,
        "version": VERSION,
        "ops": ops,
        "thresholds": len(spiking.thresholds),
        "rule": spiking.neuron.rule.name,
        "coding": spiking.neuron.coding.name,
        "n_thresholds": spiking.neuron.n,
        "timesteps": spiking.timesteps,
        "alpha": alpha.tolist() if isinstance(alpha, Tensor) else alpha,
        "dtype": str(spiking.compute_dtype).removeprefix("torch."),
        "mode": spiking.carry.mode,
        "seed": spiking.carry.seed,
        "max_batch_bytes": spiking.max_batch_bytes,
        "chunk_rows": spiking.chunk_rows,
    }
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            torch.save({"json": json.dumps(description, allow_nan=False), "tensors": tensors}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike, device: torch.device | str = "cpu") -> SpikingNetwork:
    """Read what `save` wrote. Runs no code from the file.

    Raises ConversionError, one line, for a file that is not such a network, is damaged, or names a rule that isn't
    registered.
    """
    path = Path(path)
    try:
        content = archives.read(path, sums=True)
        if "json" not in content:
            raise ConversionError(
                "another kind of file; a converted network is what snn.save, or convert.py save=true, writes"
            )
        description, tensors = json.loads(content["json"]), content["tensors"]
        if description["format"] != FORMAT or description["version"] != VERSION:
            raise ConversionError(
                f"format {description['format']!r:.40} version {description['version']!r:.40} is not known"
            )
        archives.check_tensors(path, tensors)
        if not 0 < len(description["ops"]) <= _MOST_OPS:
            raise ConversionError(f"it holds {len(description['ops'])} operations")
        alpha = description["alpha"]
        for key, limit in (("timesteps", _MOST_STEPS), ("seed", _LARGEST_SEED)):
            if description[key] > limit:
                raise ConversionError(f"its {key} is above {limit}")
        spiking = assemble(
            Chain([_op(entry, tensors) for entry in description["ops"]]),
            [_threshold(tensors[f"theta{i}"]) for i in range(description["thresholds"])],
            make(description["rule"], description["coding"], description["n_thresholds"]),
            description["timesteps"],
            CRPI(torch.tensor(alpha) if isinstance(alpha, list) else alpha, description["mode"], description["seed"]),
            _DTYPES[description["dtype"]],
            description["max_batch_bytes"],
            description["chunk_rows"],
        )
    except archives.ArchiveError as error:
        raise ConversionError(str(error)) from None
    except Exception as error:  # a hostile file may fail anywhere
        reason = archives.printable(str(error), 300) or type(error).__name__
        raise ConversionError(f"{path} is not a readable spiking network: {reason}") from error
    return spiking.to(device)


def _op(entry: dict, tensors: dict[str, Tensor]) -> Op:
    weights = {key: tensors[name] for key, name in entry["tensors"].items()}
    return checked(Op(entry["kind"], entry["name"], dict(entry["args"]), weights))


def _threshold(theta: Tensor) -> Tensor:
    if theta.dtype not in _DTYPES.values():
        raise ConversionError(f"a threshold is {theta.dtype}")
    return theta
