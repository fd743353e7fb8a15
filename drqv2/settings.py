"""The options of train.py and distill.py, named as in cfgs/train.yaml and cfgs/distill.yaml, which say what each
means.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from drqv2.schedule import parse_schedule
from runtime.schema import Options, Whole, expected

# Options that don't change what is learned: a run may be resumed with other values of these.
MAY_CHANGE = frozenset(
    "num_train_frames eval_every_frames num_eval_episodes eval_workers snapshot_every_frames save_video use_tb "
    "use_wandb progress root name device render teacher lock grace_seconds".split()
)
# What was in force before there was such an option: the meaning of a stored configuration that doesn't name it.
BEFORE_THE_OPTION = {
    "replay_compression": "none",
    "threads": None,
    "normalize_observations": False,
    "hidden_sign": None,
    "start_from": None,
    "state_weight": 0.0,
}

AtLeast0 = Annotated[Whole, Field(ge=0)]
AtLeast1 = Annotated[Whole, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
# YAML reads a name such as 7 as a number.
Text = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) in (int, float) else value)]


class Render(Options):
    """How pictures are made."""

    device: Whole | None


class RunSettings(Options):
    """The options that every kind of run has. Frames are environment steps."""

    task_name: str
    obs: Literal["pixels", "state"]
    frame_stack: AtLeast1
    action_repeat: AtLeast1
    max_decisions: AtLeast1 | None
    num_train_frames: AtLeast1
    eval_every_frames: AtLeast1
    num_eval_episodes: AtLeast1
    eval_workers: AtLeast0 | None
    snapshot_every_frames: AtLeast1
    save_video: bool
    use_tb: bool
    use_wandb: bool
    progress: bool
    root: Text
    name: Text
    start_from: str | None
    lock: bool
    grace_seconds: AtLeast0
    seed: Annotated[Whole, Field(ge=0, lt=2**32)]
    batch_size: AtLeast1
    feature_dim: AtLeast1
    hidden_dim: AtLeast1
    actor_trunk: Literal["relu", "layernorm_tanh"]
    update_every_steps: AtLeast1
    stddev_schedule: Text
    replay_buffer_size: AtLeast1
    replay_compression: Literal["zstd", "none"]
    device: Text
    threads: AtLeast1 | None
    precision: Literal["published", "fp32", "tf32", "bf16", "auto"]
    compile: bool
    deterministic: bool
    render: Render

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Checks a plain configuration. Raises UserError that names the option, its value and what would be right."""
        pixels = values.get("obs") == "pixels"
        chosen = {"hidden_dim": 1024 if pixels else 256, "save_video": pixels}
        return super().from_dict(
            {key: chosen[key] if value is None and key in chosen else value for key, value in values.items()}
        )

    @field_validator("stddev_schedule", "lr_schedule", check_fields=False)
    @classmethod
    def _is_schedule(cls, text: str) -> str:
        parse_schedule(text)
        return text

    @field_validator("root", "name")
    @classmethod
    def _is_folder(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("must name a folder")
        return text

    @field_validator("name")
    @classmethod
    def _is_plain(cls, name: str) -> str:
        if "/" in name or name in (".", ".."):
            raise ValueError("must be a plain folder name; root= says where it goes")
        return name

    @property
    def num_train_steps(self) -> int:
        """Decisions to train for."""
        return self.num_train_frames // self.action_repeat


class TrainSettings(RunSettings):
    """Every option of train.py."""

    normalize_observations: bool
    hidden_sign: Annotated[
        Annotated[list[AtLeast0], Field(min_length=1)] | None,
        expected("null, or a list of an observation's entries, counted from 0, such as [2,3]"),
    ]
    num_seed_frames: AtLeast0
    nstep: AtLeast1
    discount: Share
    lr: Share
    critic_target_tau: Share
    num_expl_steps: AtLeast0
    stddev_clip: Annotated[float, Field(ge=0, le=10)]

    @field_validator("hidden_sign")
    @classmethod
    def _once(cls, entries: list[int] | None) -> list[int] | None:
        if entries is not None and len(set(entries)) < len(entries):
            raise ValueError("must name each entry once, such as [2,3]")
        return entries

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.obs == "pixels" and self.normalize_observations:
            raise ValueError("normalize_observations=true: pixels have one scale already; give false, or obs=state")
        if self.obs == "pixels" and self.hidden_sign is not None:
            raise ValueError("hidden_sign: for states only; give null, or obs=state")
        return self


class DistillSettings(RunSettings):
    """Every option of distill.py.

    teacher, teacher_sha256: the teacher's file, and the hash of its weights, which a resumed run must find again.
    """

    state_weight: Annotated[float, Field(ge=0, le=1000)]
    num_teacher_frames: AtLeast1
    episode_decisions: AtLeast1 | None
    lr_schedule: Text
    teacher: str
    teacher_sha256: str
