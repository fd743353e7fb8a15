"""Reads replays as runs wrote them until November 2026: a file for each episode.

Layout of a file: 8 bytes magic, 4 bytes header length (little endian), JSON header, the header's CRC-32, zero padding
to 4096, payload. The header names each array's dtype, shape and offset, and the CRC-32 of the payload.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from drqv2.episode_files import DamagedEpisode, StoredEpisode
from drqv2.frames import PackedFrames

_MAGIC = b"DRQSEG01"
_PAGE = 4096


def segment_path(folder: Path, number: int) -> Path:
    """The file of episode `number` of a run."""
    return folder / f"{number:08d}.seg"


def read_segment(path: Path) -> StoredEpisode:
    """Raises DamagedEpisode for anything but the whole, unaltered file, OSError where it can't be read."""
    try:
        contents = path.read_bytes()
        length = int.from_bytes(contents[8:12], "little")
        header, sum_ = contents[12 : 12 + length], int.from_bytes(contents[12 + length : 16 + length], "little")
        if contents[:8] != _MAGIC or zlib.crc32(header) != sum_:
            raise ValueError("its header is damaged")
        description = json.loads(header)
        payload = np.frombuffer(contents, np.uint8)[-(-(16 + length) // _PAGE) * _PAGE :]
        if len(payload) != description["bytes"] or zlib.crc32(payload.data) != description["crc32"]:
            raise ValueError("its contents are damaged")
        arrays = {name: _array(payload, described) for name, described in description["arrays"].items()}
        if description.get("packed_shape") is not None:  # earlier still, nothing was packed
            arrays["observation"] = PackedFrames(
                tuple(description["packed_shape"]), arrays.pop("data"), arrays.pop("ends")
            )
        return StoredEpisode(**arrays)
    except FileNotFoundError:
        raise DamagedEpisode(f"{path}: is gone") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedEpisode(f"{path}: {error}") from None


def _array(payload: np.ndarray, described: dict[str, Any]) -> Any:
    dtype, shape = np.dtype(described["dtype"]), described["shape"]
    size = dtype.itemsize * int(np.prod(shape))
    return payload[described["offset"] :][:size].view(dtype).reshape(shape)
