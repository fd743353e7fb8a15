"""The shipped configurations as plain dictionaries, for tests of what the settings make of them."""

from pathlib import Path
from typing import Any

import yaml

from drqv2.settings import TrainSettings

CFGS = Path(__file__).resolve().parents[1] / "cfgs"


def config(program: str, **changes: Any) -> dict[str, Any]:
    """cfgs/<program>.yaml with its neuron group filled in; `changes` by dotted name, dots written as __."""
    values = yaml.safe_load((CFGS / f"{program}.yaml").read_text())
    values = {name: value for name, value in values.items() if name not in ("defaults", "hydra")}
    if program in ("convert", "analyze"):
        values["neuron"] = {"name": "if", "rule": "if", "coding": "rate", "n_thresholds": None}
    for name, value in changes.items():
        *path, last = name.split("__")
        place = values
        for step in path:
            place = place[step]
        assert last in place
        place[last] = value
    return values


def train_settings(root: Path, **changes: Any) -> TrainSettings:
    """A training run small enough for a second, on cartpole's states if `changes` don't say otherwise."""
    values = config("train") | yaml.safe_load((CFGS / "preset/debug.yaml").read_text())
    values |= {
        "task_name": "cartpole_swingup",
        "stddev_schedule": 0.2,
        "obs": "state",
        "name": "run",
        "root": str(root),
        "device": "cpu",
        "use_tb": False,
        "progress": False,
        "num_train_frames": 400,
        "lr": 1e-4,
    }
    return TrainSettings.from_dict(values | changes)
