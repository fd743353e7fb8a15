"""An episode's key, everything that its outcome depends on, and the finished episodes on disk by their keys.

Two keys with equal hashes have the same outcome, bit for bit, whoever computes it and beside whatever else; so a
finished episode never needs computing again. Several processes, on several machines of a shared file system, may read
and write at once: a file appears whole under its name or not at all, and whoever writes second replaces it with the
same outcome. The store relies on atomic renaming alone, not on locks, links or the order in which machines see each
other's files: a machine that doesn't see a new file yet computes that episode again. A process that is killed in the
middle of a write leaves a hidden `.tmp` file, which nobody reads.
"""

import ast
import dataclasses
import functools
import hashlib
import json
import math
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import Field
from tqdm import tqdm

import envs
from runtime.errors import UserError
from runtime.files import atomic_write
from runtime.schema import Record

# One more whenever a key's fields or its stored outcome change their meaning.
KEY_VERSION = 2

# The code that decides an episode's course, files and folders, and what in those folders does not. A change in it
# (comments and docstrings aside) makes new keys: an edited fire rule must never be answered with numbers of the old
# one.
CODE = (
    "snn",
    "envs",
    "drqv2/archive.py",
    "drqv2/foreign",
    "drqv2/networks.py",
    "drqv2/normalizer.py",
    "drqv2/snapshot.py",
    "drqv2/stored_thresholds.py",
    "evaluation/conversion.py",
    "evaluation/episode_store.py",
    "evaluation/policies.py",
    "evaluation/rollout.py",
    "evaluation/rollout_calibration.py",
    "runtime/device.py",
)
IRRELEVANT = ("envs/video.py", "snn/export.py", "snn/files.py", "snn/nir_nodes.py")


class Hashed(ABC):
    """What a stored value is found by."""

    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """All that the value depends on, as plain values, with the version of their meaning."""

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the fields in canonical JSON."""
        return _sha256(self.fields())


@dataclasses.dataclass(frozen=True)
class Method:
    """What acts: the ANN (`kind="ann"`, no other field) or one converted network, whatever its α.

    `thresholds`: hash of θ. `n_thresholds` is None for rules that have no such number. `mode_seed`: the integer
    behind the random controls, None for modes that draw nothing.
    """

    kind: str
    rule: str | None = None
    coding: str | None = None
    n_thresholds: int | None = None
    timesteps: int | None = None
    mode: str | None = None
    mode_seed: int | None = None
    hybrid: bool = False
    thresholds: str | None = None


ANN = Method("ann")


@dataclasses.dataclass(frozen=True)
class Source:
    """What is evaluated and where: the policy's file (SHA-256) and the environment it was trained on."""

    snapshot: str
    task: str
    obs: str
    frame_stack: int
    action_repeat: int


@dataclasses.dataclass(frozen=True)
class Compute:
    """How the arithmetic is cut up and what computes it: floating-point sums depend on all of it.

    `device`: the GPU with its cuDNN, or the processor's instructions; `threads`: of the processor, 0 on a GPU; `chunk`:
    rows of one network call; `renderer`: MuJoCo's GL backend and what draws behind it, None without pixels.
    """

    device: str
    threads: int
    dtype: str | None
    chunk: int
    max_batch_bytes: int
    renderer: str | None
    packages: tuple[tuple[str, str], ...]
    code: str


@dataclasses.dataclass(frozen=True)
class EpisodeKey(Hashed):
    """One episode. `alpha` is None for the ANN; `stream`, `seed` and `episode` give `envs.episode_seed`."""

    source: Source
    method: Method
    alpha: float | None
    stream: str
    seed: int
    episode: int
    max_decisions: int | None
    compute: Compute

    def fields(self) -> dict[str, Any]:
        """α = 0 is plain conversion under every mode, bit for bit: there the mode is left out, and the modes share
        their episodes."""
        fields = {"key_version": KEY_VERSION, **dataclasses.asdict(self)}
        if self.alpha == 0.0:
            fields["method"] |= {"mode": None, "mode_seed": None}
        return fields

    @property
    def row(self) -> int:
        """The row of the network's batch that this episode always runs in, in [0, chunk).

        Episodes of one α go to rows side by side and the α of the paper's grid (even tenths first, which is the
        quick grid) start three rows apart, so that both a report (chunk or more episodes of one α) and a selection
        (about three episodes of each α) fill the rows evenly.
        """
        tenth = round(10 * (self.alpha or 0.0))
        place = 6 + tenth // 2 if tenth % 2 else tenth // 2
        return (self.episode + 3 * place) % self.compute.chunk

    def environment_key(self) -> int:
        """A 63-bit integer that names the environment's episode, the same for every method and α."""
        text = f"{self.stream}/{self.seed}/{self.episode}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@functools.cache
def code_fingerprint(code: tuple[str, ...] = CODE) -> str:
    """Hash of the syntax trees, without docstrings, of `code` (files and folders): by default all that an episode's
    course depends on."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for name in code:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            relative = file.relative_to(root).as_posix()
            if relative not in IRRELEVANT:
                digest.update(f"{relative}\n{_bare_tree(file.read_text(encoding='utf-8'))}\n".encode())
    return digest.hexdigest()[:16]


def _bare_tree(source: str) -> str:
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return ast.dump(tree)


class LayerActivity(Record):
    """What one spiking layer did over one episode.

    `spikes`, `sops`: [T], per simulation step, summed over the layer's units and the episode's decisions: emitted
    non-zero spikes, and synaptic operations (each spike times the emitting unit's fan-out into the next layer).
    `above_threshold`: share of the layer's (unit, decision) pairs whose mean input current exceeded θ, in [0, 1].
    """

    name: str
    units: int
    spikes: list[int]
    sops: list[int]
    above_threshold: float = Field(ge=0, le=1)


class EpisodeOutcome(Record):
    """How one episode went. `reward_sum` is its return only where `capped` is false.

    `layers` is empty for the ANN. `made`: who computed it (versions, wall-clock seconds), for the record.
    """

    reward_sum: float
    decisions: int = Field(ge=1)
    capped: bool
    layers: list[LayerActivity] = []
    made: dict[str, Any] = {}


Key = TypeVar("Key", bound=Hashed)
Value = TypeVar("Value")


class Store(ABC, Generic[Key, Value]):
    """Values under `root`, each in a file named by its key's hash. `say` receives a line for every unusable file met.

    Subclasses say what stands in a file: `decode` raises whatever its reading raises where it doesn't check, and
    `what` names in that line what is then computed again.
    """

    suffix: str
    what: str

    def __init__(self, root: str | Path, say: Callable[[str], None] = tqdm.write):
        self.root = Path(root).absolute()
        self._say = say

    @abstractmethod
    def encode(self, key: Key, value: Value) -> bytes:
        """The file's contents. Raises ValueError for a value that no file can hold."""

    @abstractmethod
    def decode(self, key: Key, data: bytes) -> Value:
        """The value in a file's contents."""

    def path(self, key: Key) -> Path:
        """Where the key's value is or would be."""
        return self.root / key.digest[:2] / f"{key.digest}{self.suffix}"

    def __contains__(self, key: Key) -> bool:
        """Whether there is a file, usable or not: enough for an estimate."""
        return self.path(key).exists()

    def get(self, key: Key) -> Value | None:
        """The stored value, or None where there is none or the file doesn't check (it is then computed anew)."""
        path = self.path(key)
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise ValueError("not a regular file")
            return self.decode(key, path.read_bytes())
        except FileNotFoundError:
            return None
        except Exception as error:  # damaged bytes make readers raise anything
            self._say(f"{path}: unusable entry ({' '.join(str(error).split()):.100}); {self.what} again")
            return None

    def put(self, key: Key, value: Value) -> None:
        """Stores the value atomically. Raises UserError where the disk refuses, ValueError as `encode`."""
        try:
            atomic_write(self.path(key), self.encode(key, value))
        except OSError as error:
            raise UserError(f"store={self.root}: can't be written ({error.strerror or error})") from error


class EpisodeStore(Store[EpisodeKey, EpisodeOutcome]):
    """Outcomes of episodes, each with its key in full and a checksum over both. `units` of the spiking layers of the
    network that `root` is read for; empty where no such episodes are read."""

    suffix, what = ".json", "this episode is computed"

    def __init__(self, root: str | Path, say: Callable[[str], None] = tqdm.write, units: Sequence[int] = ()):
        super().__init__(root, say)
        self._units = list(units)

    def encode(self, key: EpisodeKey, value: EpisodeOutcome) -> bytes:
        fields, body = key.fields(), value.to_dict()
        entry = {"checksum": _sha256([fields, body]), "key": fields, "outcome": body}
        return (json.dumps(entry, indent=1, allow_nan=False) + "\n").encode()

    def decode(self, key: EpisodeKey, data: bytes) -> EpisodeOutcome:
        entry = json.loads(data)
        if entry["checksum"] != _sha256([key.fields(), entry["outcome"]]):
            raise ValueError("checksum differs, or it belongs to another episode")
        outcome = EpisodeOutcome.model_validate(entry["outcome"])
        spikes, sops, units = (
            [getattr(layer, name) for layer in outcome.layers] for name in ("spikes", "sops", "units")
        )
        if units != ([] if key.method == ANN else self._units or units):
            raise ValueError(f"its layers have {units} units, the network's {self._units}")
        source, timesteps = key.source, key.method.timesteps or 0
        check_episode(
            source.task, source.action_repeat, outcome.decisions, outcome.reward_sum, spikes, sops, units, timesteps
        )
        return outcome


def check_episode(
    task: str,
    action_repeat: int | None,
    decisions: int,
    reward_sum: float,
    spikes: Sequence[Sequence[int]] | None,
    sops: Sequence[Sequence[int]] | None,
    units: Sequence[int],
    timesteps: int,
) -> None:
    """Raises ValueError for an episode that can't have been: a sum of rewards that its decisions can't earn, spikes and
    synaptic operations of another network's shape ([layers][T]), or more spikes than units that could emit one."""
    # Every task of the suite pays from 0 to 1 for a frame.
    most = decisions * (action_repeat or math.inf)
    if task in envs.TASKS and not -1e-6 <= reward_sum <= most * (1 + 1e-6):
        raise ValueError(
            f"a sum of rewards of {reward_sum:g} in {decisions} decisions, which can earn from 0 to {most:g}"
        )
    for name, counts, highest in (("spikes", spikes, decisions), ("sops", sops, math.inf)):
        if counts is not None and [len(layer) for layer in counts] != [timesteps] * len(units):
            raise ValueError(f"{name} must be [{len(units)} layers][{timesteps} steps]")
        for layer, size in zip(counts or (), units):
            if min(layer) < 0 or max(layer) > highest * size:
                raise ValueError(f"{name} from {min(layer)} to {max(layer)} of {size} units in {decisions} decisions")


def _sha256(value: Any) -> str:
    """SHA-256, in hex, of a plain value in canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
