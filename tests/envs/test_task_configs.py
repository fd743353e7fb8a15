"""cfgs/task composed by Hydra over a config with DrQ-v2's common settings, against the published values."""

from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf

import envs

CFGS = Path(__file__).resolve().parents[2] / "cfgs"
COMMON = {"nstep": 3, "batch_size": 256, "lr": 1e-4, "feature_dim": 50, "replay_buffer_size": 1_000_000}

EASY = """cartpole_balance cartpole_balance_sparse cartpole_swingup cup_catch finger_spin hopper_stand pendulum_swingup
          walker_stand walker_walk""".split()
GYMNASIUM = [f"{name}-v{version}" for name in ("Ant", "HalfCheetah", "Hopper", "Walker2d") for version in (4, 5)]
HARD = ["humanoid_run", "humanoid_stand", "humanoid_walk"]


def published(task):
    if task in EASY:
        frames, decisions = 1_100_000, 100_000
    elif task in HARD:
        frames, decisions = 30_100_000, 2_000_000
    else:
        frames, decisions = 3_100_000, 500_000
    expected = COMMON | {
        "num_train_frames": frames,
        "stddev_schedule": f"linear(1.0,0.1,{decisions})",
        "task_name": task,
    }
    if task.startswith("walker"):
        expected |= {"nstep": 1, "batch_size": 512}
    if task.startswith("humanoid"):
        expected |= {"lr": 8e-5, "feature_dim": 100}
    if task == "quadruped_run":
        expected |= {"replay_buffer_size": 100_000}
    return expected


@pytest.fixture
def composed(tmp_path):
    main = {"defaults": ["_self_", {"task": "cheetah_run"}], "hydra": {"searchpath": [str(CFGS)]}, **COMMON}
    (tmp_path / "main.yaml").write_text(yaml.safe_dump(main, sort_keys=False))
    GlobalHydra.instance().clear()

    def compose_with(*overrides):
        with initialize_config_dir(version_base="1.3", config_dir=str(tmp_path)):
            return OmegaConf.to_container(compose("main", overrides=list(overrides)))

    yield compose_with
    GlobalHydra.instance().clear()


def test_every_task_has_the_published_settings(composed):
    assert composed() == published("cheetah_run")
    for task in envs.TASKS:
        assert composed(f"task={task}") == published(task)


def test_the_command_line_wins_over_the_task(composed):
    assert composed("task=walker_run", "nstep=5")["nstep"] == 5


@pytest.mark.parametrize("name", ["easy", "medium", "hard", "difficulty/easy", "cheetah"])
def test_what_is_no_task_is_refused_with_the_list_of_tasks(composed, name):
    with pytest.raises(HydraException) as refusal:
        composed(f"task={name}")
    offered = str(refusal.value).split("Available options in 'task':")[1].split("Config search path")[0].split()
    assert set(offered) == {*envs.TASKS, *GYMNASIUM, "gymnasium"}


def test_gymnasiums_tasks_are_learned_from_states_at_one_decision_per_step(composed):
    for task in GYMNASIUM:
        values = composed(f"task={task}")
        assert (values["task_name"], values["obs"], values["action_repeat"]) == (task, "state", 1)
        assert values["num_train_frames"] == 1_000_000
