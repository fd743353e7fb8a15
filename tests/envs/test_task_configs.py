"""cfgs/task as train.py composes it, against the published values."""

import envs
from cli import command_line

COMMON = {"nstep": 3, "batch_size": 256, "lr": 1e-4, "feature_dim": 50, "replay_buffer_size": 1_000_000}

EASY = """cartpole_balance cartpole_balance_sparse cartpole_swingup cup_catch finger_spin hopper_stand pendulum_swingup
          walker_stand walker_walk""".split()
GYMNASIUM = [f"{name}-v{version}" for name in ("Ant", "HalfCheetah", "Hopper", "Walker2d") for version in (4, 5)]
# By the domain, or a task's whole name.
SPECIAL = {
    "walker": {"nstep": 1, "batch_size": 512},
    "humanoid": {"lr": 8e-5, "feature_dim": 100},
    "quadruped_run": {"replay_buffer_size": 100_000},
}


def published(task):
    domain, frames, decisions = task.partition("_")[0], 3_100_000, 500_000
    if task in EASY:
        frames, decisions = 1_100_000, 100_000
    elif domain == "humanoid":
        frames, decisions = 30_100_000, 2_000_000
    settings = {"num_train_frames": frames, "stddev_schedule": f"linear(1.0,0.1,{decisions})", "task_name": task}
    return {"obs": "pixels"} | COMMON | settings | SPECIAL.get(domain, {}) | SPECIAL.get(task, {})


def composed(*given):
    values = command_line.composed("train", list(given))
    return {name: values[name] for name in published("cheetah_run")}


def test_every_task_has_the_published_settings():
    for task in envs.TASKS:
        assert composed(f"task={task}") == published(task)
    assert composed("task=walker_run", "nstep=5")["nstep"] == 5, "the command line wins over the task"
    assert set(command_line.choices("task")) == {*envs.TASKS, *GYMNASIUM, "gymnasium"}


def test_gymnasiums_tasks_are_learned_from_states_at_one_decision_per_step():
    for task in GYMNASIUM:
        values = command_line.composed("train", [f"task={task}"])
        settings = {"task_name": task, "obs": "state", "action_repeat": 1, "num_train_frames": 1_000_000}
        assert values | settings == values
