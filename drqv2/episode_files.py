"""Finished episodes in a few large files, mapped rather than read.

An episode is appended to the newest data file; a file that is full is followed by the next, so that descriptors and
mappings are as few as files, however many episodes there are. Files have no header: the table of rows (`ROW`) that says
which bytes are which episode's, and their CRC-32, belongs to the snapshot. What lies behind the last row is what a
killed process was writing, and is overwritten.

Observations are single elements, one more than there are actions: stacks are assembled when a batch is sampled, which
keeps 10⁶ decisions of 84×84 RGB at 21 GB instead of 63.5 GB raw, and at a fraction of that where frames are packed
(drqv2.frames).
"""

import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from drqv2.frames import PackedFrames
from runtime.files import sync_folder

_ALIGNED = 8  # bytes; of every episode and of the observations in it


class DamagedEpisode(Exception):
    """An episode on disk that is gone, cut off or altered; the message names the file."""


@dataclass(frozen=True)
class StoredEpisode:
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


class Row(NamedTuple):
    """Where an episode lies: file number, offset and length in bytes, their CRC-32, decisions L and action size A."""

    file: int
    offset: int
    bytes: int
    crc32: int
    decisions: int
    action_size: int


class EpisodeFiles:
    """The data files in `folder`, of up to `file_bytes` each. Methods raise OSError as the file system does."""

    def __init__(self, folder: Path, element_shape: tuple[int, ...], packed: bool, file_bytes: int) -> None:
        self.folder = folder
        self._element_shape, self._packed, self.file_bytes = element_shape, packed, file_bytes
        # The bytes, uint8 [N], of each file. To be let go before the next `append`, which maps the newest anew.
        self.mapped: dict[int, np.ndarray] = {}
        folder.mkdir(parents=True, exist_ok=True)
        # Never into a file that a snapshot might name.
        self._number = max((int(path.stem) for path in self._paths()), default=-1) + 1
        self._end = 0

    def append(self, episode: StoredEpisode) -> Row:
        """Writes an episode behind the last one."""
        observation = episode.observation
        arrays = [episode.action, episode.reward, episode.discount]
        numbers = b"".join(np.asarray(array, np.float32).tobytes() for array in arrays)
        seen = [observation.ends, observation.data] if isinstance(observation, PackedFrames) else [observation]
        padding = bytes(_aligned(len(numbers)) - len(numbers))
        contents = b"".join([numbers, padding, *(np.ascontiguousarray(array).data for array in seen)])
        if self._end + len(contents) > self.file_bytes and self._end > 0:
            self.flush()
            self._number, self._end = self._number + 1, 0
        with open(data_file(self.folder, self._number), "r+b" if self._end else "wb") as file:
            file.truncate(self._end)
            file.seek(self._end)
            file.write(contents)
        row = Row(self._number, self._end, len(contents), zlib.crc32(contents), *episode.action.shape)
        self._end = _aligned(self._end + len(contents))
        self._map(self._number)
        return row

    def flush(self) -> None:
        """Waits until all that was appended is on the disk."""
        if self._end:
            with open(data_file(self.folder, self._number), "r+b") as file:
                os.fsync(file.fileno())
            sync_folder(self.folder)

    def open(self, rows: Iterable[Row]) -> None:
        """Maps what `rows` name, which must be whole; the next episode is appended behind the last of them."""
        self.mapped.clear()
        for row in rows:
            if row.file not in self.mapped:
                self._map(row.file)
            self._number, self._end = row.file, _aligned(row.offset + row.bytes)

    def damage(self, row: Row) -> str:
        """What is wrong with an episode's bytes on the disk, file named; empty where they are those written."""
        path = data_file(self.folder, row.file)
        try:
            with open(path, "rb") as file:
                file.seek(row.offset)
                contents = file.read(row.bytes)
        except FileNotFoundError:
            return f"{path}: is gone"
        if len(contents) < row.bytes:
            return f"{path}: cut off in the episode at byte {row.offset}"
        return "" if zlib.crc32(contents) == row.crc32 else f"{path}: the episode at byte {row.offset} is damaged"

    def observations(self, row: Row) -> np.ndarray | PackedFrames:
        """An episode's observations, as a view of the mapped file."""
        shape = (row.decisions + 1, *self._element_shape)
        stored = self.mapped[row.file][observation_offset(row) : row.offset + row.bytes]
        if self._packed:
            ends = 8 * shape[0]
            return PackedFrames(shape, stored[ends:], stored[:ends].view(np.int64))
        return stored.view(np.uint8 if len(shape) == 4 else np.float32).reshape(shape)

    def read(self, row: Row) -> StoredEpisode:
        """A whole episode, as views of the mapped file."""
        length, size = row.decisions, row.action_size
        numbers = self.mapped[row.file][row.offset :][: 4 * length * (size + 2)].view(np.float32)
        action, reward, discount = np.split(numbers, [length * size, length * (size + 1)])
        return StoredEpisode(self.observations(row), action.reshape(length, size), reward, discount)

    def delete_except(self, numbers: set[int]) -> None:
        """Deletes all data files but those of these numbers and the one that is written to."""
        for path in self._paths():
            if (number := int(path.stem)) not in numbers | {self._number}:
                self.mapped.pop(number, None)
                path.unlink(missing_ok=True)

    def _map(self, number: int) -> None:
        self.mapped[number] = np.asarray(np.memmap(data_file(self.folder, number), np.uint8, "r"))

    def _paths(self) -> list[Path]:
        return [path for path in self.folder.glob("*.episodes") if path.stem.isdecimal()]


def observation_offset(row: Any) -> Any:
    """Where in its file an episode's observations begin, behind the other arrays. `row`: a Row, or columns of many."""
    _, offset, _, _, decisions, action_size = row
    return offset + _aligned(4 * decisions * (action_size + 2))


def data_file(folder: Path, number: int) -> Path:
    """The data file of that number, from 0 on."""
    return folder / f"{number:06d}.episodes"


def _aligned(size: Any) -> Any:
    return -(-size // _ALIGNED) * _ALIGNED
