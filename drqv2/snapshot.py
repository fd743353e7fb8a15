"""The only reader and writer of trained weights: `snapshot.pt` to go on training, `policy.pt` to act.

Both are `drqv2.archive` files. A policy holds encoder, actor and what is needed to rebuild them; a snapshot
holds the learner, its optimisers and the trainer's progress as well, and can be read as a policy. So can other
programs' files (`drqv2.foreign`). A policy file may carry its calibration.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import envs
from drqv2 import normalizer, stored_thresholds
from drqv2.archive import read_archive, write_archive
from drqv2.foreign import drqv2_agent, stable_baselines3, state_dicts
from drqv2.foreign.network import ForeignPolicy
from drqv2.networks import make_policy
from drqv2.stored_thresholds import StoredCalibration
from envs import gymnasium_task
from envs.gymnasium_task import Spaces
from envs.tasks import is_gymnasium
from runtime import archives
from runtime.archives import ArchiveError, printable
from runtime.errors import UserError
from runtime.files import sha256_file

SNAPSHOT, POLICY = "snapshot.pt", "policy.pt"
VERSION, _POLICY_VERSION = 2, 1  # of snapshots, whose replay lies in data files since 2; every version is read


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy read from disk.

    network: observation batch as the environment gives it → [B, action_dim] before `squash`, which makes actions in
    [-1, 1] of it: tanh, or clip (a Gaussian's mean, in units of the task's bounds).
    config: the training configuration; frame: environment steps trained (0: the file doesn't say); sha256: of the file
    that was read and of what else decides what it computes; origin: whose file it is, None for this project's;
    calibration: what the file carries, None where it carries none.
    """

    network: nn.Module
    task: str
    obs: str
    frame_stack: int
    action_repeat: int
    observation_shape: tuple[int, ...]
    action_dim: int
    actor_trunk: str
    config: dict[str, Any]
    frame: int
    path: Path
    sha256: str
    calibration: StoredCalibration | None = None
    squash: str = "tanh"
    origin: str | None = None


def write_snapshot(path: Path, meta: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Writes a snapshot. `meta["policy"]` describes the policy as `policy_meta` does."""
    write_archive(path, "snapshot", VERSION, meta, tensors)


def read_snapshot(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Meta data and tensors of a training snapshot. Raises ArchiveError where it isn't whole."""
    return read_archive(path, ("snapshot",), VERSION)


def policy_weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The policy among a learner's tensors: encoder and actor on raw observations, so with the normaliser folded in if
    the learner has one."""
    weights = {name: value for name, value in tensors.items() if name.split(".")[0] in ("encoder", "actor")}
    if f"{normalizer.NAME}.mean" not in tensors:
        return weights
    first = ("actor.trunk.0.weight", "actor.trunk.0.bias")
    statistics = (tensors[f"{normalizer.NAME}.{key}"] for key in ("mean", "scale"))
    return weights | dict(zip(first, normalizer.fold(*(weights[name] for name in first), *statistics)))


def write_policy(
    path: Path, policy: dict[str, Any], weights: dict[str, Tensor], dtype: torch.dtype | None = None
) -> None:
    """Writes encoder and actor alone, in `dtype` (None: as they are); `policy` is what `policy_meta` returned."""
    tensors = {name: value.to(dtype or value.dtype) for name, value in weights.items()}
    write_archive(path, "policy", _POLICY_VERSION, {"policy": policy}, tensors)


def holds_policy(path: Path, policy: dict[str, Any], weights: dict[str, Tensor]) -> bool:
    """Whether `path` is what `write_policy` would write, whatever calibration it carries."""
    try:
        meta, tensors = read_archive(path, ("policy",), VERSION)
    except ArchiveError:
        return False
    held = stored_thresholds.weights_sha256(policy_weights(tensors))
    return meta["policy"] == policy and held == stored_thresholds.weights_sha256(weights)


def store_calibration(path: Path, stored: StoredCalibration) -> None:
    """Puts `stored` into the policy file `path`, in place of any that it carries. All else in it stays bit for bit.

    Raises ArchiveError where `path` is no whole policy file, ValueError where `stored` was measured on other weights.
    """
    meta, tensors = stored_thresholds.without(*read_archive(path, ("policy",), VERSION))
    if stored_thresholds.weights_sha256(policy_weights(tensors)) != stored.weights:
        raise ValueError(f"{path}: the calibration belongs to other weights")
    more_meta, more_tensors = stored_thresholds.packed(stored)
    write_archive(path, "policy", _POLICY_VERSION, meta | more_meta, tensors | more_tensors)


def policy_meta(
    *,
    task: str,
    obs: str,
    frame_stack: int,
    action_repeat: int,
    observation_shape: tuple[int, ...],
    action_dim: int,
    feature_dim: int,
    hidden_dim: int,
    actor_trunk: str,
    frame: int,
    config: dict[str, Any],
) -> dict[str, Any]:
    """Everything that a reader needs to rebuild a policy and its environment, as JSON values."""
    return {**locals(), "observation_shape": list(observation_shape)}


def load_policy(path: str | Path, task: str | None = None, network: str | None = None) -> LoadedPolicy:
    """Reads a policy from a `policy.pt`, a `snapshot.pt` or another program's file. Raises UserError (one line) where
    it can't be used.

    `task`: of files that don't name it; this project's do, and the folder of a published agent in the published layout
    <task>/snapshot.pt. `network`: see `drqv2.foreign.state_dicts.read`. Weights come back as float32 in evaluation
    mode, without gradients.
    """
    path = Path(path)
    if stable_baselines3.is_zip(path):
        return _foreign(path, task, network, lambda known: stable_baselines3.read(path, known))
    names = archives.inspect(path)
    meta: dict[str, Any] = {}
    if drqv2_agent.AGENT in names:
        policy, tensors = drqv2_agent.read(path, names)
        policy["task"] = _published_task(path, task)
    else:
        payload = archives.read(path)
        if not isinstance(payload, dict) or "format" not in payload:
            return _foreign(path, task, None, lambda known: state_dicts.read(path, payload, known, network))
        meta, tensors = read_archive(path, ("policy", "snapshot"), VERSION, payload)
        policy = meta.get("policy", {}) if isinstance(meta, dict) else {}
    _check_says_itself(path, network)
    try:
        _check_description(policy)
        shape = tuple(policy["observation_shape"])
        # Without memory of its own until the weights are known to fit: what a file declares may be of any size.
        with torch.device("meta"):
            rebuilt = make_policy(
                shape,
                policy["action_dim"],
                feature_dim=policy["feature_dim"],
                hidden_dim=policy["hidden_dim"],
                trunk=policy["actor_trunk"],
            )
        state = {name: value.float() for name, value in policy_weights(tensors).items()}
        if not all(bool(torch.isfinite(value).all()) for value in state.values()):
            raise UserError(f"{path}: its weights hold NaN or infinity; train anew or use another snapshot")
        rebuilt.load_state_dict(state, assign=True)
        return LoadedPolicy(
            network=rebuilt.eval().requires_grad_(False),
            task=policy["task"],
            obs=policy["obs"],
            frame_stack=policy["frame_stack"],
            action_repeat=policy["action_repeat"],
            observation_shape=shape,
            action_dim=policy["action_dim"],
            actor_trunk=policy["actor_trunk"],
            config=policy["config"],
            frame=policy["frame"],
            path=path.absolute(),
            sha256=sha256_file(path),
            calibration=stored_thresholds.unpacked(path, meta, tensors, rebuilt),
        )
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        # torch spreads a wrong shape over several lines.
        raise UserError(
            f"{path}: its contents don't describe a policy of this program ({printable(str(error), 200)})"
        ) from None


def _foreign(
    path: Path, task: str | None, network: str | None, read: Callable[[Spaces], ForeignPolicy]
) -> LoadedPolicy:
    """A policy of another program for the Gymnasium task `task`."""
    if task is None or not is_gymnasium(task):
        raise UserError(
            f"{path}: not a policy of this project; those of other programs are read for Gymnasium's tasks, such as "
            f"env_name=HalfCheetah-v4, not for {task}"
        )
    _check_says_itself(path, network)
    known = gymnasium_task.spaces(task)
    try:
        policy = read(known)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise UserError(f"{path}: its contents are not a policy ({printable(str(error), 200)})") from None
    hashes = [sha256_file(path), *policy.beside]
    return LoadedPolicy(
        network=policy.network,
        task=task,
        obs="state",
        frame_stack=1,
        action_repeat=1,
        observation_shape=known.observation_shape,
        action_dim=len(known.low),
        actor_trunk="relu",
        config={},
        frame=0,
        path=path.absolute(),
        sha256=hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest(),
        squash=policy.squash,
        origin=policy.origin,
    )


def _check_says_itself(path: Path, network: str | None) -> None:
    if network is not None:
        raise UserError(f"network={network}: {path} says what it is; leave the option out")


def _published_task(path: Path, task: str | None) -> str:
    """A published agent's task: the folder it lies in, as published, else what the caller says."""
    folder = path.absolute().parent.name
    named = folder if folder in envs.TASKS else task
    if named is None:
        raise UserError(
            f"{path}: a published agent, which doesn't name its task; put it at exp_local/<task>/snapshot.pt"
        )
    return named


def _check_description(policy: Any) -> None:
    """Raises ValueError, KeyError or TypeError for other kinds of values than `policy_meta` writes."""
    sizes = ("frame_stack", "action_repeat", "action_dim", "feature_dim", "hidden_dim")
    shape, task, pixels = policy["observation_shape"], policy["task"], policy["obs"] == "pixels"
    fits = {key: type(policy[key]) is int and policy[key] >= 1 for key in sizes} | {
        "frame": type(policy["frame"]) is int and policy["frame"] >= 0,
        "obs": policy["obs"] in ("pixels", "state"),
        "observation_shape": isinstance(shape, list)
        and all(type(n) is int and n > 0 for n in shape)
        and (len(shape) == 3 and shape[0] == 3 * policy["frame_stack"] if pixels else len(shape) == 1),
        # It is printed: a name can't break the line or steer the terminal.
        "task": isinstance(task, str) and (task.isidentifier() or is_gymnasium(task)) and len(task) < 100,
        "config": isinstance(policy["config"], dict),
    }
    for key, good in fits.items():
        if not good:
            raise ValueError(f"{key} {policy[key]!r:.40}")
