"""Replay of whole episodes kept on disk, with batches that are functions of (seed, update number).

Only finished episodes are sampled. The list of episodes that make up the buffer (`index`) belongs to the
snapshot: a run that is cut off goes on with exactly the episodes that its snapshot knew.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drqv2.episode_files import DamagedEpisode, EpisodeFiles, Row, StoredEpisode, data_file, observation_offset
from drqv2.frames import KEY, PackedFrames, pack, unpack_window
from drqv2.old_replays import read_segment, segment_path
from drqv2.pixel_augmentation import gather_shifted
from drqv2.randomness import generator

SHIFT_PAD = 4
PACKED_RATIO = 2  # quadruped_walk, whose background moves most, packs to 9.9 kB of 21.2 while it walks; others to less
FILE_BYTES = 256 * 2**20
MOST_FILES = 64  # of a full buffer, apart from the file that loses its last episode and the one that gains its first
_FILE, _DECISIONS = Row._fields.index("file"), Row._fields.index("decisions")


@dataclass(frozen=True)
class ReplaySettings:
    """observation_shape: of what the agent sees (stacks); element_shape: of what is stored per decision.

    capacity: decisions kept; nstep: rewards per transition; discount: γ per decision; packed: whether frames are
    compressed (pixels only); file_bytes: the least size at which a data file is full.
    """

    observation_shape: tuple[int, ...]
    element_shape: tuple[int, ...]
    capacity: int
    batch_size: int
    nstep: int
    discount: float
    seed: int
    packed: bool = False
    file_bytes: int = FILE_BYTES


class Replay:
    """Episodes in data files in `folder`, oldest dropped first once more than `capacity` decisions are held."""

    def __init__(self, folder: Path, settings: ReplaySettings) -> None:
        self.settings = s = settings
        most = s.capacity * bytes_per_decision(s.element_shape, s.packed, 0)
        self._files = EpisodeFiles(folder, s.element_shape, s.packed, max(s.file_bytes, most // MOST_FILES))
        self._folder = folder
        self._pool = ThreadPoolExecutor(os.cpu_count(), "unpack") if s.packed else None
        self._forget()

    def __len__(self) -> int:
        """Decisions held."""
        return int(self._rows[:, _DECISIONS].sum())

    @property
    def sampleable(self) -> bool:
        """Whether any episode is long enough for one n-step window."""
        return bool(self._windows_end.size and self._windows_end[-1] > 0)

    def add(self, episode: StoredEpisode) -> None:
        """Writes a finished episode to disk and makes it sampleable. Raises OSError where the disk is full."""
        if self.settings.packed and not isinstance(episode.observation, PackedFrames):
            episode = dataclasses.replace(episode, observation=pack(episode.observation))
        self._extend([self._files.append(episode)], [episode])

    def index(self) -> dict[str, Any]:
        """What a snapshot stores to find the same buffer again, once all of it is on the disk."""
        self._files.flush()
        return {"episodes": self._rows.tolist()}

    def restore(self, index: dict[str, Any], without_damaged: bool = False) -> list[str]:
        """Takes up the episodes of `index`, each one's contents checked; those in files of their own, as earlier
        versions wrote them, are copied into data files.

        Raises DamagedEpisode for a damaged one; or, `without_damaged`, leaves such out and returns what is wrong with
        them. Raises OSError where a file can't be read, which says nothing about its contents.
        """
        if "segments" in index:
            return self._copy([segment_path(self._folder, number) for number in index["segments"]], without_damaged)
        rows = [Row._make(row) for row in index["episodes"]]
        losses = {row: damage for row in rows if (damage := self._files.damage(row))}
        if losses and not without_damaged:
            raise DamagedEpisode(next(iter(losses.values())))
        whole = [row for row in rows if row not in losses]
        self._forget()
        self._files.open(whole)
        self._extend(whole, [self._files.read(row) for row in whole])
        return list(losses.values())

    def _copy(self, files: list[Path], without_damaged: bool) -> list[str]:
        print(f"{self._folder}: copying {len(files)} episodes into data files", flush=True)
        self._forget()
        losses = []
        for file in files:
            try:
                self.add(read_segment(file))
            except DamagedEpisode as error:
                if not without_damaged:
                    raise
                losses.append(str(error))
        return losses

    def episodes(self) -> list[StoredEpisode]:
        """Those held, oldest first, as views of the mapped files: to be let go before the next `add`."""
        return [self._files.read(self._row(number)) for number in range(len(self._rows))]

    def delete_unreferenced(self, indices: list[dict[str, Any]]) -> None:
        """Deletes files that neither the buffer nor any snapshot's index in `indices` names."""
        rows = [*self._rows.tolist(), *(row for index in indices for row in index.get("episodes", ()))]
        self._files.delete_except({row[_FILE] for row in rows})
        if not any("segments" in index for index in indices):
            for path in self._folder.glob("*.seg"):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Ends threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def sample(self, update: int) -> dict[str, np.ndarray]:
        """The batch of update number `update`, from the episodes held now.

        Windows start uniformly at every decision with `nstep` decisions left in its episode, so that none crosses
        an episode's end; where that is a true end (discount 0), also later, since nothing is to come. Returns
        observation, next_observation [B, *observation_shape], action [B, A], reward and discount [B, 1]: Σ γ^i·Πd·r
        over the window, and γ^n·Πd (Yarats et al. 2021, Equation 1).
        """
        s = self.settings
        episode, step, decision = self._draw(update)
        reward = np.zeros(s.batch_size, np.float32)
        discount = np.ones(s.batch_size, np.float32)
        left = self._rows[episode, _DECISIONS] - step
        for i in range(s.nstep):
            # Behind a true end the discount is 0, whatever stands there.
            at = decision + np.minimum(i, left - 1)
            reward += discount * self._held["reward"][at]
            discount *= self._held["discount"][at] * np.float32(s.discount)
        observation, next_observation = self._observations(update, episode, step, step + np.minimum(s.nstep, left))
        return {
            "observation": observation,
            "action": self._held["action"][decision],
            "reward": reward[:, None],
            "discount": discount[:, None],
            "next_observation": next_observation,
        }

    def sample_pairs(self, update: int) -> dict[str, np.ndarray]:
        """Observations [B, *observation_shape] and what was stored as actions there [B, A], of update number `update`;
        drawn as in `sample`."""
        episode, step, decision = self._draw(update)
        return {"observation": self._observations(update, episode, step)[0], "action": self._held["action"][decision]}

    def _draw(self, update: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where a batch's windows start: the episode, the decision in it, and that decision's place among all held."""
        rng = generator(self.settings.seed, "sample", update)
        window = rng.integers(self._windows_end[-1], size=self.settings.batch_size)
        episode = np.searchsorted(self._windows_end, window, side="right")
        step = window - (self._windows_end[episode] - self._windows[episode])
        return episode, step, self._first_decision[episode] + step

    def _observations(self, update: int, episode: np.ndarray, *steps: np.ndarray) -> Sequence[np.ndarray]:
        """What the agent saw at each of `steps` [B], the last of which are the latest, [B, *observation_shape] each."""
        s, count = self.settings, len(episode)
        pixels = len(s.element_shape) == 3
        stack = s.observation_shape[0] // s.element_shape[0]
        out = np.empty((len(steps) * count, *s.observation_shape), np.uint8 if pixels else np.float32)
        if pixels:
            shifts = generator(s.seed, "shift", update).integers(2 * SHIFT_PAD + 1, size=(len(out), 2))
        # All in one call for each source, because starting its threads costs more than gathering a few images.
        for contents, starts, samples in self._sources(episode, steps[0] - stack + 1, steps[-1]):
            rows = np.concatenate([samples + i * count for i in range(len(steps))])
            wanted = np.concatenate([step[samples] for step in steps])
            starts = np.tile(starts, len(steps))
            if pixels:
                gather_shifted(contents, starts, wanted, rows, stack, SHIFT_PAD, shifts[rows], out)
            else:
                width = out.shape[1]
                numbers = contents[: len(contents) // 4 * 4].view(np.float32)
                out[rows] = numbers[(starts // 4 + wanted * width)[:, None] + np.arange(width)]
        return np.split(out, len(steps))

    def _sources(
        self, episode: np.ndarray, first: np.ndarray, last: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Bytes that hold the observations `first` to `last` of the samples' episodes, where in them those episodes
        begin, and which samples these are."""
        if self._pool is None:
            files = self._rows[episode, _FILE]
            for number in np.unique(files):
                rows = np.flatnonzero(files == number)
                yield self._files.mapped[number], self._observation_offset[episode[rows]], rows
            return
        first = np.maximum(first, 0)
        span = int((last - first).max()) + 1
        windows = np.empty((len(first), span + KEY - 1, *self.settings.element_shape), np.uint8)

        def fill(b: int) -> int:
            number = episode[b]
            if number not in self._packed:
                self._packed[number] = self._files.observations(self._row(number))
            return unpack_window(self._packed[number], first[b], last[b], windows[b])

        begins = np.fromiter(self._pool.map(fill, range(len(first))), np.int64, len(first))
        window, frame = windows.strides[:2]
        yield windows.reshape(-1), np.arange(len(first)) * window - begins * frame, np.arange(len(first))

    def _row(self, episode: int) -> Row:
        return Row._make(self._rows[episode].tolist())

    def _forget(self) -> None:
        self._rows = np.empty((0, len(Row._fields)), np.int64)
        self._held: dict[str, np.ndarray] = {}
        self._tabulate()

    def _extend(self, rows: list[Row], episodes: list[StoredEpisode]) -> None:
        """Appends episodes to the tables and drops the oldest. Costs a copy of all numbers: milliseconds an episode."""
        if not rows:
            return
        self._rows = np.concatenate([self._rows, rows])
        ends = np.cumsum(self._rows[:, _DECISIONS])
        gone = int((ends[-1] - ends >= self.settings.capacity).sum())
        self._rows = self._rows[gone:]
        for name in ("action", "reward", "discount"):
            before = [self._held[name]] if name in self._held else []
            joined = np.concatenate([*before, *(getattr(episode, name) for episode in episodes)])
            self._held[name] = joined[ends[gone - 1] if gone else 0 :]
        self._tabulate()

    def _tabulate(self) -> None:
        lengths = self._rows[:, _DECISIONS]
        ends = np.cumsum(lengths)
        ended = self._held["discount"][ends - 1] == 0 if self._held else np.empty(0, bool)
        self._windows = np.where(ended, lengths, np.maximum(lengths - self.settings.nstep + 1, 0))
        self._windows_end = np.cumsum(self._windows)
        self._first_decision = ends - lengths
        self._observation_offset = observation_offset(self._rows.T)
        self._packed: dict[int, Any] = {}  # views of the mapped files, which are mapped anew with every episode


def file_names(index: dict[str, Any]) -> list[str]:
    """The files in a replay's folder that an `index` needs."""
    if "segments" in index:
        return [segment_path(Path(), number).name for number in index["segments"]]
    return [data_file(Path(), number).name for number in sorted({row[_FILE] for row in index["episodes"]})]


def bytes_per_decision(element_shape: tuple[int, ...], packed: bool, action_size: int) -> int:
    """What one decision takes on disk and in the page cache; for packed frames the most that was measured on a task."""
    observation = int(np.prod(element_shape)) * (1 if len(element_shape) == 3 else 4)
    return (observation // PACKED_RATIO if packed else observation) + 4 * (action_size + 2)
