"""Spiking networks on disk: torch tensors and one JSON text, no pickled objects."""

import json
import os
import tempfile
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from snn.chain import Chain
from snn.convert import assemble
from snn.errors import ConversionError
from snn.network import SpikingNetwork
from snn.neuron import make
from snn.ops import KINDS, Op

FORMAT, VERSION = "spiking-network", 1
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
            tensors[names[key]] = value.cpu().contiguous()
        ops.append({"kind": op.kind, "name": op.name, "args": op.args, "tensors": names})
    for i, theta in enumerate(spiking.thresholds):
        tensors[f"theta{i}"] = theta.cpu()
    alpha = spiking.alpha
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
        "mode": spiking.mode,
        "seed": spiking.seed,
        "max_batch_bytes": spiking.max_batch_bytes,
        "chunk_rows": spiking.chunk_rows,
    }
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save({"json": json.dumps(description, allow_nan=False), "tensors": tensors}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load(path: str | os.PathLike, device: torch.device | str = "cpu") -> SpikingNetwork:
    """Read what `save` wrote. Runs no code from the file.

    Raises ConversionError for a file that is not such a network, is damaged, or names a rule that isn't registered.
    """
    try:
        _check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        description, tensors = json.loads(content["json"]), content["tensors"]
        if description["format"] != FORMAT or description["version"] != VERSION:
            raise ConversionError(f"format {description['format']!r} version {description['version']!r} is not known")
        ops = [_op(entry, tensors) for entry in description["ops"]]
        alpha = description["alpha"]
        spiking = assemble(
            Chain(ops),
            [tensors[f"theta{i}"] for i in range(description["thresholds"])],
            make(description["rule"], description["coding"], description["n_thresholds"]),
            description["timesteps"],
            torch.tensor(alpha) if isinstance(alpha, list) else alpha,
            _DTYPES[description["dtype"]],
            description["mode"],
            description["seed"],
            description["max_batch_bytes"],
            description["chunk_rows"],
        )
    except OSError as error:
        raise ConversionError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged or hostile file may fail anywhere
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConversionError(f"{path} is not a readable spiking network: {reason}") from error
    return spiking.to(device)


def _check_archive(path) -> None:
    # Before anything is unpacked: torch stores records uncompressed, so none can be larger than the file.
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        if any(record.compress_type != zipfile.ZIP_STORED for record in records):
            raise ConversionError("it holds compressed records")
        if sum(record.file_size for record in records) > os.path.getsize(path):
            raise ConversionError("its records claim to be larger than the file")
        if archive.testzip() is not None:
            raise ConversionError("a record's checksum is wrong")


def _op(entry: dict, tensors: dict) -> Op:
    if entry["kind"] not in KINDS:
        raise ConversionError(f"operation {entry['kind']!r} is not known")
    op = Op(entry["kind"], str(entry["name"]), dict(entry["args"]))
    for key, name in entry["tensors"].items():
        value = tensors[name]
        if not isinstance(value, Tensor) or not torch.isfinite(value).all():
            raise ConversionError(f"'{op.name}' holds a {key} that is not a finite tensor")
        op.tensors[key] = value
    return op
