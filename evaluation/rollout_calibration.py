"""Thresholds from the ANN's own behaviour: those that the policy's file carries where they are the ones asked for, else
computed, and kept on disk by what they were computed from.

θ = the largest ReLU output per channel or unit over `steps` decisions of the ANN (Xu et al. 2026, section 7), on the
calibration stream of environment seeds, which no reported or selection episode shares. The ANN computes in float64
there, so that every machine sees the same episodes and gets the same θ (pixels aside, where the renderer is another).
"""

import copy
import dataclasses
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import envs
import snn
from drqv2.stored_thresholds import Plain, StoredCalibration
from envs.vector import VectorEnv
from evaluation.episode_store import Compute, Hashed, Source, Store
from evaluation.policies import BatchPolicy
from runtime import archives
from snn.device import placed

Thresholds = list[torch.Tensor]  # one per ReLU, as snn.calibrate makes them

# What the ANN computes in while it is calibrated on; its actions and θ are rounded to float32 afterwards. In float32
# the last digits are another machine's from the first decision on, and where a task amplifies errors so is the
# trajectory.
DTYPE = torch.float64
# One more whenever the settings, or what is measured under them, change their meaning: what older files carry is
# then not used.
VERSION = 1
# Packages whose release decides what the ANN sees and does. (Numba only works for spiking networks.)
_DECIDE = ("torch", "numpy", "mujoco", "dm_control")
# Where thresholds can come from. Those kept on disk are of rollouts too.
FROM_FILE, FROM_ROLLOUTS = "policy file", "rollouts"


@dataclasses.dataclass(frozen=True)
class Calibration(Hashed):
    """What thresholds depend on. `percentile` None: the maximum; `hybrid`: around a LayerNorm/tanh trunk."""

    source: Source
    steps: int
    percentile: float | None
    hybrid: bool
    seed: int
    max_decisions: int | None
    compute: Compute

    def fields(self) -> dict[str, Any]:
        return {"kind": "calibration", **dataclasses.asdict(self)}

    @property
    def settings(self) -> dict[str, Plain]:
        """What a calibration in a policy's file must agree with, to the last entry, in order to be used.

        The policy's weights are left out, since the file vouches for them, and so is the machine (device, threads,
        renderer: `made`). It moves the last digits, and with them an episode's course; but θ over other episodes of the
        same policy is what is asked for as well, and one θ for all machines makes results easier to compare.
        """
        source, packages = self.source, dict(self.compute.packages)
        return {
            "version": VERSION,
            "task": source.task,
            "obs": source.obs,
            "frame_stack": source.frame_stack,
            "action_repeat": source.action_repeat,
            "steps": self.steps,
            "percentile": self.percentile,
            "hybrid": self.hybrid,
            "seed": self.seed,
            "max_decisions": self.max_decisions,
            "chunk": self.compute.chunk,
            # Of one release there are builds for many machines.
            **{name: packages[name].partition("+")[0] for name in (*_DECIDE, "gymnasium") if name in packages},
        }

    @property
    def made(self) -> dict[str, Plain]:
        """The machine and the code."""
        return {name: getattr(self.compute, name) for name in ("device", "threads", "renderer", "code")}


def thresholds(
    calibration: Calibration,
    network: torch.nn.Module,
    make_rollout: Callable[[], Iterator[np.ndarray]],
    device: torch.device,
    root: Path,
    say: Callable[[str], None] = tqdm.write,
    stored: StoredCalibration | None = None,
) -> tuple[Thresholds, str]:
    """The thresholds of `network`, and where they come from: FROM_FILE or FROM_ROLLOUTS.

    In this order: `stored`, what the policy's file carries, where its settings are those of `calibration`; what lies in
    `root`; the observations that `make_rollout` brings (see `observations`), and then they are kept in `root`. `say`
    hears in a line whether `stored` is used, and of a damaged file in `root`.
    """
    if stored is not None:
        differing = _differences(stored.settings, calibration.settings)
        if not differing:
            say(
                f"thresholds: those in the policy's file ({stored.settings['steps']} decisions, made on "
                f"{stored.made.get('device')})"
            )
            return stored.thresholds, FROM_FILE
        say(f"thresholds: those in the policy's file are not used, they are of other settings ({differing})")
    store = ThresholdStore(root / "thresholds", say)
    measured = store.get(calibration)
    if measured is None:
        exact = copy.deepcopy(network).to(device, DTYPE)
        batches = (placed(batch, device).to(DTYPE) for batch in make_rollout())
        found = snn.calibrate(exact, batches, calibration.percentile, hybrid=calibration.hybrid)
        measured = [theta.float().cpu() for theta in found]
        store.put(calibration, measured)
    return measured, FROM_ROLLOUTS


class ThresholdStore(Store[Calibration, Thresholds]):
    """Measured thresholds by what they were measured with."""

    suffix, what = ".pt", "calibration runs"

    def encode(self, key: Calibration, value: Thresholds) -> bytes:
        buffer = io.BytesIO()
        torch.save({"sha256": sha256(value), "thresholds": value}, buffer)
        return buffer.getvalue()

    def decode(self, key: Calibration, data: bytes) -> Thresholds:
        path = self.path(key)
        entry = archives.read(path)
        thresholds = list(entry["thresholds"])
        archives.check_tensors(path, {f"layer {number}": theta for number, theta in enumerate(thresholds)})
        if not all(theta.dtype == torch.float32 and (theta.isfinite() & (theta >= 0)).all() for theta in thresholds):
            raise ValueError("its thresholds are not finite float32 numbers of at least 0")
        if entry["sha256"] != sha256(thresholds):
            raise ValueError("checksum differs")
        return thresholds


def sha256(values: Thresholds) -> str:
    """SHA-256, in hex, of types, shapes and exact values."""
    digest = hashlib.sha256()
    for theta in values:
        digest.update(f"{theta.dtype} {tuple(theta.shape)}\n".encode())
        digest.update(theta.contiguous().numpy().tobytes())
    return digest.hexdigest()


def observations(vector: VectorEnv, policy: BatchPolicy, chunk: int, steps: int, seed: int) -> Iterator[np.ndarray]:
    """What the ANN sees in its first `steps` decisions on the calibration stream: batches [n, ...], n ≤ chunk.

    `chunk` environments (fewer where fewer whole episodes make up the steps) play episodes side by side, each going on
    with the next number when one ends, so that all phases of an episode are seen. `vector` must hold `chunk` of them.
    """
    count = min(chunk, math.ceil(steps / vector.max_episode_decisions))
    indices, episode = np.arange(count), count
    rows = np.zeros((chunk, *vector.observations.shape[1:]), vector.observations.dtype)
    vector.reset(indices, [envs.episode_seed("calibration", seed, number) for number in range(count)])
    policy.reset(range(chunk))
    while steps > 0:
        rows[:count] = vector.observations[indices]
        batch = rows[: min(count, steps)].copy()
        vector.step_async(indices, policy.act(rows)[:count])
        # The caller's network runs over the batch while the environments step.
        yield batch
        ended = indices[vector.step_wait()[2]]
        steps -= len(batch)
        if len(ended) and steps > 0:
            numbers = range(episode, episode + len(ended))
            vector.reset(ended, [envs.episode_seed("calibration", seed, number) for number in numbers])
            episode += len(ended)


def _differences(there: dict[str, Plain], here: dict[str, Plain]) -> str:
    """Names and values in which two settings differ, in words; empty where they are the same."""
    # As JSON, in which True is not 1 and a lacking entry not None.
    texts = [{name: json.dumps(value) for name, value in settings.items()} for settings in (there, here)]
    names = [name for name in sorted({**there, **here}) if texts[0].get(name) != texts[1].get(name)]
    return ", ".join(
        f"{name}={texts[0].get(name, 'none')}, here {texts[1].get(name, 'none')}" for name in names[:4]
    ) + (", ..." if names[4:] else "")
