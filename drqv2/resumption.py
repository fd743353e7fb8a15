"""The run folder: whether it has room, who holds it, which configuration it belongs to, and from which files a run goes
on: its own, or with start_from those of another run.

The latter is for what can't be a schedule, such as learning another 100,000 frames with less noise or a smaller step
size. Runs of train.py go on from runs of train.py, those of distill.py from those of distill.py.
"""

import fcntl
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any, TextIO

from torch import Tensor

from drqv2.archive import ArchiveError
from drqv2.episode_files import DamagedEpisode
from drqv2.replay import Replay, file_names
from drqv2.settings import BEFORE_THE_OPTION, MAY_CHANGE
from drqv2.snapshot import SNAPSHOT, read_snapshot, write_snapshot
from runtime.errors import UserError
from runtime.files import remove_leftovers, sha256_file, write_json

_PREVIOUS, _NEW, _DAMAGED = "snapshot.prev.pt", "snapshot.new.pt", "snapshot.damaged.pt"
RECORD = "start_from.json"  # where the run came from, in its folder

# Options that say what networks and replay are; those of the two runs must be the same. A program has not all of them.
SAME = (
    "task_name",
    "obs",
    "frame_stack",
    "action_repeat",
    "feature_dim",
    "hidden_dim",
    "actor_trunk",
    "normalize_observations",
    "replay_compression",
    "state_weight",
)
_GB = 1e9


class RunDir:
    """Holds the lock of a run folder for as long as the process lives, and its two newest snapshots."""

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._take_lock(config["lock"])
            complete_snapshot(self.path)
            self._check_config(config)
            # What a killed process was writing; nobody else writes here while we hold the lock.
            for folder in (self.path, self.path / "replay"):
                remove_leftovers(folder)
        except OSError as error:
            raise UserError(f"root, name: the run folder {self.path} can't be used ({error.strerror})") from None
        self._previous_index: dict[str, Any] | None = None

    def _take_lock(self, wanted: bool) -> TextIO:
        lock = open(self.path / "run.lock", "a+", encoding="utf-8")
        if not wanted:
            return lock
        try:
            # The kernel drops the lock when the process ends, however it ends: no stale lock can remain.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            raise UserError(
                f"name={self.path.name}: {owner} is training in {self.path}; wait for it, or give another name="
            ) from None
        except OSError as error:
            raise UserError(
                f"lock=true: {lock.name} can't be locked on this file system ({error.strerror}); give lock=false, and "
                "make sure that no two processes train in one folder"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        return lock

    def close(self) -> None:
        """Lets another trainer have the folder."""
        self._lock.close()

    def _check_config(self, config: dict[str, Any]) -> None:
        """Refuses a folder that has a snapshot of another configuration, naming what differs."""
        file = self.path / "config.json"
        if file.exists() and newest_snapshot(self.path) is not None:
            try:
                before = json.loads(file.read_text(encoding="utf-8"))
            except ValueError:
                raise UserError(f"{file}: can't be read; move the folder away or give another name=") from None
            if before.get("precision") == "auto":  # of a version that kept the word; its snapshot knows what it came to
                before["precision"] = config["precision"]
            differ = [key for key in sorted(before.keys() | config.keys()) if key not in MAY_CHANGE]
            if named := ", ".join(
                f"{key}={config.get(key)} (was {option(before, key)})"
                for key in differ
                if option(before, key) != config.get(key)
            ):
                raise UserError(f"{named}: {self.path} was trained with another configuration; give another name=")
        write_json(file, config)

    def begin_from(self, source: Path, config: dict[str, Any]) -> None:
        """Fills the folder from the run folder `source`; does nothing where it has a snapshot already.

        Data files come first and the snapshot last, so that a copy cut short is begun again by the same command. RECORD
        keeps the source's path, frame, configuration and the hash of its snapshot. Raises UserError if `source` is no
        run folder or `config` asks for other networks or another replay than it has.
        """
        if newest_snapshot(self.path) is not None:
            return
        right = f"give the folder of a run of {_program(config)}"
        stored = newest_snapshot(source)
        if stored is None:
            raise UserError(f"start_from={source}: has no {SNAPSHOT}; {right}")
        # A copy is read, because the run may go on meanwhile and replace its own.
        snapshot = self.path / f".{SNAPSHOT}.tmp"
        try:
            shutil.copyfile(stored, snapshot)
            meta, _ = read_snapshot(snapshot)
            before = meta["policy"]["config"]
            if _program(before) != _program(config):
                raise UserError(f"start_from={source}: a run of {_program(before)}; {right}")
            for key in SAME:
                stored, wanted = option(before, key), option(config, key)
                # With any state_weight lessons hold states and the snapshot a layer that tells them.
                if stored != wanted and not (key == "state_weight" and stored and wanted):
                    raise UserError(f"{key}={wanted}: the run of start_from={source} has {stored}; give the same")
            (self.path / "replay").mkdir(exist_ok=True)
            for name in file_names(meta["replay"]):
                shutil.copyfile(source / "replay" / name, self.path / "replay" / name)
            for name in ("train.csv", "eval.csv"):
                shutil.copyfile(source / name, self.path / name)
        except (ArchiveError, KeyError, TypeError, FileNotFoundError) as error:
            raise UserError(f"start_from={source}: can't be used ({error}); {right}") from None
        record = {
            "run": str(source.absolute()),
            "frame": meta["policy"]["frame"],
            "snapshot_sha256": sha256_file(snapshot),
            "config": before,
        }
        write_json(self.path / RECORD, record)
        os.replace(snapshot, self.path / SNAPSHOT)

    def write(self, meta: dict[str, Any], tensors: dict[str, Tensor], replay: Replay) -> None:
        """Writes a snapshot, keeping the one before it, then drops data files that neither needs.

        Raises OSError where the disk refuses; both older snapshots then stand as they were.
        """
        write_snapshot(self.path / _NEW, meta, tensors)
        complete_snapshot(self.path)
        replay.delete_unreferenced([] if self._previous_index is None else [self._previous_index])
        self._previous_index = meta["replay"]

    def read(self, replay: Replay) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """The newest snapshot that is whole together with its episodes; None where none was ever written.

        Where both snapshots need a damaged episode, the newer one goes on without it. Each of these is said in a line.
        Raises UserError where snapshots exist but none can be used, UserError or OSError where the system refuses a
        file, which is no damage and changes nothing on the disk.
        """
        problems = []
        snapshots = [path for path in (self.path / SNAPSHOT, self.path / _PREVIOUS) if path.exists()]
        for without_damaged, path in itertools.product((False, True), snapshots):
            try:
                meta, tensors = read_snapshot(path)
                for loss in replay.restore(meta["replay"], without_damaged):
                    print(f"{loss}; going on without this episode", flush=True)
            except (ArchiveError, DamagedEpisode) as error:
                if not without_damaged:
                    problems.append(str(error))
                    print(f"{error}; trying the snapshot before it", flush=True)
                continue
            if path != snapshots[0]:
                # Else the next snapshot would keep the damaged one and drop this.
                os.replace(snapshots[0], self.path / _DAMAGED)
                os.replace(path, snapshots[0])
            self._previous_index = meta["replay"]
            return meta, tensors
        if problems:
            raise UserError(
                f"no usable snapshot in {self.path}: {'; '.join(problems)}; move the folder away to start anew"
            )
        return None


def option(config: dict[str, Any], key: str) -> Any:
    """An option of a stored configuration, which may be of a time before there was such an option."""
    return config.get(key, BEFORE_THE_OPTION.get(key))


def newest_snapshot(folder: Path) -> Path | None:
    """The snapshot that a run folder would be resumed from, if it is whole; None where there is none."""
    # Between two renames it has not got its name yet, and two stand under others.
    return next((folder / name for name in (SNAPSHOT, _NEW, _PREVIOUS) if (folder / name).is_file()), None)


def complete_snapshot(folder: Path) -> None:
    """Gives a snapshot that was written whole its name, and the one before it that of the previous one.

    A process may be killed before, between or behind the two renames: done again, they end the same.
    """
    if (folder / _NEW).exists():
        if (folder / SNAPSHOT).exists():
            os.replace(folder / SNAPSHOT, folder / _PREVIOUS)
        os.replace(folder / _NEW, folder / SNAPSHOT)


def _program(config: dict[str, Any]) -> str:
    return "distill.py" if "teacher" in config else "train.py"


def check_room(folder: Path, needed: int) -> str:
    """A line that says how many bytes the replay will take on disk and in memory.

    Data files are mapped, so memory holds them as cache; more of them than memory makes every batch wait for the disk.
    Raises UserError where the disk's free space (what the run already wrote counted in) or 90 % of the memory can't
    hold them.
    """
    written = sum(path.stat().st_size for path in folder.glob("replay/*"))
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free + written
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > free:
        raise UserError(
            f"replay_buffer_size, root: the replay will need {needed / _GB:.1f} GB, but the disk of {existing} has "
            f"{free / _GB:.1f} GB free; set the buffer smaller or root= to another disk"
        )
    if needed > 0.9 * memory:
        raise UserError(
            f"replay_buffer_size: the replay will need {needed / _GB:.1f} GB, more than 90 % of this machine's "
            f"{memory / _GB:.1f} GB of memory; set it smaller"
        )
    return (
        f"replay: up to {needed / _GB:.2f} GB on disk, kept in memory as cache "
        f"({free / _GB:.0f} GB free on disk, {memory / _GB:.0f} GB of memory)"
    )
