"""The calibration that a policy file may carry: the largest output of each ReLU, and what they were measured with.

Plain tensors and plain values. What the settings mean, and whether a calibration is the one that is asked for, is the
business of whoever measured it (`evaluation.rollout_calibration`); here it is bound to the weights that it was
measured on.
"""

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runtime.errors import UserError

Plain = str | int | float | bool | None

_PREFIX = "calibration."
_KEYS = {"layers", "settings", "made", "weights"}
_LONGEST = 100  # letters of a name or a value, entries of a dictionary


@dataclass(frozen=True)
class StoredCalibration:
    """What was measured on a policy.

    thresholds: one float32 tensor per ReLU, in the network's order, [channels] behind a convolution and [units] behind
    a linear layer, in the unit of that ReLU's output; settings: all that decides them; made: the machine they were
    measured on, for the record; weights: `weights_sha256` of the policy.
    """

    thresholds: list[Tensor]
    settings: dict[str, Plain]
    made: dict[str, Plain]
    weights: str


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """SHA-256, in hex, of names, shapes and values of a policy's weights as float32, whatever type a file holds them
    in.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].detach().cpu().float().contiguous()
        digest.update(f"{name} {tuple(value.shape)}\n".encode(errors="surrogatepass"))
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def without(meta: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A policy file's description and tensors, less any calibration."""
    return (
        {key: value for key, value in meta.items() if key != "calibration"},
        {name: value for name, value in tensors.items() if not name.startswith(_PREFIX)},
    )


def packed(stored: StoredCalibration) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `unpacked` reads: additions to a policy file's description and to its tensors."""
    described = {
        "layers": len(stored.thresholds),
        "settings": stored.settings,
        "made": stored.made,
        "weights": stored.weights,
    }
    return {"calibration": described}, {f"{_PREFIX}{number}": theta for number, theta in enumerate(stored.thresholds)}


def unpacked(
    path: Path, meta: dict[str, Any], tensors: dict[str, Tensor], network: nn.Module
) -> StoredCalibration | None:
    """The calibration in a policy file, None where it carries none. `network`: the policy, with the file's weights.

    Raises UserError, one line, for one that is damaged, doesn't fit the network, or belongs to other weights.
    """
    stored = {name: value for name, value in tensors.items() if name.startswith(_PREFIX)}
    if "calibration" not in meta and not stored:
        return None
    described = meta.get("calibration")
    if not isinstance(described, dict) or set(described) != _KEYS:
        raise _damaged(path, "isn't described")
    for key in ("settings", "made"):
        if not _is_plain(described[key]):
            raise _damaged(path, f"has no plain {key}")
    widths = _widths(network)
    if described["layers"] != len(widths) or set(stored) != {f"{_PREFIX}{number}" for number in range(len(widths))}:
        raise _damaged(path, f"doesn't have one tensor for each of the policy's {len(widths)} ReLU layers")
    thresholds = [stored[f"{_PREFIX}{number}"] for number in range(len(widths))]
    for number, (theta, width) in enumerate(zip(thresholds, widths)):
        if theta.dtype != torch.float32 or theta.shape != (width,):
            raise _damaged(path, f"isn't float32 of shape ({width},) in layer {number}")
        if not bool((torch.isfinite(theta) & (theta >= 0)).all()):
            raise _damaged(path, f"holds a negative value, NaN or infinity in layer {number}")
    if described["weights"] != weights_sha256(network.state_dict()):
        raise _damaged(path, "belongs to other weights")
    return StoredCalibration(thresholds, described["settings"], described["made"], described["weights"])


def _damaged(path: Path, trouble: str) -> UserError:
    return UserError(
        f"{path}: the calibration in it {trouble}; use another file, or "
        f"python -m scripts.ship_checkpoint --calibrate {path}"
    )


def _widths(network: nn.Module) -> list[int]:
    """Channels or units of each ReLU, in order: those of the layer before it."""
    layers = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear, nn.ReLU))]
    pairs = itertools.pairwise(layers)
    return [len(before.get_parameter("weight")) for before, relu in pairs if isinstance(relu, nn.ReLU)]


def _is_plain(values: Any) -> bool:
    """Whether it is a dictionary of few, short, printable values: they may reach the screen."""
    return isinstance(values, dict) and len(values) <= _LONGEST and all(map(_is_short, (*values, *values.values())))


def _is_short(value: Any) -> bool:
    if isinstance(value, str):
        return value.isprintable() and len(value) <= _LONGEST
    return value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**64)
