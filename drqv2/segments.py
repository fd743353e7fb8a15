"""One finished episode on disk: a checked header, then raw arrays that are mapped rather than read.

Layout: 8 bytes magic, 4 bytes header length (little endian), JSON header, zero padding to 4096, payload.
The header names each array's dtype, shape and offset and the CRC-32 of the payload; the header itself ends
with its own CRC-32. Observations are single elements, one more than there are actions: stacks are assembled
when a batch is sampled, which keeps 10⁶ decisions of 84×84 RGB at 21 GB instead of 63.5 GB raw, and at a
fraction of that where frames are packed (drqv2.frames).
"""

from __future__ import annotations

import json
import mmap
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drqv2.frames import PackedFrames
from runtime.files import atomic_file

_MAGIC = b"DRQSEG01"
_PAGE = 4096
_FIELDS = ("action", "reward", "discount")


class SegmentError(Exception):
    """A segment file that is cut off, altered, or not a segment."""


@dataclass(frozen=True)
class Episode:
    """An episode of L decisions.

    observation: [L+1, *element shape] (single frames uint8 [3, 84, 84], or states float32 [D]), or such frames packed;
    action: float32 [L, A]; reward, discount: float32 [L]. A discount of 0 marks a terminal state.
    """

    observation: np.ndarray | PackedFrames
    action: np.ndarray
    reward: np.ndarray
    discount: np.ndarray

    def __len__(self) -> int:
        return len(self.action)


def write_segment(path: Path, episode: Episode) -> None:
    """Writes `episode` to `path`, whole or not at all. Raises OSError where the disk is full."""
    arrays = {name: np.ascontiguousarray(getattr(episode, name)) for name in _FIELDS}
    packed_shape = None
    if isinstance(episode.observation, PackedFrames):
        packed_shape = list(episode.observation.shape)
        # The bytes come last, so that the numbers before them lie aligned in the mapped file.
        arrays = {"ends": episode.observation.ends, **arrays, "data": episode.observation.data}
    else:
        arrays = {"observation": np.ascontiguousarray(episode.observation), **arrays}
    described, offset, crc = {}, 0, 0
    for name, array in arrays.items():
        described[name] = {"dtype": array.dtype.str, "shape": list(array.shape), "offset": offset}
        offset += array.nbytes
        crc = zlib.crc32(array.reshape(-1).view(np.uint8), crc)
    header = json.dumps({"arrays": described, "bytes": offset, "crc32": crc, "packed_shape": packed_shape}).encode()
    head = _MAGIC + len(header).to_bytes(4, "little") + header + zlib.crc32(header).to_bytes(4, "little")
    with atomic_file(path) as file:
        file.write(head + bytes(-len(head) % _PAGE))
        for array in arrays.values():
            file.write(array.reshape(-1).view(np.uint8).data)


def open_segment(path: Path, *, verify: bool = True) -> Episode:
    """Maps the arrays of `path` read-only; with `verify` the payload's checksum is recomputed first.

    Raises SegmentError (with the file's name) for anything that is not the whole, unaltered file.
    """
    try:
        with open(path, "rb") as file:
            mapped = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        if mapped[:8].tobytes() != _MAGIC:
            raise SegmentError(f"{path}: not a replay segment")
        length = int.from_bytes(mapped[8:12].tobytes(), "little")
        header = mapped[12 : 12 + length].tobytes()
        if zlib.crc32(header) != int.from_bytes(mapped[12 + length : 16 + length].tobytes(), "little"):
            raise SegmentError(f"{path}: the header is damaged")
        description = json.loads(header)
        start = -(-(16 + length) // _PAGE) * _PAGE
        payload = mapped[start:]
        if mapped[16 + length : start].any():
            raise SegmentError(f"{path}: the header is damaged")
        if len(payload) != description["bytes"]:
            raise SegmentError(f"{path}: {len(payload)} bytes of {description['bytes']} are there")
        if verify and zlib.crc32(payload) != description["crc32"]:
            raise SegmentError(f"{path}: the contents are damaged")
        arrays = {name: _view(payload, described) for name, described in description["arrays"].items()}
        if description.get("packed_shape") is not None:
            observation = PackedFrames(tuple(description["packed_shape"]), arrays["data"], arrays["ends"])
        else:
            observation = arrays["observation"]
        return Episode(observation, **{name: arrays[name] for name in _FIELDS})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SegmentError(f"{path}: {error}") from None


def _view(payload: np.ndarray, description: dict) -> np.ndarray:
    dtype, shape = np.dtype(description["dtype"]), tuple(description["shape"])
    size = dtype.itemsize * int(np.prod(shape))
    return payload[description["offset"] : description["offset"] + size].view(dtype).reshape(shape)
