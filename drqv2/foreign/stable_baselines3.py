"""Zips of stable-baselines3 and sb3-contrib: the actor of SAC, TQC, TD3, DDPG, PPO and A2C.

A zip holds policy.pth (a state dict) and data (JSON, with pickles inside that are not looked at). Behind a VecNormalize
the statistics lie in a vecnormalize.pkl, in the zip, in a folder of its name beside it (rl-baselines3-zoo) or beside
it.
"""

import hashlib
import json
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from torch import Tensor

from drqv2.foreign import vecnormalize
from drqv2.foreign.network import NO_NEURON, ForeignPolicy, Layer, layers, make_network, to_unit_actions
from envs.gymnasium_task import Spaces
from runtime import archives
from runtime.archives import ArchiveError, printable
from runtime.errors import UserError

_WEIGHTS, _DATA = "policy.pth", "data"
_STATISTICS = ("vecnormalize.pkl", "vec_normalize.pkl")


def is_zip(path: Path) -> bool:
    """Whether `path` is laid out as stable-baselines3 does."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {_WEIGHTS, _DATA} <= set(archive.namelist())
    except archives.NOT_WHOLE:
        return False


def read(path: Path, spaces: Spaces) -> ForeignPolicy:
    """The deterministic policy of the zip. Raises UserError for one that can't be converted, and says why."""
    records = _records(path)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / _WEIGHTS
        file.write_bytes(records[_WEIGHTS])
        try:
            tensors = archives.read(file)
            archives.check_tensors(file, tensors)
        except ArchiveError as error:
            raise ArchiveError(str(error).replace(str(file), f"{path}: {_WEIGHTS}")) from None
    parts, squash, kind, activation = _actor(path, tensors, spaces)
    activation = _activation(path, records[_DATA]) or activation
    if activation != "ReLU":
        raise UserError(
            f"{path}: {kind} with {activation} units, {NO_NEURON} policy_kwargs=dict(activation_fn=nn.ReLU)"
        )
    found = _statistics(path, records)
    statistics = vecnormalize.read(*found) if found else None
    normalised = f", observations normalised by {found[0].name}" if found and statistics else ""
    beside = (hashlib.sha256(found[1]).hexdigest(),) if found else ()
    network = make_network(path, parts, spaces, statistics)
    return ForeignPolicy(network, squash, f"stable-baselines3 {kind}{normalised}", beside)


def _actor(path: Path, tensors: dict[str, Tensor], spaces: Spaces) -> tuple[list[Layer], str, str, str]:
    """The acting layers, the squashing, what people call it, and the algorithm's own choice of activation."""
    if any("features_extractor" in name for name in tensors):
        raise UserError(f"{path}: its policy observes images or dictionaries; only flat observations convert")
    if "actor.latent_pi.0.weight" in tensors:
        if "actor.mu.weight" not in tensors:
            raise UserError(f"{path}: trained with use_sde, which clips the mean before tanh; train it without")
        names = [*_numbered(tensors, "actor.latent_pi"), "actor.mu"]
        return layers(path, tensors, names), "tanh", "SAC or TQC", "ReLU"
    if "actor.mu.0.weight" in tensors:
        return layers(path, tensors, _numbered(tensors, "actor.mu")), "tanh", "TD3 or DDPG", "ReLU"
    if "action_net.weight" in tensors and "log_std" in tensors:
        hidden = [name for part in ("shared_net", "policy_net") for name in _numbered(tensors, f"mlp_extractor.{part}")]
        *parts, last = layers(path, tensors, [*hidden, "action_net"])
        return [*parts, to_unit_actions(last, spaces)], "clip", "PPO or A2C", "Tanh"
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


def _statistics(path: Path, records: dict[str, bytes]) -> tuple[Path, bytes] | None:
    """Where the statistics lie, and their pickle; None where there are none."""
    places = [(path / name, records[name]) for name in _STATISTICS if name in records]
    beside = (path.with_suffix("") / _STATISTICS[0], *(path.parent / name for name in _STATISTICS))
    places += [(file, file.read_bytes()) for file in beside if file.is_file()]
    return places[0] if places else None


def _records(path: Path) -> dict[str, bytes]:
    """Of the records that are looked at those that are there. Raises ArchiveError for one that is packed or damaged."""
    records = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in (_WEIGHTS, _DATA, *_STATISTICS):
                if name not in archive.namelist():
                    continue
                record = archive.getinfo(name)
                if record.compress_type != zipfile.ZIP_STORED or record.file_size > path.stat().st_size:
                    raise ValueError(f"{name}: compressed, which stable-baselines3 never does; refused")
                records[name] = archive.read(record)
    except archives.NOT_WHOLE as error:
        raise ArchiveError(f"{path}: {printable(str(error), 120)}") from None
    return records
