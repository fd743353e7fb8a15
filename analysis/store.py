"""Records of finished trials on disk."""

import dataclasses
import hashlib
import io
import json
import math

import numpy as np

from analysis.layers import NUMBERS
from analysis.trial import Trial, TrialRecord
from evaluation.episode_store import Store

_NAMES = tuple(field.name for field in dataclasses.fields(TrialRecord))


class TrialStore(Store[Trial, TrialRecord]):
    """Records of trials, each an npz file of its arrays with the trial's fields and a checksum over both."""

    suffix, what = ".npz", "this episode is played"

    def encode(self, key: Trial, value: TrialRecord) -> bytes:
        buffer = io.BytesIO()
        arrays = {name: getattr(value, name) for name in _NAMES}
        np.savez_compressed(buffer, trial=json.dumps(key.fields()), checksum=_checksum(key, value), **arrays)
        return buffer.getvalue()

    def decode(self, key: Trial, data: bytes) -> TrialRecord:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            record = TrialRecord(**{name: file[name] for name in _NAMES})
            if str(file["checksum"]) != _checksum(key, record):
                raise ValueError("checksum differs")
        lengths = {len(getattr(record, name)) for name in _NAMES if name not in ("layers", "capped")}
        if len(lengths) != 1 or not 0 < len(record.rewards) <= (key.key.max_decisions or math.inf):
            raise ValueError(f"columns of {sorted(lengths)} decisions")
        if not np.isfinite(record.rewards).all() or record.layers.shape[1:] != (
            record.residual_cosines.shape[1],
            NUMBERS,
        ):
            raise ValueError("rewards or layers that can't be")
        return record


def _checksum(trial: Trial, record: TrialRecord) -> str:
    digest = hashlib.sha256(trial.digest.encode())
    for name in _NAMES:
        array = np.ascontiguousarray(getattr(record, name))
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode() + array.tobytes())
    return digest.hexdigest()
