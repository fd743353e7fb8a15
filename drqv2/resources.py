"""Whether the replay that a run will fill fits on this machine, said before hours are spent."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from runtime.errors import UserError

_GB = 1e9


def check_room(folder: Path, needed: int) -> str:
    """A line that says how many bytes the replay will take on disk and in memory.

    Segments are mapped, so memory holds them as cache; more of them than memory makes every batch wait for the disk.
    Raises UserError where the disk's free space (what the run already wrote counted in) or 90 % of the memory can't hold them.
    """
    written = sum(path.stat().st_size for path in folder.glob("replay/*.seg"))
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free + written
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for what, room in (("disk has free", free), ("memory (of which 90 % may be used) is", memory)):
        limit = room if what.startswith("disk") else 0.9 * room
        if needed > limit:
            raise UserError(
                f"replay_buffer_size: the replay will need {needed / _GB:.1f} GB, but the {what} {room / _GB:.1f} GB; set it smaller"
            )
    return f"replay: up to {needed / _GB:.2f} GB on disk, kept in memory as cache ({free / _GB:.0f} GB free on disk, {memory / _GB:.0f} GB of memory)"
