"""The configurations of training and distillation as checked objects; the names are those of cfgs/train.yaml and cfgs/distill.yaml."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from drqv2.networks import ACTOR_TRUNKS
from drqv2.schedule import parse_schedule
from runtime.errors import UserError

# Options that don't change what is learned: a run may be resumed with other values of these.
MAY_CHANGE = (
    "num_train_frames",
    "device",
    "progress",
    "use_tb",
    "save_video",
    "eval_workers",
    "snapshot_every_frames",
    "render",
    "root",
    "name",
    "teacher",
)

_AT_LEAST = {
    "frame_stack": 1,
    "action_repeat": 1,
    "max_decisions": 1,
    "num_train_frames": 1,
    "num_seed_frames": 0,
    "eval_every_frames": 1,
    "num_eval_episodes": 1,
    "eval_workers": 0,
    "threads": 1,
    "snapshot_every_frames": 1,
    "seed": 0,
    "batch_size": 1,
    "nstep": 1,
    "feature_dim": 1,
    "hidden_dim": 1,
    "update_every_steps": 1,
    "num_expl_steps": 0,
    "replay_buffer_size": 1,
    "num_teacher_frames": 1,
    "episode_decisions": 1,
}
_MAY_BE_NULL = ("max_decisions", "eval_workers", "threads", "episode_decisions")
_CHOICES = {
    "obs": ("pixels", "state"),
    "actor_trunk": ACTOR_TRUNKS,
    "precision": ("published", "fp32", "tf32", "bf16", "auto"),
    "replay_compression": ("zstd", "none"),
}
_WITHIN = {
    "discount": (0.0, 1.0),
    "critic_target_tau": (0.0, 1.0),
    "lr": (0.0, 1.0),
    "stddev_clip": (0.0, 10.0),
    "state_weight": (0.0, 1000.0),
}
_SWITCHES = ("use_tb", "progress", "compile", "deterministic", "save_video", "normalize_observations")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The options that every kind of run has; cfgs/train.yaml says what each means. Frames are environment steps."""

    PROGRAM: ClassVar[str]  #: the program whose options these are

    task_name: str
    obs: str
    frame_stack: int
    action_repeat: int
    max_decisions: int | None
    num_train_frames: int
    eval_every_frames: int
    num_eval_episodes: int
    eval_workers: int | None
    snapshot_every_frames: int
    save_video: bool
    use_tb: bool
    progress: bool
    root: str
    name: str
    start_from: str | None
    seed: int
    batch_size: int
    feature_dim: int
    hidden_dim: int
    actor_trunk: str
    update_every_steps: int
    stddev_schedule: str
    replay_buffer_size: int
    replay_compression: str
    device: str
    threads: int | None
    precision: str
    compile: bool
    deterministic: bool
    render: dict[str, Any]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Checks a plain configuration. Raises UserError that names the option, its value and what would be right."""
        program = f"{cls.PROGRAM}.py"
        names = {field.name for field in dataclasses.fields(cls)}
        for key in values.keys() - names:
            raise UserError(f"{key}={values[key]}: unknown option of {program}; cfgs/{cls.PROGRAM}.yaml lists them all")
        for key in names - values.keys():
            raise UserError(f"{key}: missing from the configuration; cfgs/{cls.PROGRAM}.yaml names its default")
        values = dict(values)
        pixels = values["obs"] == "pixels"
        for key, default in (("hidden_dim", 1024 if pixels else 256), ("save_video", pixels)):
            values[key] = default if values[key] is None else values[key]
        for key in _AT_LEAST.keys() & names:
            values[key] = _check_integer(key, values[key], _AT_LEAST[key], optional=key in _MAY_BE_NULL)
        for key in _CHOICES.keys() & names:
            if values[key] not in _CHOICES[key]:
                raise UserError(f"{key}={values[key]}: use one of {', '.join(_CHOICES[key])}")
        for key in sorted(names.intersection(_SWITCHES)):
            if not isinstance(values[key], bool):
                raise UserError(f"{key}={values[key]}: use true or false")
        for key in _WITHIN.keys() & names:
            values[key] = _check_number(key, values[key], *_WITHIN[key])
        if pixels and values.get("normalize_observations"):
            raise UserError("normalize_observations=true: pixels have one scale already; give false, or obs=state")
        if values.get("hidden_sign") is not None:
            values["hidden_sign"] = _check_entries("hidden_sign", values["hidden_sign"])
            if pixels:
                raise UserError("hidden_sign: of states only; give null, or obs=state")
        if values["seed"] >= 2**32:
            raise UserError(f"seed={values['seed']}: use an integer below 4294967296")
        for key in ("name", "root"):
            if not str(values[key]).strip():
                raise UserError(f"{key}={values[key]}: give a folder name")
            values[key] = str(values[key])
        if "/" in values["name"] or values["name"] in (".", ".."):
            raise UserError(f"name={values['name']}: use a plain folder name; root= says where it goes")
        if set(values["render"]) != {"device"}:
            raise UserError(f"render={values['render']}: the only option here is render.device")
        for key in ("stddev_schedule", "lr_schedule"):
            if key in names:
                parse_schedule(values[key], key)
                values[key] = str(values[key])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON values, for snapshots and run folders."""
        return dataclasses.asdict(self)

    @property
    def num_train_steps(self) -> int:
        """Decisions to train for."""
        return self.num_train_frames // self.action_repeat


@dataclass(frozen=True, kw_only=True)
class TrainSettings(RunSettings):
    """Every option of train.py; cfgs/train.yaml says what each means and its default."""

    PROGRAM = "train"

    normalize_observations: bool
    hidden_sign: list[int] | None
    num_seed_frames: int
    nstep: int
    discount: float
    lr: float
    critic_target_tau: float
    num_expl_steps: int
    stddev_clip: float


@dataclass(frozen=True, kw_only=True)
class DistillSettings(RunSettings):
    """Every option of distill.py; cfgs/distill.yaml says what each means and its default.

    teacher, teacher_sha256: the teacher's file, and the hash of its weights, which a resumed run must find again.
    """

    PROGRAM = "distill"

    state_weight: float

    num_teacher_frames: int
    episode_decisions: int | None
    lr_schedule: str
    teacher: str
    teacher_sha256: str


def _check_integer(key: str, value: Any, low: int, optional: bool) -> int | None:
    if value is None and optional:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 1e6 is how many people write a million
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise UserError(f"{key}={value}: use an integer of at least {low}" + (" or null" if optional else ""))
    return value


def _check_entries(key: str, value: Any) -> list[int]:
    whole = isinstance(value, (list, tuple)) and all(
        isinstance(entry, int) and not isinstance(entry, bool) for entry in value
    )
    if not whole or not value or min(value) < 0 or len(set(value)) < len(value):
        raise UserError(f"{key}={value}: use null or a list of an observation's entries, counted from 0, such as [2,3]")
    return list(value)


def _check_number(key: str, value: Any, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not low <= number <= high:
        raise UserError(f"{key}={value}: use a number from {low} to {high}")
    return number
