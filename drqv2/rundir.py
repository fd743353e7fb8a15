"""The run folder: whose it is, which configuration it belongs to, and which files a resumed run goes on with."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any, TextIO

from drqv2.archive import ArchiveError
from drqv2.replay import Replay
from drqv2.segments import SegmentError
from drqv2.settings import MAY_CHANGE
from drqv2.snapshot import SNAPSHOT, read_snapshot, write_snapshot
from runtime.errors import UserError
from runtime.files import write_json
from torch import Tensor

_PREVIOUS = "snapshot.prev.pt"


class RunDir:
    """Holds the lock of a run folder for as long as the process lives, and its two newest snapshots."""

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._take_lock()
            self._check_config(config)
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
            raise UserError(f"name={self.path.name}: {owner} is training in {self.path}; wait for it, or give another name=") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        return lock

    def _check_config(self, config: dict[str, Any]) -> None:
        """Refuses a folder that another configuration made, naming what differs."""
        file = self.path / "config.json"
        if file.exists():
            try:
                before = json.loads(file.read_text())
            except ValueError:
                raise UserError(f"{file}: can't be read; move the folder away or give another name=") from None
            differ = sorted(k for k in before.keys() | config.keys() if k not in MAY_CHANGE and before.get(k) != config.get(k))
            if differ:
                named = ", ".join(f"{k}={config.get(k)} (was {before.get(k)})" for k in differ)
                raise UserError(f"{named}: {self.path} was trained with another configuration; give another name=")
        write_json(file, config)

    def write(self, meta: dict[str, Any], tensors: dict[str, Tensor], replay: Replay) -> None:
        """Writes a snapshot, keeping the one before it, then drops replay segments that neither needs."""
        current = self.path / SNAPSHOT
        if current.exists():
            os.replace(current, self.path / _PREVIOUS)
        write_snapshot(current, meta, tensors)
        indices = [index for index in (self._previous_index,) if index is not None]
        replay.delete_unreferenced(indices)
        self._previous_index = meta["replay"]

    def read(self, replay: Replay) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """The newest snapshot that is whole together with its replay segments; None where none was ever written.

        Raises UserError where snapshots exist but none can be used.
        """
        problems = []
        for path in (self.path / SNAPSHOT, self.path / _PREVIOUS):
            if not path.exists():
                continue
            try:
                meta, tensors = read_snapshot(path)
                replay.restore(meta["replay"])
            except (ArchiveError, SegmentError) as error:
                problems.append(str(error))
                print(f"{error}; trying the snapshot before it", flush=True)
                continue
            self._previous_index = meta["replay"]
            return meta, tensors
        if problems:
            raise UserError(f"no usable snapshot in {self.path}: {'; '.join(problems)}; move the folder away to start anew")
        return None
