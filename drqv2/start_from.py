"""A new run that continues from another one, with options of its own: its networks, optimisers, replay and curves.

For what can't be a schedule, such as learning another 100,000 frames with less noise or a smaller step size. Runs of
train.py go on from runs of train.py, those of distill.py from those of distill.py.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from drqv2.archive import ArchiveError
from drqv2.replay import file_names
from drqv2.resumption import newest_snapshot, option
from drqv2.snapshot import SNAPSHOT, read_snapshot
from runtime.errors import UserError
from runtime.files import sha256_file, write_json

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


def begin(folder: Path, source: Path, config: dict[str, Any]) -> None:
    """Fills the run folder `folder` from the run folder `source`; does nothing where `folder` has a snapshot already.

    Data files come first and the snapshot last, so that a copy cut short is begun again by the same command. RECORD
    keeps the source's path, frame, configuration and the hash of its snapshot. Raises UserError if `source` is no run
    folder or `config` asks for other networks or another replay than it has.
    """
    if newest_snapshot(folder) is not None:
        return
    right = f"give the folder of a run of {_program(config)}"
    stored = newest_snapshot(source)
    if stored is None:
        raise UserError(f"start_from={source}: has no {SNAPSHOT}; {right}")
    # A copy is read, because the run may go on meanwhile and replace its own.
    snapshot = folder / f".{SNAPSHOT}.tmp"
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
        (folder / "replay").mkdir(exist_ok=True)
        for name in file_names(meta["replay"]):
            shutil.copyfile(source / "replay" / name, folder / "replay" / name)
        for name in ("train.csv", "eval.csv"):
            shutil.copyfile(source / name, folder / name)
    except (ArchiveError, KeyError, TypeError, FileNotFoundError) as error:
        raise UserError(f"start_from={source}: can't be used ({error}); {right}") from None
    record = {
        "run": str(source.absolute()),
        "frame": meta["policy"]["frame"],
        "snapshot_sha256": sha256_file(snapshot),
        "config": before,
    }
    write_json(folder / RECORD, record)
    os.replace(snapshot, folder / SNAPSHOT)


def _program(config: dict[str, Any]) -> str:
    return "distill.py" if "teacher" in config else "train.py"
