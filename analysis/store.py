"""Records of finished trials on disk, each in a file named by the hash of what it was computed from.

As in `evaluation.store`: a file is whole or absent, several processes may share the folder, and a damaged file is
computed again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analysis.trial import Record, Trial
from runtime.errors import UserError
from runtime.files import atomic_write

_NAMES = tuple(field.name for field in dataclasses.fields(Record))


class Store:
    """Records of trials under `root`. `say` receives a line for every unreadable file met."""

    def __init__(self, root: str | Path, say: Callable[[str], None]):
        self.root = Path(root).absolute()
        self._say = say

    def path(self, trial: Trial) -> Path:
        """Where the trial's record is or would be."""
        return self.root / trial.digest[:2] / f"{trial.digest}.npz"

    def get(self, trial: Trial) -> Record | None:
        """The stored record, or None where there is none or the file doesn't check."""
        path = self.path(trial)
        try:
            with np.load(path, allow_pickle=False) as file:
                record = Record(**{name: file[name] for name in _NAMES})
                if str(file["checksum"]) != _checksum(trial, record):
                    raise ValueError("checksum differs")
            return record
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            self._say(f"{path}: unusable record ({error!s:.100}); this episode is played again")
            return None

    def put(self, trial: Trial, record: Record) -> None:
        """Stores the record atomically. Raises UserError where the disk refuses."""
        buffer = io.BytesIO()
        arrays = {name: getattr(record, name) for name in _NAMES}
        np.savez_compressed(buffer, trial=json.dumps(trial.fields()), checksum=_checksum(trial, record), **arrays)
        try:
            atomic_write(self.path(trial), buffer.getvalue())
        except OSError as error:
            raise UserError(f"store={self.root}: can't be written ({error.strerror or error})") from error


def _checksum(trial: Trial, record: Record) -> str:
    digest = hashlib.sha256(trial.digest.encode())
    for name in _NAMES:
        array = np.ascontiguousarray(getattr(record, name))
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode() + array.tobytes())
    return digest.hexdigest()
