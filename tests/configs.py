"""The shipped configurations as plain dictionaries, for tests of what the settings make of them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

CFGS = Path(__file__).resolve().parents[1] / "cfgs"


def config(program: str, **changes: Any) -> dict[str, Any]:
    """cfgs/<program>.yaml with its neuron group filled in; `changes` by dotted name, dots written as __."""
    values = yaml.safe_load((CFGS / f"{program}.yaml").read_text())
    values = {name: value for name, value in values.items() if name not in ("defaults", "hydra")}
    values["neuron"] = {"name": "if", "rule": "if", "coding": "rate", "n_thresholds": None}
    for name, value in changes.items():
        *path, last = name.split("__")
        place = values
        for step in path:
            place = place[step]
        assert last in place
        place[last] = value
    return copy.deepcopy(values)
