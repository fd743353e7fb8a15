"""A trial: one episode observed closely, its record, and the records of finished trials on disk.

A *leader* acts in the episode; a *shadow* is asked at every observation of the leader's what it would have done, and
its action is tried out for one decision in a branch of the episode.
"""

import dataclasses
import hashlib
import io
import json
import math
from typing import Any

import numpy as np

from analysis.layers import NUMBERS
from evaluation.episode_store import ANN, EpisodeKey, Hashed, Method, Store, code_fingerprint

# One more whenever a trial's fields or its record change their meaning.
TRIAL_VERSION = 1
# The code that decides a record, besides that which decides the episode's course.
_CODE = ("analysis/trial.py", "analysis/play.py", "analysis/disturbance.py", "analysis/layers.py")

ULP, GAUSSIAN, SHUFFLED, ORDERED, FLIPPED = "ulp", "gaussian", "shuffled", "ordered", "flipped"
RECORDED = (GAUSSIAN, SHUFFLED, ORDERED)  # made from errors that another trial recorded
DISTURBANCES = (ULP, *RECORDED, FLIPPED)


@dataclasses.dataclass(frozen=True)
class Disturbance:
    """What is added to the ANN's actions (see `analysis.disturbance`). `source`: digest of the trial whose errors it is
    made from, None for kinds that need no such trial; `seed` of what is drawn."""

    kind: str
    source: str | None
    seed: int


@dataclasses.dataclass(frozen=True)
class Trial(Hashed):
    """`key`: of the episode and its leader. `shadow`: a method with its α, by default the ANN. `layer_decisions`: how
    many decisions, spread over the episode, a spiking leader's layers are taken apart at."""

    key: EpisodeKey
    shadow: Method = ANN
    shadow_alpha: float | None = None
    disturbance: Disturbance | None = None
    layer_decisions: int = 0

    @property
    def branches(self) -> bool:
        """Whether the shadow's actions are tried out. After one ulp there is nothing to see one decision later."""
        return self.disturbance is None or self.disturbance.kind != ULP

    @property
    def row(self) -> int:
        """The row of the network's batch that it always runs in; undisturbed, that of its episode (see
        `EpisodeKey.row`)."""
        chunk = self.key.compute.chunk
        # Every second kind in the other half, so that one episode's kinds can share a batch.
        half = 0 if self.disturbance is None else DISTURBANCES.index(self.disturbance.kind) % 2
        return (self.key.row + half * (chunk // 2)) % chunk

    def fields(self) -> dict[str, Any]:
        fields = {**dataclasses.asdict(self), "key": self.key.fields()}
        if self.shadow_alpha == 0.0:  # as in `EpisodeKey.fields`
            fields["shadow"] |= {"mode": None, "mode_seed": None}
        return {"trial_version": TRIAL_VERSION, "code": code_fingerprint(_CODE), **fields}


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """What a trial found, per decision k = 0 ... K-1 of the leader's episode; A actions, S coordinates, L layers.

    actions           float32 [K, A]: what was done in state s_k
    reference         float32 [K, A]: what the shadow would have done there
    after             float32 [K, A]: what the ANN would do where the shadow's action leads; 0 where nothing was
    branched
    branched          bool [K]: a branch was made, and its episode went on
    rewards           float64 [K]: for the leader's action; `branch_rewards`: for the shadow's, in the same state
    coordinates       float64 [K, S]: s_k (see `envs.mujoco_state.coordinates`)
    residual_cosines  float32 [K, L]: between what decisions k-1 and k left in each spiking layer; NaN where there is
    none
    layers            float64 [n, L, 11]: layers taken apart (see `analysis.layers`)
    capped            bool []: cut short by max_decisions
    """

    actions: np.ndarray
    reference: np.ndarray
    after: np.ndarray
    branched: np.ndarray
    rewards: np.ndarray
    branch_rewards: np.ndarray
    coordinates: np.ndarray
    residual_cosines: np.ndarray
    layers: np.ndarray
    capped: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """Spiking minus analog action in the leader's states, float64 [K, A], where the leader is what errs."""
        return self.actions.astype(np.float64) - self.reference


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
