"""Files that are either whole or absent, whatever happens to the process that writes them.

All that is asked of the file system is that renaming a file within a folder is atomic, as POSIX has it and NFS, Lustre, BeeGFS
and the like do: neither locks nor links are used.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a temporary file beside `path`; on success it is flushed to disk and takes the name.

    On an exception the temporary file goes and whatever stood at `path` stays as it was.
    Raises OSError as the file system does (no space, no rights).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; results are meant to be shared as any file is.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    # Without this the new name may be lost in a power cut although the contents are safe.
    sync_folder(path.parent)


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
