"""The words of a command line, checked before Hydra reads them: what they mean, or one line that says what to write.

Hydra would misread some, answer others with a page, and notice a misspelt task only once torch has loaded. Its own
parser (hydra.core.override_parser) splits each word.
"""

import functools
import importlib.util
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from envs import tasks
from runtime.did_you_mean import did_you_mean
from runtime.errors import UserError

CONFIG_DIR = Path(__file__).resolve().parents[1] / "cfgs"
PROGRAMS = ("train", "distill", "convert", "analyze")
# Groups that a program has no choice of by itself; they are added: +paper=table3.
ADDED_GROUPS = {"convert": ("paper", "sweep", "method", "budget"), "analyze": ("paper", "method", "budget")}
# The task, under its name in each program's configuration; both names work in all of them.
TASK = {"train": "task", "distill": "task", "convert": "env_name", "analyze": "env_name"}
# Words of drqv2, tdmpc2, stable-baselines3 and spikingjelly, and what they are here: the first that a program has.
ADVICE = {
    ("env", "env_id", "environment", "task_name", "domain"): ("task", "env_name"),
    ("frames", "num_frames", "train_frames", "total_timesteps", "max_steps", "steps", "num_train_steps"): (
        "num_train_frames",
        "SNN_ts",
    ),
    ("T", "ts", "timesteps", "time_steps", "SNN_T", "num_steps", "simulation_steps"): ("SNN_ts", "num_train_frames"),
    ("checkpoint", "ckpt", "policy", "model", "path", "weights", "model_path", "load"): (
        "snapshot",
        "teacher",
        "start_from",
    ),
    ("resume", "resume_from", "pretrained"): ("start_from", "snapshot"),
    ("learning_rate", "actor_lr", "critic_lr"): ("lr", "lr_schedule"),
    ("gamma",): ("discount",),
    ("tau",): ("critic_target_tau",),
    ("buffer_size", "replay_size", "memory_size"): ("replay_buffer_size",),
    ("learning_starts", "seed_frames", "seed_steps"): ("num_seed_frames", "num_teacher_frames"),
    ("n_steps", "n_step"): ("nstep",),
    ("eval_freq", "eval_every", "eval_frequency"): ("eval_every_frames",),
    ("save_freq", "save_every", "save_snapshot"): ("snapshot_every_frames",),
    ("eval_episodes", "n_eval_episodes", "episodes", "num_episodes"): ("num_eval_episodes",),
    ("experiment", "exp_name", "run_name"): ("name", "run"),
    ("work_dir", "log_dir", "logdir", "exp_dir", "save_dir", "out"): ("root",),
    ("modality", "from_pixels", "observation", "observations"): ("obs",),
    ("node", "neuron_type", "spiking_neuron"): ("neuron",),
    ("workers", "num_envs_workers", "n_envs", "num_workers"): ("num_workers", "eval_workers"),
    ("gpu", "cuda"): ("device",),
}
# What brings Hydra's plugins, which are optional.
_PLUGINS = {
    "joblib": "hydra_joblib_launcher",
    "submitit_local": "hydra_submitit_launcher",
    "submitit_slurm": "hydra_submitit_launcher",
    "optuna": "hydra_optuna_sweeper",
    "tune": "hydra_optuna_sweeper",
}


@functools.cache
def read(path: Path) -> dict[str, Any]:
    """A YAML file of cfgs/."""
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(path)))


def composed(program: str, given: Sequence[str]) -> dict[str, Any]:
    """The configuration of `program` under these words of its command line, as plain nested values."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return plain(compose(program, list(given)))


def plain(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain nested values. Raises OmegaConf's errors for a value that is missing."""
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))


def groups(program: str) -> list[str]:
    """The groups of cfgs/ that `program` chooses a file of by default."""
    entries = [entry for entry in read(CONFIG_DIR / f"{program}.yaml")["defaults"] if isinstance(entry, dict)]
    return [name for entry in entries for name in entry if not name.startswith("override ")]


def choices(group: str) -> list[str]:
    """The names that a group has files for."""
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


@functools.cache
def options(program: str) -> tuple[str, ...]:
    """The options of a program, as written on the command line: those of its own file and of its groups' files."""
    names = [*flat(read(CONFIG_DIR / f"{program}.yaml"))]
    for group in groups(program):
        # A file of a global group sets the program's own options, and the task's name.
        files = [] if group in ("task", "preset") else (CONFIG_DIR / group).glob("*.yaml")
        names += ["task_name"] * (group == "task") + [name for path in files for name in flat(read(path), f"{group}.")]
    return tuple(dict.fromkeys(names))


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A program's nested options by their names on the command line."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if prefix or key not in ("defaults", "hydra"):
            found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def check(program: str, words: list[str]) -> list[Override]:
    """The words as Hydra's overrides, with `task` and `env_name` under the program's own name.

    Raises UserError for the first word that is wrong, in one line that says what to write.
    """
    overrides = [_check(program, word, words) for word in words]
    if program == "train":
        overrides = [part for override in overrides for part in _gymnasium(override)]
    # Gymnasium's tasks are always observed from state.
    named = [override for override in overrides if override.key_or_group == "env_name"]
    observed = any(override.key_or_group == "obs" for override in overrides)
    if named and not observed and all(tasks.is_gymnasium(str(value)) for value in _values(named[-1])):
        overrides += OverridesParser.create().parse_overrides(["obs=state"])
    return overrides


def _gymnasium(override: Override) -> list[Override]:
    """A Gymnasium task without a file in cfgs/task trains with the settings of cfgs/task/gymnasium.yaml."""
    task = str(override.value())
    if override.key_or_group != "task" or not tasks.is_gymnasium(task) or task in choices("task"):
        return [override]
    return OverridesParser.create().parse_overrides(["task=gymnasium", f"task_name={task}"])


def _values(override: Override) -> list[Any]:
    return list(override.sweep_string_iterator()) if override.is_discrete_sweep() else [override.value()]


def _check(program: str, word: str, words: list[str]) -> Override:
    bare = word.lstrip("+")
    name, _, value = bare.partition("=")
    if word.endswith("\r"):
        raise UserError(
            f"{word.strip()}: ends with a carriage return; does it come from a file with Windows line endings?"
        )
    if word.startswith("~"):
        raise UserError(f"{word}: options can't be removed; to change this one write {name.lstrip('~')}=value")
    if "=" not in bare or (name, value) != (name.strip(), value.strip()):
        parts = re.split(r"[\s:=]+", bare.strip())
        raise UserError(f"{word}: write {'='.join(parts) if len(parts) == 2 else f'{parts[0]}=value'}")
    if not name or not value:
        raise UserError(f"{word}: {'has no value' if name else 'names no option'}; write {name or 'name'}=value")
    renamed = TASK[program] if name in TASK.values() and word == bare else name
    try:
        [override] = OverridesParser.create().parse_overrides([word.replace(name, renamed, 1)])
    except OverrideParseException as error:
        reason = error.message.splitlines()[0]
        raise UserError(f"{word}: {reason}; quote special characters: \"{name}='value'\"") from None
    if override.package is not None:
        name = override.key_or_group
        raise UserError(f"{word}: this is the spelling of older Hydra releases; write {name}={value}")
    _check_plugin(word, name, value)
    if name.startswith("hydra"):
        return override
    added, own = ADDED_GROUPS.get(program, ()), groups(program)
    if name in added and not override.is_add() and not any(w.startswith(("+paper=", f"+{name}=")) for w in words):
        raise UserError(f"{word}: this group is added to {program}.py's options; write +{word}")
    if renamed in (*added, *own, TASK[program]) and "${" not in value:
        _check_choice(name, override)
    elif name not in options(program):
        if several := [option for option in options(program) if option.startswith(f"{name}.")]:
            if not isinstance(override.value(), dict):
                raise UserError(f"{word}: {name} is a group of options: {', '.join(several)}")
        else:
            raise UserError(f"{word}: {_unknown(program, name, value)}")
    if override.is_add() and name not in added:
        raise UserError(f"{word}: the option exists already; write {name}={value}")
    return override


def _check_choice(name: str, override: Override) -> None:
    known = choices(name)
    for value in _values(override):
        if name in TASK.values():
            tasks.check(str(value), name)
        elif value not in known and not isinstance(value, list):
            meant = [choice for choice in known if choice == str(value).lower()]
            raise UserError(
                f"{name}={value}: " + (f"did you mean {meant[0]}?" if meant else f"must be one of {', '.join(known)}")
            )


def _unknown(program: str, name: str, value: str) -> str:
    known = (*options(program), *groups(program))
    for names, targets in ADVICE.items():
        if name in names and (target := next((target for target in targets if target in known), None)):
            return f"unknown option; write {target}={value}"
    others = [f"{other}.py" for other in PROGRAMS if name in options(other) or name in groups(other)]
    if others:
        return f"an option of {' and '.join(others)}; python {program}.py --help lists those of {program}.py"
    return f"unknown option; {did_you_mean(name, known)}python {program}.py --help lists them all"


def _check_plugin(word: str, name: str, value: str) -> None:
    if (
        name in ("hydra/launcher", "hydra/sweeper", "sweep")
        and value in _PLUGINS
        and importlib.util.find_spec(f"hydra_plugins.{_PLUGINS[value]}") is None
    ):
        raise UserError(f"{word}: this plugin of Hydra's is not installed; pip install -r requirements.txt")
    if value == "submitit_slurm" and shutil.which("srun") is None:
        raise UserError(f"{word}: no srun is found here; run it on a Slurm cluster, or choose joblib or submitit_local")
