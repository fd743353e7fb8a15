"""The run folder: whose it is, which configuration it belongs to, and which files a resumed run goes on with."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any, TextIO

from torch import Tensor

from drqv2.archive import ArchiveError
from drqv2.episode_files import DamagedEpisode
from drqv2.replay import Replay
from drqv2.settings import MAY_CHANGE
from drqv2.snapshot import SNAPSHOT, read_snapshot, write_snapshot
from runtime.errors import UserError
from runtime.files import write_json

_PREVIOUS, _NEW, _DAMAGED = "snapshot.prev.pt", "snapshot.new.pt", "snapshot.damaged.pt"


class RunDir:
    """Holds the lock of a run folder for as long as the process lives, and its two newest snapshots."""

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._take_lock()
            self._check_config(config)
            # What a killed process was writing; nobody else writes here while we hold the lock.
            for left in (*self.path.glob(".*.tmp"), *self.path.glob("replay/.*.tmp")):
                left.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"root, name: the run folder {self.path} can't be used ({error.strerror})") from None
        self._previous_index: dict[str, Any] | None = None

    def _take_lock(self) -> TextIO:
        lock = open(self.path / "run.lock", "a+")
        try:
            # The kernel drops the lock when the process ends, however it ends: no stale lock can remain.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            raise UserError(
                f"name={self.path.name}: {owner} is training in {self.path}; wait for it, or give another name="
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        return lock

    def close(self) -> None:
        """Lets another trainer have the folder."""
        self._lock.close()

    def _check_config(self, config: dict[str, Any]) -> None:
        """Refuses a folder that another configuration trained in, naming what differs; without a snapshot nothing is lost."""
        file = self.path / "config.json"
        if file.exists() and any((self.path / name).exists() for name in (SNAPSHOT, _PREVIOUS)):
            try:
                before = json.loads(file.read_text())
            except ValueError:
                raise UserError(f"{file}: can't be read; move the folder away or give another name=") from None
            if before.get("precision") == "auto":  # of a version that kept the word and not what it came to
                before["precision"] = config["precision"]
            differ = sorted(
                k for k in before.keys() | config.keys() if k not in MAY_CHANGE and before.get(k) != config.get(k)
            )
            if differ:
                named = ", ".join(f"{k}={config.get(k)} (was {before.get(k)})" for k in differ)
                raise UserError(f"{named}: {self.path} was trained with another configuration; give another name=")
        write_json(file, config)

    def write(self, meta: dict[str, Any], tensors: dict[str, Tensor], replay: Replay) -> None:
        """Writes a snapshot, keeping the one before it, then drops replay segments that neither needs.

        Raises OSError where the disk refuses; both older snapshots then stand as they were.
        """
        current = self.path / SNAPSHOT
        write_snapshot(self.path / _NEW, meta, tensors)
        if current.exists():
            os.replace(current, self.path / _PREVIOUS)
        os.replace(self.path / _NEW, current)
        indices = [index for index in (self._previous_index,) if index is not None]
        replay.delete_unreferenced(indices)
        self._previous_index = meta["replay"]

    def read(self, replay: Replay) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """The newest snapshot that is whole together with its replay segments; None where none was ever written.

        Where both snapshots need a damaged segment, the newer one goes on without that episode. Each of these is said
        in a line. Raises UserError where snapshots exist but none can be used.
        """
        problems = []
        for without_damaged in (False, True):
            for path in (self.path / SNAPSHOT, self.path / _PREVIOUS):
                if not path.exists():
                    continue
                try:
                    meta, tensors = read_snapshot(path)
                    for loss in replay.restore(meta["replay"], without_damaged=without_damaged):
                        print(f"{loss}; going on without this episode", flush=True)
                except (ArchiveError, DamagedEpisode) as error:
                    if not without_damaged:
                        problems.append(str(error))
                        print(f"{error}; trying the snapshot before it", flush=True)
                    continue
                if path.name == _PREVIOUS and (self.path / SNAPSHOT).exists():
                    # Else the next snapshot would keep the damaged one and drop this.
                    os.replace(self.path / SNAPSHOT, self.path / _DAMAGED)
                    os.replace(path, self.path / SNAPSHOT)
                self._previous_index = meta["replay"]
                return meta, tensors
        if problems:
            raise UserError(
                f"no usable snapshot in {self.path}: {'; '.join(problems)}; move the folder away to start anew"
            )
        return None
