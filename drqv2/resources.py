"""Checks that the replay that a run will fill fits on this machine, before hours are spent."""

import os
import shutil
from pathlib import Path

from runtime.errors import UserError

_GB = 1e9


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
