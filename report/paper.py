"""The paper's own figures, to stand beside ours. They live in paper.json and nowhere else."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from report.method import Network, ReportMethod


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
        ratios = [self.returns[task][0] / ANN.returns[task][0] for task in tasks]
        return 100 * sum(ratios) / len(ratios)


class Energy(NamedTuple):
    """A figure of Table 4: synaptic operations (ANN: multiply-accumulates) and microjoules per decision."""

    operations: float
    microjoules: float


_DATA: dict[str, Any] = json.loads((Path(__file__).parent / "paper.json").read_text(encoding="utf-8"))

# Whose figures these are and what they were measured on; the six tasks, in the paper's order.
SOURCE: str = _DATA["source"]
TASKS: list[str] = _DATA["tasks"]
# Every row of Table 3 that gives returns per task, the ANN's first.
TABLE3 = [
    PaperRow(**row | {"returns": dict(zip(TASKS, map(tuple, row["returns"]), strict=True))}) for row in _DATA["table3"]
]
ANN = TABLE3[0]
# At the foot of Table 3: name, T and APR in percent of networks that were trained as spiking ones.
TRAINED_DIRECTLY = [(entry["name"], entry["timesteps"], entry["apr"]) for entry in _DATA["trained_directly"]]
# Table 1 (Eqs. 31-33): the lowest and the highest cosine over its tasks, and what it was measured on.
COSINES: dict[str, list[float]] = {name: _DATA["table1"][name] for name in ("correction", "consistency", "drift")}
COSINES_SOURCE: str = _DATA["table1"]["source"]
# Figure 2, as far as it is printed in numbers: policy → (T, return relative to the ANN's) of IF without CRPI.
FIGURE2: dict[str, list[tuple[int, float]]] = _DATA["figure2"]
ANN_ENERGY = Energy(*_DATA["table4"]["ann"].values())
# Table 4, by neuron and T. It doesn't say whether CRPI was on.
_ENERGY = {(neuron, steps): Energy(*figures) for neuron, steps, *figures in map(dict.values, _DATA["table4"]["snn"])}


def has(tasks: Iterable[str]) -> bool:
    """Whether Table 3 has one of `tasks`."""
    return not set(TASKS).isdisjoint(tasks)


def row(method: ReportMethod) -> PaperRow | None:
    """The row of Table 3 for the ANN or for a converted network with CRPI off or on, or None where the paper has no
    such row."""
    network, variant = method.network, method.variant
    if method.is_ann:
        return ANN
    if not network.is_standard or variant.is_control:
        return None
    wanted = (network.neuron, network.timesteps, not variant.is_off)
    return next((row for row in TABLE3 if (row.neuron, row.timesteps, row.crpi) == wanted), None)


def energy(network: Network) -> Energy | None:
    """Table 4's figure for a network, or None where it has none."""
    return _ENERGY.get((network.neuron, network.timesteps)) if network.is_standard else None
