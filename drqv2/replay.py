"""Replay of whole episodes kept as segments on disk, with batches that are functions of (seed, update number).

Only finished episodes are sampled. The list of segments that make up the buffer (`index`) belongs to the
snapshot: a run that is cut off goes on with exactly the episodes that its snapshot knew.
"""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drqv2.frames import PackedFrames, pack, unpack_windows, window_length
from drqv2.gather import gather_rows, gather_shifted
from drqv2.randomness import Purpose, generator
from drqv2.segments import Episode, SegmentError, open_segment, write_segment

SHIFT_PAD = 4
PACKED_RATIO = 2  # quadruped_walk, whose background moves most, packs to 9.9 kB of 21.2 while it walks; others to less


@dataclass(frozen=True)
class ReplaySettings:
    """observation_shape: of what the agent sees (stacks); element_shape: of what is stored per decision.

    capacity: decisions kept; nstep: rewards per transition; discount: γ per decision; packed: whether frames are
    compressed (pixels only).
    """

    observation_shape: tuple[int, ...]
    element_shape: tuple[int, ...]
    capacity: int
    batch_size: int
    nstep: int
    discount: float
    seed: int
    packed: bool = False


class Replay:
    """Segments in `folder`, oldest dropped first once more than `capacity` decisions are held."""

    def __init__(self, folder: Path, settings: ReplaySettings) -> None:
        self.settings = settings
        self._folder = folder
        self._episodes: list[Episode] = []
        self._numbers: list[int] = []
        self._next = 0
        self._decisions = 0
        self._pool = ThreadPoolExecutor(os.cpu_count(), "unpack") if settings.packed else None
        folder.mkdir(parents=True, exist_ok=True)
        self._rebuild()

    def __len__(self) -> int:
        """Decisions held."""
        return self._decisions

    @property
    def sampleable(self) -> bool:
        """Whether any episode is long enough for one n-step window."""
        return bool(self._windows_end.size and self._windows_end[-1] > 0)

    def add(self, episode: Episode) -> None:
        """Writes a finished episode to disk and makes it sampleable. Raises OSError where the disk is full."""
        path = self._path(self._next)
        if self.settings.packed:
            episode = dataclasses.replace(episode, observation=pack(episode.observation))
        write_segment(path, episode)
        self._episodes.append(open_segment(path, verify=False))
        self._numbers.append(self._next)
        self._next += 1
        self._decisions += len(episode)
        while self._decisions - len(self._episodes[0]) >= self.settings.capacity:
            self._decisions -= len(self._episodes.pop(0))
            self._numbers.pop(0)
        self._rebuild()

    def index(self) -> dict[str, Any]:
        """What a snapshot stores to find the same buffer again."""
        return {"segments": list(self._numbers), "next": self._next}

    def restore(self, index: dict[str, Any], without_damaged: bool = False) -> list[SegmentError]:
        """Opens the segments of `index`, checking each one's contents.

        Raises SegmentError for a damaged one; or, `without_damaged`, leaves such out and returns what is wrong with them.
        """
        episodes, losses = {}, []
        for number in index["segments"]:
            try:
                episodes[number] = self._open(number)
            except SegmentError as error:
                if not without_damaged:
                    raise
                losses.append(error)
        self._episodes, self._numbers, self._next = list(episodes.values()), list(episodes), index["next"]
        self._decisions = sum(map(len, self._episodes))
        self._rebuild()
        return losses

    def _open(self, number: int) -> Episode:
        episode = open_segment(self._path(number))
        packed = isinstance(episode.observation, PackedFrames)
        if episode.observation.shape[1:] != self.settings.element_shape or packed != self.settings.packed:
            raise SegmentError(f"{self._path(number)}: observations of another kind than this run's")
        return episode

    def delete_unreferenced(self, indices: list[dict[str, Any]]) -> None:
        """Deletes segments that neither the buffer nor any snapshot's index in `indices` names."""
        wanted = set(self._numbers).union(*(index["segments"] for index in indices))
        for path in self._folder.glob("*.seg"):
            if not path.stem.isdigit() or int(path.stem) not in wanted:
                path.unlink(missing_ok=True)

    def sample(self, update: int) -> dict[str, np.ndarray]:
        """The batch of update number `update`, from the episodes held now.

        Windows start uniformly at every decision with `nstep` decisions left in its episode, so that none crosses
        an episode's end; where that is a true end (discount 0), also later, since nothing is to come. Returns observation, next_observation [B, *observation_shape], action [B, A],
        reward and discount [B, 1]: Σ γ^i·Πd·r over the window, and γ^n·Πd (Yarats et al. 2021, Equation 1).
        """
        s = self.settings
        episode, step, row = self._draw(update)
        reward = np.zeros(s.batch_size, np.float32)
        discount = np.ones(s.batch_size, np.float32)
        length = self._lengths[episode]
        for i in range(s.nstep):
            # Behind a true end the discount is 0, whatever stands in the row.
            at = row + np.minimum(i, length - step - 1)
            reward += discount * self._reward[at]
            discount *= self._discount[at] * np.float32(s.discount)
        shifts = self._shifts(update, 2)
        address, scratch = self._locate(episode, step, s.nstep)
        batch = {
            "observation": self._gather(address, step, shifts[0]),
            "action": self._action[row],
            "reward": reward[:, None],
            "discount": discount[:, None],
            "next_observation": self._gather(address, np.minimum(step + s.nstep, length), shifts[1]),
        }
        del scratch  # the addresses point into it: it must live until everything is gathered
        return batch

    def sample_pairs(self, update: int) -> dict[str, np.ndarray]:
        """Observations [B, *observation_shape] and what was stored as actions there [B, A], of update number `update`;
        drawn as in `sample`."""
        episode, step, row = self._draw(update)
        address, scratch = self._locate(episode, step, 0)
        pairs = {"observation": self._gather(address, step, self._shifts(update, 1)[0]), "action": self._action[row]}
        del scratch
        return pairs

    def _draw(self, update: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where the windows of a batch start: the episode, the decision in it, and its row in the tables of all decisions."""
        random = generator(self.settings.seed, Purpose.SAMPLE, update)
        window = random.integers(self._windows_end[-1], size=self.settings.batch_size)
        episode = np.searchsorted(self._windows_end, window, side="right")
        step = window - (self._windows_end[episode] - self._windows[episode])
        return episode, step, self._first_row[episode] + step

    def _shifts(self, update: int, sets: int) -> np.ndarray:
        random = generator(self.settings.seed, Purpose.SHIFT, update)
        return random.integers(2 * SHIFT_PAD + 1, size=(sets, self.settings.batch_size, 2))

    def _locate(self, episode: np.ndarray, step: np.ndarray, ahead: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Where each sample's episode's first observation lies, or would lie if all of it were unpacked; of packed frames
        only those from the stack at `step` to `ahead` decisions later are."""
        s = self.settings
        if not s.packed:
            return self._address[episode], None
        stack = s.observation_shape[0] // s.element_shape[0]
        scratch = np.empty((len(step), window_length(stack + ahead), *s.element_shape), np.uint8)
        first = np.maximum(step - stack + 1, 0)
        sources = [self._episodes[i].observation for i in episode]
        begins = unpack_windows(sources, first, step + ahead, scratch, self._pool)
        rows = scratch.ctypes.data + np.arange(len(step)) * scratch.strides[0]
        return rows - begins * scratch.strides[1], scratch

    def _gather(self, address: np.ndarray, step: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        s = self.settings
        if len(s.observation_shape) == 1:
            out = np.empty((len(step), *s.observation_shape), np.float32)
            gather_rows(address, step, out)
            return out
        channels, size = s.element_shape[0], s.element_shape[1]
        out = np.empty((len(step), *s.observation_shape), np.uint8)
        gather_shifted(address, step, s.observation_shape[0] // channels, channels, size, SHIFT_PAD, shifts, out)
        return out

    def _rebuild(self) -> None:
        """Tables over all episodes; made anew once per episode, which is cheap beside writing it."""
        self._lengths = lengths = np.array([len(e) for e in self._episodes], np.int64)
        ended = np.array([e.discount[-1] == 0 for e in self._episodes], bool)
        self._windows = np.where(ended, lengths, np.maximum(lengths - self.settings.nstep + 1, 0))
        self._windows_end = np.cumsum(self._windows)
        self._first_row = np.cumsum(lengths) - lengths
        if not self.settings.packed:
            self._address = np.array([e.observation.ctypes.data for e in self._episodes], np.int64)
        if self._episodes:
            self._action = np.concatenate([e.action for e in self._episodes])
            self._reward = np.concatenate([e.reward for e in self._episodes])
            self._discount = np.concatenate([e.discount for e in self._episodes])

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.seg"


def bytes_per_decision(element_shape: tuple[int, ...], pixels: bool, packed: bool, action_dim: int) -> int:
    """What one decision takes on disk and in the page cache; for packed frames the most that was measured on a task."""
    observation = int(np.prod(element_shape)) * (1 if pixels else 4)
    return (observation // PACKED_RATIO if packed else observation) + 4 * (action_dim + 2)
