"""Files of named tensors and plain values that can be opened without running anything in them.

A file is a torch zip archive holding {"format", "version", "checksum", "meta", "tensors"}, inspected first and then
read with torch.load(weights_only=True).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from drqv2.inspection import ArchiveError, inspect, printable, refuse_names
from runtime.files import atomic_file

FORMAT = "ann2snn-control"
# All that the pickle of a dictionary of tensors refers to.
TENSOR_NAMES = frozenset(
    {"collections.OrderedDict", "torch._utils._rebuild_tensor_v2"}
    | {f"torch.{kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")}
)


def write_archive(path: Path, kind: str, version: int, meta: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Writes `meta` (JSON values) and `tensors` (moved to the CPU) to `path`, whole or not at all."""
    text = json.dumps(meta, sort_keys=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    payload = {
        "format": f"{FORMAT}/{kind}",
        "version": version,
        "checksum": _checksum(text, tensors),
        "meta": text,
        "tensors": tensors,
    }
    with atomic_file(path) as file:
        torch.save(payload, file)


def read_archive(path: Path, kinds: tuple[str, ...], version: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The meta data and CPU tensors of `path`. Raises ArchiveError, one line, for anything but a whole file of one of `kinds`."""
    refuse_names(path, inspect(path), TENSOR_NAMES)
    payload = load_inspected(path)
    if not isinstance(payload, dict) or payload.get("format") not in [f"{FORMAT}/{kind}" for kind in kinds]:
        raise ArchiveError(f"{path}: not a {' or '.join(kinds)} file of this project")
    if payload.get("version") != version:
        found = payload.get("version") if isinstance(payload.get("version"), int) else "unknown"
        raise ArchiveError(f"{path}: format version {found}; this program reads version {version}")
    text, tensors = payload.get("meta"), payload.get("tensors")
    if not isinstance(text, str) or not isinstance(tensors, dict) or not all(isinstance(name, str) for name in tensors):
        raise ArchiveError(f"{path}: not laid out as a {' or '.join(kinds)} file")
    check_tensors(path, tensors)
    if _checksum(text, tensors) != payload.get("checksum"):
        raise ArchiveError(f"{path}: damaged (the checksum inside doesn't match the contents)")
    try:
        return json.loads(text), tensors
    except (ValueError, RecursionError):
        raise ArchiveError(f"{path}: its description can't be read") from None


def load_inspected(path: Path, contents: BinaryIO | None = None) -> Any:
    """torch.load of a file that `inspect` let pass (or of its `contents`). Raises ArchiveError where torch can't read it."""
    try:
        return torch.load(contents or path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files; each means the same here
        reason = printable(str(error), 120) or type(error).__name__
        raise ArchiveError(f"{path}: can't be read as tensors and plain values ({reason})") from None


def check_tensors(path: Path, tensors: dict[str, Any]) -> None:
    """Raises ArchiveError for what is no dense tensor, or holds more elements, taken together, than the file has bytes for."""
    for name, tensor in tensors.items():
        # A view of huge extent over few bytes would unfold when copied.
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or not tensor.is_contiguous():
            raise ArchiveError(f"{path}: {printable(name, 80)} is not a dense tensor; refused")
    if sum(tensor.nbytes for tensor in tensors.values()) > path.stat().st_size:
        raise ArchiveError(f"{path}: its tensors claim more bytes than the file has; refused")


def _checksum(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode(errors="surrogatepass"))
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode(errors="surrogatepass"))
        digest.update(tensor.detach().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
