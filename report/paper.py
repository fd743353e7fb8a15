"""The paper's own figures, to stand beside ours. They live in paper.json and nowhere else."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report.method import Method, Network


@dataclass(frozen=True)
class PaperRow:
    """One row of Table 3. `returns`: task → (mean, half standard deviation); `apr` in percent, as printed.
    The ANN's row has neuron "ann" and neither `timesteps` nor `crpi`."""

    neuron: str
    timesteps: int | None
    crpi: bool | None
    returns: dict[str, tuple[float, float]]
    apr: float

    def apr_over(self, tasks: Sequence[str]) -> float | None:
        """APR in percent over some tasks: as printed for all six, else recomputed from the printed returns, which are
        rounded. None where the paper has none of those tasks or lacks one."""
        if not tasks or not set(tasks) <= self.returns.keys():
            return None
        if set(tasks) == self.returns.keys():
            return self.apr
        ratios = [self.returns[task][0] / ann().returns[task][0] for task in tasks]
        return 100 * sum(ratios) / len(ratios)


@dataclass(frozen=True)
class Energy:
    """A figure of Table 4: synaptic operations (ANN: multiply-accumulates) and microjoules per decision."""

    operations: float
    microjoules: float


@functools.cache
def _data() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "paper.json").read_text())


def source() -> str:
    """Whose figures these are and what they were measured on."""
    return _data()["source"]


def tasks() -> tuple[str, ...]:
    """The six tasks, in the paper's order."""
    return tuple(_data()["tasks"])


@functools.cache
def table3() -> tuple[PaperRow, ...]:
    """Every row of Table 3 that gives returns per task, the ANN's first."""
    return tuple(
        PaperRow(**row | {"returns": dict(zip(tasks(), map(tuple, row["returns"]), strict=True))})
        for row in _data()["table3"]
    )


def ann() -> PaperRow:
    """The ANN's row."""
    return table3()[0]


def row(method: Method) -> PaperRow | None:
    """The row of Table 3 for the ANN or for a converted network with CRPI off or on, or None where the paper has no
    such row."""
    if method.is_ann:
        return ann()
    network, variant = method.network, method.variant
    if not network.is_standard or variant.is_control:
        return None
    wanted = (network.neuron, network.timesteps, not variant.is_off)
    return next((row for row in table3() if (row.neuron, row.timesteps, row.crpi) == wanted), None)


def cosine_range(name: str) -> tuple[float, float]:
    """Table 1's lowest and highest cosine over its tasks: of "correction", "consistency" or "drift" (Eqs. 31-33)."""
    low, high = _data()["table1"][name]
    return low, high


def cosine_source() -> str:
    """What Table 1 was measured on."""
    return _data()["table1"]["source"]


def trained_directly() -> list[tuple[str, int, float]]:
    """(name, T, APR in percent) of the directly trained spiking networks at the foot of Table 3."""
    return [(entry["name"], entry["timesteps"], entry["apr"]) for entry in _data()["trained_directly"]]


def ann_energy() -> Energy:
    """Table 4's figure for the ANN."""
    entry = _data()["table4"]["ann"]
    return Energy(entry["macs"], entry["microjoules"])


def energy(network: Network) -> Energy | None:
    """Table 4's figure for a network, or None where it has none. It doesn't say whether CRPI was on."""
    for entry in _data()["table4"]["snn"]:
        if network.is_standard and (entry["neuron"], entry["timesteps"]) == (network.neuron, network.timesteps):
            return Energy(entry["sops"], entry["microjoules"])
    return None
