"""Files of named tensors and plain values that can be opened without running anything in them.

A file is a torch zip archive holding {"format", "version", "checksum", "meta", "tensors"}, read with
torch.load(weights_only=True). The zip directory is looked at before anything is unpacked: nothing may be
compressed and no record may claim more than the file holds, so that a small file can't fill the memory.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runtime.errors import UserError
from runtime.files import atomic_file

FORMAT = "ann2snn-control"


class ArchiveError(UserError):
    """A file that is damaged, foreign, of another version, or hostile; the message names it."""


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


def read_archive(path: Path, kind: str, version: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The meta data and CPU tensors of `path`. Raises ArchiveError, one line, for anything but a whole file of this kind."""
    check_zip(path)
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files; each means the same here
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise ArchiveError(f"{path}: can't be read as tensors and plain values ({reason})") from None
    if not isinstance(payload, dict) or payload.get("format") != f"{FORMAT}/{kind}":
        raise ArchiveError(f"{path}: not a {kind} file of this project")
    if payload.get("version") != version:
        raise ArchiveError(f"{path}: format version {payload.get('version')!r}; this program reads version {version}")
    text, tensors = payload.get("meta"), payload.get("tensors")
    whole = isinstance(text, str) and isinstance(tensors, dict)
    whole = whole and all(isinstance(k, str) and _plain(v) for k, v in tensors.items())
    if not whole or _checksum(text, tensors) != payload.get("checksum"):
        raise ArchiveError(f"{path}: damaged (the checksum inside doesn't match the contents)")
    return json.loads(text), tensors


def check_zip(path: Path) -> None:
    """Refuses what is no uncompressed zip archive, or claims more bytes than the file has. Raises ArchiveError."""
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except FileNotFoundError:
        raise ArchiveError(f"{path}: no such file") from None
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ArchiveError(f"{path}: not a whole torch archive ({error})") from None
    if any(r.compress_type != zipfile.ZIP_STORED or r.file_size != r.compress_size for r in records):
        raise ArchiveError(f"{path}: holds compressed records, which torch never writes; refused")
    if sum(r.file_size for r in records) > size:
        raise ArchiveError(f"{path}: its records claim more bytes than the file has; refused")


def _plain(tensor: Any) -> bool:
    """A dense tensor that holds its own elements (no view of a huge extent over few bytes)."""
    return isinstance(tensor, Tensor) and tensor.layout == torch.strided and tensor.is_contiguous()


def _checksum(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
