"""Files of named tensors and plain values that can be opened without running anything in them.

A file is a torch zip archive holding {"format", "version", "checksum", "meta", "tensors"}, inspected first and then
read with torch.load(weights_only=True).
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runtime.archives import ArchiveError, check_tensors, read
from runtime.files import atomic_file

FORMAT = "ann2snn-control"


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


def read_archive(
    path: Path, kinds: tuple[str, ...], version: int, payload: Any = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The meta data and CPU tensors of `path`, of any version up to `version`.

    payload: what `runtime.archives.read` found there, where that was done already. Raises ArchiveError, one line, for
    anything but a whole file of one of `kinds`.
    """
    payload = read(path) if payload is None else payload
    if not isinstance(payload, dict) or payload.get("format") not in [f"{FORMAT}/{kind}" for kind in kinds]:
        raise ArchiveError(f"{path}: not a {' or '.join(kinds)} file of this project")
    written = payload.get("version")
    if type(written) is not int or not 1 <= written <= version:
        named = written if type(written) is int else "unknown"
        raise ArchiveError(
            f"{path}: format version {named}; this program reads versions 1 to {version}; use a newer one"
        )
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


def _checksum(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode(errors="surrogatepass"))
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode(errors="surrogatepass"))
        digest.update(tensor.detach().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
