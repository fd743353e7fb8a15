"""Thresholds from the ANN's own behaviour, kept on disk by what they were computed from.

θ = the largest ReLU output per channel or unit over `steps` decisions of the ANN (Xu et al. 2026, section 7), on the
calibration stream of environment seeds, which no reported or selection episode shares.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

import envs
import snn
from evaluation.cells import Compute, Source
from evaluation.environments import VectorEnvironment
from evaluation.policies import Policy
from runtime.errors import UserError
from runtime.files import atomic_write

Thresholds = list[Tensor]  # one per ReLU, as snn.calibrate makes them


@dataclass(frozen=True)
class Calibration:
    """What thresholds depend on. `percentile` None: the maximum; `hybrid`: around a LayerNorm/tanh trunk."""

    source: Source
    steps: int
    percentile: float | None
    hybrid: bool
    seed: int
    max_decisions: int | None
    compute: Compute

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of every field."""
        text = json.dumps({"kind": "calibration", **dataclasses.asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def thresholds(
    calibration: Calibration,
    network: nn.Module,
    make_rollout: Callable[[], Iterator[np.ndarray]],
    device: torch.device,
    root: Path,
    say: Callable[[str], None] = tqdm.write,
) -> Thresholds:
    """The thresholds of `network`, from `root` where they are there, else from the observations that `make_rollout`
    brings (see `observations`), and then kept. A damaged file is computed anew, with a line."""
    path = Path(root) / "thresholds" / f"{calibration.digest}.pt"
    found = _read(path, say)
    if found is None:
        batches = (torch.from_numpy(batch).to(device) for batch in make_rollout())
        found = [theta.cpu() for theta in snn.calibrate(network, batches, calibration.percentile, hybrid=calibration.hybrid)]
        buffer = io.BytesIO()
        torch.save({"sha256": sha256(found), "thresholds": found}, buffer)
        try:
            atomic_write(path, buffer.getvalue())
        except OSError as error:
            raise UserError(f"store={root}: can't be written ({error.strerror or error})") from error
    return found


def sha256(values: Thresholds) -> str:
    """SHA-256, in hex, of types, shapes and exact values."""
    digest = hashlib.sha256()
    for theta in values:
        digest.update(f"{theta.dtype} {tuple(theta.shape)}\n".encode())
        digest.update(theta.contiguous().numpy().tobytes())
    return digest.hexdigest()


def observations(
    vector: VectorEnvironment,
    policy: Policy,
    *,
    chunk: int,
    steps: int,
    episode_decisions: int,
    seed: int,
    on_decisions: Callable[[int], Any] = lambda count: None,
) -> Iterator[np.ndarray]:
    """What the ANN sees in its first `steps` decisions on the calibration stream: batches [n, ...], n ≤ chunk.

    `chunk` environments (fewer where fewer episodes, of `episode_decisions` each, make up the steps) play whole episodes
    side by side, each going on with the next number when one ends, so that all phases of an episode are seen.
    `vector` must hold `chunk` of them. `on_decisions` is told each count.
    """
    count = min(chunk, math.ceil(steps / episode_decisions))
    indices, episode = np.arange(count), count
    rows = np.zeros((chunk, *vector.observations.shape[1:]), vector.observations.dtype)
    vector.reset(indices, [envs.episode_seed("calibration", seed, number) for number in range(count)])
    policy.reset(np.ones(chunk, bool))
    while steps > 0:
        rows[:count] = vector.observations[indices]
        batch = rows[: min(count, steps)].copy()
        actions = policy.act(rows)[:count]
        vector.step_async(indices, actions)
        # The caller's network runs over the batch while the environments step.
        yield batch
        lasts = vector.step_wait()[2]
        steps -= len(batch)
        on_decisions(len(batch))
        ended = indices[lasts]
        if len(ended) and steps > 0:
            vector.reset(ended, [envs.episode_seed("calibration", seed, episode + extra) for extra in range(len(ended))])
            episode += len(ended)


def _read(path: Path, say: Callable[[str], None]) -> Thresholds | None:
    try:
        entry = torch.load(path, weights_only=True)
        if entry["sha256"] != sha256(entry["thresholds"]):
            raise ValueError("checksum differs")
        return entry["thresholds"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        say(f"{path}: unusable thresholds ({error!s:.100}); calibration runs again")
        return None
