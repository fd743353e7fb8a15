"""Zips of stable-baselines3 and sb3-contrib: the actor of SAC, TQC, TD3, DDPG, PPO and A2C.

A zip holds policy.pth (a state dict) and data (JSON, with pickles inside that are not looked at). Behind a VecNormalize
the statistics lie in a vecnormalize.pkl, in the zip, in a folder of its name beside it (rl-baselines3-zoo) or beside
it.
"""

from __future__ import annotations

import json
import re
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from torch import Tensor

from drqv2.foreign import chain, vecnormalize
from drqv2.foreign.chain import ForeignPolicy, Layer, Normalization
from envs.spaces import Spaces
from runtime import archives
from runtime.archives import ArchiveError, printable
from runtime.errors import UserError
from runtime.files import sha256_file

_WEIGHTS, _DATA = "policy.pth", "data"
# What zipfile raises, RuntimeError's NotImplementedError included.
_DAMAGES = (OSError, zipfile.BadZipFile, ValueError, RuntimeError, EOFError, struct.error)
_STATISTICS = ("vecnormalize.pkl", "vec_normalize.pkl")


def is_zip(path: Path) -> bool:
    """Whether `path` is laid out as stable-baselines3 does."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {_WEIGHTS, _DATA} <= set(archive.namelist())
    except _DAMAGES:
        return False


def read(path: Path, spaces: Spaces) -> ForeignPolicy:
    """The deterministic policy of the zip. Raises UserError for one that can't be converted, and says why."""
    weights, data = _record(path, _WEIGHTS), _record(path, _DATA)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / _WEIGHTS
        file.write_bytes(weights or b"")
        try:
            tensors = archives.read(file)
            archives.check_tensors(file, tensors)
        except ArchiveError as error:
            raise ArchiveError(str(error).replace(str(file), f"{path}: {_WEIGHTS}")) from None
    parts, squash, kind, activation = _actor(path, tensors, spaces)
    told = _activation(path, data or b"")
    if (told or activation) != "ReLU":
        raise UserError(
            f"{path}: {kind} with {told or activation} units, for which no spiking neuron stands (Xu et al. 2026 "
            "convert ReLU); train it with policy_kwargs=dict(activation_fn=nn.ReLU)"
        )
    statistics, source = _statistics(path)
    origin = f"stable-baselines3 {kind}" + (
        f", observations normalised by {source.name}" if statistics and source else ""
    )
    beside = () if source is None or source == path else (sha256_file(source),)
    return ForeignPolicy(chain.network(path, parts, spaces, statistics), squash, origin, beside)


def _actor(path: Path, tensors: dict[str, Tensor], spaces: Spaces) -> tuple[list[Layer], str, str, str]:
    """The acting layers, the squashing, what people call it, and the algorithm's own choice of activation."""
    if any("features_extractor" in name for name in tensors):
        raise UserError(f"{path}: its policy looks at images or dictionaries; policies of flat observations convert")
    if "actor.latent_pi.0.weight" in tensors:
        if "actor.mu.weight" not in tensors:
            raise UserError(f"{path}: trained with use_sde, which clips the mean before tanh; train it without")
        names = [*_numbered(tensors, "actor.latent_pi"), "actor.mu"]
        return chain.layers(path, tensors, names), "tanh", "SAC or TQC", "ReLU"
    if "actor.mu.0.weight" in tensors:
        return chain.layers(path, tensors, _numbered(tensors, "actor.mu")), "tanh", "TD3 or DDPG", "ReLU"
    if "action_net.weight" in tensors and "log_std" in tensors:
        hidden = [name for part in ("shared_net", "policy_net") for name in _numbered(tensors, f"mlp_extractor.{part}")]
        *parts, last = chain.layers(path, tensors, [*hidden, "action_net"])
        return [*parts, chain.to_unit_actions(last, spaces)], "clip", "PPO or A2C", "Tanh"
    raise UserError(f"{path}: no policy with continuous actions among {printable(', '.join(tensors), 100)}")


def _numbered(tensors: dict[str, Tensor], prefix: str) -> list[str]:
    """The layers of an nn.Sequential, in order."""
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.weight")
    numbers = sorted(int(match[1]) for name in tensors if (match := pattern.fullmatch(name)))
    return [f"{prefix}.{number}" for number in numbers]


def _activation(path: Path, data: bytes) -> str | None:
    """The activation that the policy's keywords name, None where the algorithm chose."""
    try:
        keywords: Any = json.loads(data).get("policy_kwargs") or {}
        named = keywords.get("activation_fn")
    except (ValueError, RecursionError, AttributeError):
        raise ArchiveError(f"{path}: its data can't be read as JSON") from None
    return None if named is None else printable(str(named).rpartition(".")[2].strip("'>"), 40)


def _statistics(path: Path) -> tuple[Normalization | None, Path | None]:
    for name in _STATISTICS:
        if (contents := _record(path, name)) is not None:
            return vecnormalize.read(path / name, contents), path
    for file in (path.with_suffix("") / _STATISTICS[0], *(path.parent / name for name in _STATISTICS)):
        if file.is_file():
            return vecnormalize.read(file, file.read_bytes()), file
    return None, None


def _record(path: Path, name: str) -> bytes | None:
    """A record's bytes, None where there is none. Raises ArchiveError for one that is packed or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            if name not in archive.namelist():
                return None
            record = archive.getinfo(name)
            if record.compress_type != zipfile.ZIP_STORED or record.file_size > path.stat().st_size:
                raise ValueError("compressed, which stable-baselines3 never does; refused")
            return archive.read(record)
    except _DAMAGES as error:
        raise ArchiveError(f"{path}: {name}: {printable(str(error), 120)}") from None
