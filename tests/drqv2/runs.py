"""Runs of training that take a second, and what is looked at in them."""

from pathlib import Path

import torch

from drqv2 import logger
from drqv2.settings import TrainSettings
from drqv2.snapshot import read_snapshot
from drqv2.trainer import Trainer
from tests.configs import train_settings

# Episodes of 10 decisions, 20 frames; a snapshot behind each.
SMALL = {
    "num_train_frames": 120,
    "num_seed_frames": 20,
    "num_expl_steps": 10,
    "max_decisions": 10,
    "snapshot_every_frames": 20,
}


def small(root: Path, **changes) -> TrainSettings:
    return train_settings(root, **SMALL | changes)


def finished(root: Path, **changes) -> Trainer:
    run = Trainer(small(root, **changes))
    run.run()
    return run


def folder(root: Path, **changes) -> Path:
    """The run folder of a finished run."""
    return finished(root, **changes).run_dir.path


def tensors(run_folder: Path) -> dict[str, torch.Tensor]:
    """Of the newest snapshot."""
    return read_snapshot(run_folder / "snapshot.pt")[1]


def same(one: Path, other: Path) -> bool:
    """Whether two run folders ended with equal networks and optimisers, bit for bit."""
    want, got = tensors(one), tensors(other)
    return want.keys() == got.keys() and all(torch.equal(want[name], got[name]) for name in want)


def column(table: Path, name: str) -> list[float]:
    """A column of train.csv or eval.csv, of the rows that have a value there."""
    return [value for (value,) in logger.read(table, name)]


def contents(run_folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}
