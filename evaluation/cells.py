"""A cell: one episode of one policy under one setting, named by everything that its outcome depends on.

Two cells with equal hashes have the same outcome, bit for bit, whoever computes them and beside whatever else;
so a finished cell never needs computing again (`evaluation.store`).
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Raised when the meaning of a cell's fields or of its stored outcome changes.
CELL_VERSION = 1

# The code that decides an episode's course. A change in it (comments and docstrings aside) makes new cells: an
# edited fire rule must never be answered with numbers of the old one.
_CODE = ("snn", "envs", "drqv2/networks.py", "evaluation/policies.py", "evaluation/rollout.py")
_IRRELEVANT = ("envs/video.py", "snn/export.py", "snn/files.py", "snn/nir_nodes.py", "snn/graph/saved_op.py")


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Source:
    """What is evaluated and where: the policy's file (SHA-256) and the environment it was trained on."""

    snapshot: str
    task: str
    obs: str
    frame_stack: int
    action_repeat: int


@dataclass(frozen=True)
class Compute:
    """How the arithmetic is cut up: floating-point sums depend on all of it.

    `chunk`: rows of one network call; `renderer`: MuJoCo's GL backend, None without pixels.
    """

    device: str
    threads: int
    dtype: str | None
    chunk: int
    max_batch_bytes: int
    renderer: str | None
    packages: tuple[tuple[str, str], ...]
    code: str


@dataclass(frozen=True)
class Cell:
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
        """Every field as plain values, with the version of their meaning. α = 0 is plain conversion under every mode,
        bit for bit, so there the mode is left out and the modes share their cells."""
        fields = {"cell_version": CELL_VERSION, **dataclasses.asdict(self)}
        if self.alpha == 0.0:
            fields["method"] |= {"mode": None, "mode_seed": None}
        return fields

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the fields in canonical JSON."""
        text = json.dumps(self.fields(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def row(self) -> int:
        """The row of the network's batch that this cell always runs in, in [0, chunk).

        Episodes of one α go to rows side by side and the α of the paper's grid (even tenths first, which is the
        quick grid) start three rows apart, so that both a report (chunk or more episodes of one α) and a selection
        (about three episodes of each α) fill the rows evenly.
        """
        return (self.episode + 3 * _grid_position(self.alpha or 0.0)) % self.compute.chunk

    def environment_key(self) -> int:
        """A 63-bit integer that names the environment's episode, the same for every method and α."""
        text = f"{self.stream}/{self.seed}/{self.episode}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _grid_position(alpha: float) -> int:
    tenth = round(alpha * 10)
    return tenth // 2 if tenth % 2 == 0 else 6 + tenth // 2


@functools.cache
def code_fingerprint(code: tuple[str, ...] = _CODE) -> str:
    """Hash of the syntax trees, without docstrings, of `code` (files and folders): by default all that an episode's
    course depends on."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for name in code:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            relative = file.relative_to(root).as_posix()
            if relative not in _IRRELEVANT and file.exists():
                digest.update(f"{relative}\n{_bare_tree(file.read_text())}\n".encode())
    return digest.hexdigest()[:16]


def _bare_tree(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return ast.dump(tree)
