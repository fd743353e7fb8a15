"""Which policy a run is about, where it comes from, and whether it fits the options and is worth converting."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from drqv2 import logger
from drqv2.snapshot import POLICY, SNAPSHOT, LoadedPolicy, load_policy, read_snapshot
from envs.tasks import is_gymnasium
from evaluation.settings import ConversionSettings, ConvertSettings
from runtime.archives import ArchiveError
from runtime.errors import UserError

CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
SHIPPED_FOLDERS = {"pixels": ("pixels", "distilled"), "state": ("state",)}  # in CHECKPOINTS, the preferred first
AS_GOOD = 0.9  # of the better policy's return
SHIPPED = "shipped"  # snapshot=shipped
# An ANN that earns less than this part of what the shipped policy earns shows little of a conversion.
_WEAK = 0.8


def find_policy(settings: ConversionSettings) -> tuple[Path, str]:
    """The file of the policy that `settings` mean, and in words where it comes from.

    Raises UserError, saying where it looked, where there is none.
    """
    named, root, route = settings.snapshot, settings.root, f"snapshot={settings.snapshot}"
    if settings.run is not None:
        named, route = root / settings.env_name / settings.run, f"run={settings.run}"
        if not named.is_dir():
            raise UserError(f"env_name={settings.env_name} run={settings.run}: no such run, looked for {named}")
    if named == SHIPPED:
        named = find_shipped(settings.env_name, settings.obs)
        if named is None:
            raise UserError(f"snapshot=shipped: no policy of {settings.env_name} ({settings.obs}) ships; leave it out")
    path = find(settings.env_name, settings.obs, named, root)
    if path.is_relative_to(CHECKPOINTS):
        route = "it ships with the toolkit"
    elif named is None:
        route = f"newest run in {root / settings.env_name}; snapshot=shipped takes the one that ships"
    return path, route


def find(
    task: str, obs: str, snapshot: str | Path | None = None, root: str | Path = "exp_local", option: str = "snapshot"
) -> Path:
    """The policy's file: `snapshot` if given, else root/<task>/snapshot.pt (the published layout), else the newest run
    of this task and observation kind under root/<task>/, else the checkpoint that ships.

    Raises UserError that says where it looked and how to train one; `option` is what the caller's user calls
    `snapshot`.
    """
    if snapshot is not None:
        path = Path(snapshot)
        if path.is_dir():
            path = path / (POLICY if (path / POLICY).exists() else SNAPSHOT)
            if not path.is_file():
                there = ", ".join(sorted(file.name for file in Path(snapshot).glob("*.pt"))) or "no .pt file"
                raise UserError(f"{option}={snapshot}: holds neither {POLICY} nor {SNAPSHOT}; it holds {there}")
        if not path.is_file():
            raise UserError(f"{option}={snapshot}: no such file; give a snapshot.pt, a policy.pt or a run folder")
        return path
    folder = Path(root) / task
    published = folder / SNAPSHOT
    if obs == "pixels" and published.is_file():
        return published
    runs = sorted(folder.glob(f"*/{SNAPSHOT}"), key=lambda path: path.stat().st_mtime, reverse=True)
    found = next((path for path in runs if _obs_of(path) == obs), None) or find_shipped(task, obs)
    if found is None:
        preset = "" if obs == "pixels" and not is_gymnasium(task) else " preset=state"
        raise UserError(
            f"{'task' if option == 'teacher' else 'env_name'}={task}: no trained policy ({obs}); looked for "
            f"{published}, {folder}/*/{SNAPSHOT} and {CHECKPOINTS}; "
            f"train one with: python train.py task={task}{preset}"
        )
    return found


def _obs_of(path: Path) -> str | None:
    """The observation kind of a run; None where its snapshot can't be read: a broken run hides no older one."""
    try:
        return read_snapshot(path)[0]["policy"]["obs"]
    except (ArchiveError, KeyError, TypeError):
        return None


def shipped_entries() -> dict[str, dict[str, Any]]:
    """What is recorded of every policy that ships, by <folder>/<task> in CHECKPOINTS; empty where none does."""
    path = CHECKPOINTS / "checkpoints.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def find_shipped(task: str, obs: str) -> Path | None:
    """The policy of a task that ships, None where none does.

    From pixels the one that learned from pixels, unless the distilled one returns much more.
    """
    entries = shipped_entries()
    means = {name: entries[name]["mean"] for kind in SHIPPED_FOLDERS[obs] if (name := f"{kind}/{task}") in entries}
    best = max(means.values(), default=0.0)
    good = [name for name, mean in means.items() if best - mean <= (1 - AS_GOOD) * abs(best)]
    return CHECKPOINTS / f"{good[0]}.pt" if good else None


def why_skipped(settings: ConvertSettings) -> str | None:
    """Why this run is to be skipped (there is no policy, and `no_policy` says to go on without); None otherwise."""
    try:
        if settings.no_policy == "skip":
            find_policy(settings)
    except UserError as error:
        return str(error)
    return None


def load(path: Path, settings: ConversionSettings) -> LoadedPolicy:
    """The policy in `path`. Raises UserError where it can't be read or is another one than `settings` say."""
    policy = load_policy(path, settings.env_name, settings.network)
    if (policy.task, policy.obs) != (settings.env_name, settings.obs):
        raise UserError(
            f"env_name={settings.env_name} obs={settings.obs}: {path} was trained on {policy.task} from {policy.obs}; "
            f"write env_name={policy.task} obs={policy.obs}"
        )
    if policy.actor_trunk == "layernorm_tanh" and not settings.hybrid:
        raise UserError(
            f"{path}: its actor has a LayerNorm/tanh trunk, which no spiking neuron can represent; write hybrid=true "
            "to keep that part analog, or train with the relu trunk"
        )
    return policy


def last_evaluation(policy: LoadedPolicy) -> str | None:
    """What the policy returned when it was last evaluated, in words; None where nothing tells.

    A run's eval.csv tells, up to the policy's own frame; of a policy that ships checkpoints.json does.
    """
    for entry in shipped_entries().values():
        if entry["sha256"] == policy.sha256:
            return f"returned {entry['mean']:.0f} over {len(entry['returns'])} episodes when it was shipped"
    try:
        rows = logger.read(policy.path.parent / "eval.csv", "frame", "episode_reward")
    except UserError:
        return None
    known = [row for row in rows if row[0] <= policy.frame]
    return f"last evaluation: {known[-1][1]:.0f} at {known[-1][0]:,.0f} frames" if known else None


def weakness(policy: LoadedPolicy, returns: list[float]) -> str | None:
    """A warning, where the ANN's `returns` are far below those of the policy that ships for its task; else None."""
    path = find_shipped(policy.task, policy.obs)
    if path is None or not returns:
        return None
    mean = shipped_entries()[f"{path.parent.name}/{path.stem}"]["mean"]
    if mean - np.mean(returns) <= (1 - _WEAK) * abs(mean):
        return None
    return (
        f"weak ANN: it returns {np.mean(returns):.0f}, the policy that ships {mean:.0f}; what it loses in "
        "conversion says little (snapshot=shipped takes the one that ships)"
    )
