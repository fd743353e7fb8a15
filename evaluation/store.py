"""Finished cells on disk, each in a file named by the hash of what it was computed from.

Several processes, on several machines of a shared file system, may read and write at once: a file appears whole
under its name or not at all, and whoever writes second replaces it with the same outcome. The store relies on atomic
renaming alone, not on locks, links or the order in which machines see each other's files: a machine that doesn't see a
new cell yet computes it again. A process that is killed in the middle of a write leaves a hidden `.tmp` file, which
nobody reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from evaluation.cells import Cell
from runtime.errors import UserError
from runtime.files import write_json


@dataclass(frozen=True)
class LayerActivity:
    """What one spiking layer did over one episode.

    `spikes`, `sops`: [T], per simulation step, summed over the layer's units and the episode's decisions: emitted
    non-zero spikes, and synaptic operations (each spike times the emitting unit's fan-out into the next layer).
    `above_threshold`: share of the layer's (unit, decision) pairs whose mean input current exceeded θ, in [0, 1].
    """

    name: str
    units: int
    spikes: list[int]
    sops: list[int]
    above_threshold: float


@dataclass(frozen=True)
class Outcome:
    """How one episode went. `reward_sum` is its return only where `capped` is false.

    `layers` is empty for the ANN. `made`: who computed it (versions, wall-clock seconds), for the record.
    """

    reward_sum: float
    decisions: int
    capped: bool
    layers: list[LayerActivity] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)


class Store:
    """Outcomes of cells under `root`, by hash. `say` receives a line for every unreadable entry met."""

    def __init__(self, root: str | Path, say: Callable[[str], None] = tqdm.write):
        self.root = Path(root).absolute()
        self._say = say

    def path(self, cell: Cell) -> Path:
        """Where the cell's outcome is or would be."""
        return self.root / cell.digest[:2] / f"{cell.digest}.json"

    def __contains__(self, cell: Cell) -> bool:
        """Whether there is an entry, usable or not: enough for an estimate."""
        return self.path(cell).exists()

    def get(self, cell: Cell) -> Outcome | None:
        """The stored outcome, or None where there is none or the entry doesn't check (it is then computed anew)."""
        path = self.path(cell)
        try:
            entry = json.loads(path.read_bytes())
            body = entry["outcome"]
            if entry["checksum"] != _checksum(entry["cell"], body):
                raise ValueError("checksum differs")
            if entry["cell"] != json.loads(json.dumps(cell.fields())):
                raise ValueError("it belongs to another cell")
            layers = [LayerActivity(**layer) for layer in body.pop("layers")]
            return Outcome(**body, layers=layers)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._say(f"{path}: unusable entry ({error}); this episode is computed again")
            return None

    def put(self, cell: Cell, outcome: Outcome) -> None:
        """Stores the outcome atomically. Raises UserError where the disk refuses, ValueError for NaN or infinity."""
        fields, body = cell.fields(), asdict(outcome)
        try:
            write_json(self.path(cell), {"checksum": _checksum(fields, body), "cell": fields, "outcome": body})
        except OSError as error:
            raise UserError(f"store={self.root}: can't be written ({error.strerror or error})") from error


def _checksum(fields: dict[str, Any], body: dict[str, Any]) -> str:
    text = json.dumps([fields, body], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
