"""Files that are either whole or absent, whatever happens to the process that writes them.

All that is asked of the file system is that renaming a file within a folder is atomic, as POSIX has it and NFS, Lustre,
BeeGFS and the like do: neither locks nor links are used.
"""

import errno
import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

_ABANDONED = 3600  # seconds after which a file half written is nobody's any more
_cleared: set[Path] = set()


@contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a temporary file beside `path`; on success it is flushed to disk and takes the name.

    On an exception the temporary file goes and whatever stood at `path` stays as it was.
    Raises OSError as the file system does (no space, no rights).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        with open(temporary, "xb") as file:
            if path.parent not in _cleared:
                _cleared.add(path.parent)
                remove_leftovers(path.parent, before=os.fstat(file.fileno()).st_mtime - _ABANDONED)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    # Without this the new name may be lost in a power cut although the contents are safe.
    sync_folder(path.parent)


def remove_leftovers(folder: Path, before: float = math.inf) -> None:
    """Deletes what killed processes were writing in `folder` and didn't touch since `before`, in the file system's
    time.
    """
    for left in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):  # another process may be clearing up too
            if left.stat().st_mtime < before:
                left.unlink()


def sync_folder(folder: Path) -> None:
    """Waits until the names of new files in `folder` are on the disk."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    except OSError as error:
        # Some network file systems can't flush a folder; its files stand there all the same.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(directory)


def atomic_write(path: str | Path, data: bytes) -> None:
    """Writes `data` to `path` as a whole or not at all."""
    with atomic_file(path) as file:
        file.write(data)


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as indented JSON, atomically. NaN and infinities raise ValueError: JSON has no such thing."""
    atomic_write(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def sha256_file(path: str | Path) -> str:
    """SHA-256 of the file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
