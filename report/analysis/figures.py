"""All figures of an analysis."""

from __future__ import annotations

from pathlib import Path

from analysis.document import Analysis
from report.analysis import errors, layers, loss, trajectories
from report.document import Picture

_MAKERS = {
    "loss": loss.loss,
    "cosines": errors.cosines,
    "alpha": errors.over_alpha,
    "growth": trajectories.growth,
    "map": trajectories.state_map,
    "order": loss.order,
    "layers": layers.layers,
}


def all_of(analysis: Analysis, folder: Path) -> dict[str, Picture]:
    """By name, drawn into `folder`; figures that this analysis has nothing for are left out."""
    made = {name: maker(analysis, folder) for name, maker in _MAKERS.items()}
    return {name: found for name, found in made.items() if found is not None}
