"""The names of tasks: those of the DrQ-v2 benchmark (facebookresearch/drqv2, cfgs/task/), and Gymnasium's by their
spelling.
"""

import re

from runtime.did_you_mean import did_you_mean
from runtime.errors import UserError

TASKS: tuple[str, ...] = (
    "acrobot_swingup",
    "cartpole_balance",
    "cartpole_balance_sparse",
    "cartpole_swingup",
    "cartpole_swingup_sparse",
    "cheetah_run",
    "cup_catch",
    "finger_spin",
    "finger_turn_easy",
    "finger_turn_hard",
    "hopper_hop",
    "hopper_stand",
    "humanoid_run",
    "humanoid_stand",
    "humanoid_walk",
    "pendulum_swingup",
    "quadruped_run",
    "quadruped_walk",
    "reach_duplo",
    "reacher_easy",
    "reacher_hard",
    "walker_run",
    "walker_stand",
    "walker_walk",
)


def is_gymnasium(task: str) -> bool:
    """Whether `task` is spelt like an environment of Gymnasium's registry: HalfCheetah-v4, namespace/Name-v0,
    module:Name-v0 (Gymnasium imports the module, which registers the environment)."""
    return re.fullmatch(r"([\w.]+:)?([\w-]+/)?[\w.-]+-v\d+", task) is not None


def check(task: str, option: str = "task") -> str:
    """Returns `task`. Raises UserError that names `option`, and the nearest names, if there is no such task."""
    if is_gymnasium(task):
        from envs import gymnasium_task

        gymnasium_task.check(task)
    elif task not in TASKS:
        remedy = did_you_mean(task, TASKS, cutoff=0.5) or f"choose one of {', '.join(TASKS)}, or a Gymnasium id"
        raise UserError(f"{option}={task}: no such task; {remedy.strip()}")
    return task
