"""Distillation: what is stored as a lesson, what is learned from it, who acts, and what it refuses."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import envs
from drqv2.distiller import Distiller
from drqv2.networks import PolicyNetwork
from drqv2.settings import DistillSettings
from drqv2.snapshot import load_policy, policy_weights
from drqv2.student import Student
from tests.configs import config
from tests.drqv2 import runs
from tests.drqv2.runs import column, same, tensors
from tests.refusals import refused

ROOT = Path(__file__).resolve().parents[2]
PIXELS = (9, 36, 36)  # smaller than the tasks', for speed
SMALL = {
    "task_name": "cartpole_swingup",
    "obs": "pixels",
    "name": "run",
    "device": "cpu",
    "use_tb": False,
    "progress": False,
    "save_video": False,
    "num_train_frames": 80,
    "num_teacher_frames": 40,
    "max_decisions": 10,
    "eval_every_frames": 80,
    "num_eval_episodes": 1,
    "eval_workers": 0,
    "snapshot_every_frames": 20,
    "batch_size": 4,
    "hidden_dim": 16,
    "feature_dim": 8,
    "precision": "fp32",
    "deterministic": True,
    "threads": 1,
}


@pytest.fixture(scope="module")
def teacher():
    return load_policy(ROOT / "checkpoints/state/cartpole_swingup.pt")


def settings(root: Path, teacher, **changes) -> DistillSettings:
    own = {"teacher": str(teacher.path), "teacher_sha256": teacher.sha256, "root": str(root), "lr_schedule": 1e-3}
    return DistillSettings.from_dict(config("distill") | own | SMALL | changes)


def finished(root: Path, teacher, **changes) -> Distiller:
    run = Distiller(settings(root, teacher, **changes), teacher)
    run.run()
    return run


def make_student(teacher, action_dim=2, **changes) -> Student:
    """Of states of three numbers."""
    chosen = settings(Path(), teacher, **{"feature_dim": 50} | changes)
    return Student(chosen, PIXELS, action_dim, torch.device("cpu"), state_dim=3)


def lesson(random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures, and actions to give for them."""
    observation = torch.from_numpy(random.integers(256, size=(6, *PIXELS), dtype=np.uint8))
    return observation, torch.from_numpy(random.uniform(-1, 1, (6, 2)).astype(np.float32))


def taught(teacher, state: np.ndarray) -> np.ndarray:
    """The action that the teacher's own network takes in a state."""
    return torch.tanh(teacher.network(torch.from_numpy(state))).detach().numpy()


def test_the_teacher_acts_first_and_labels_every_state_that_comes(tmp_path, teacher):
    run = finished(tmp_path, teacher, stddev_schedule=0.0)
    state = envs.make(
        "cartpole_swingup", seed=1, obs="state", frame_stack=3, action_repeat=2, max_decisions=10, render_device=None
    )
    rewards = []
    for episode, stored in enumerate(run.replay.episodes()[:2]):  # the teacher's two episodes: 40 frames
        step = state.reset(envs.episode_seed("train", 1, episode))
        total = 0.0
        for label in stored.action:
            np.testing.assert_allclose(label, taught(teacher, step.observation), atol=1e-5)
            step = state.step(label)
            total += step.reward
        rewards.append(total)
    # The student's episodes follow its own actions, but their labels are the teacher's: replayed with the labels as
    # actions the states are others.
    stored = run.replay.episodes()[2]
    step = state.reset(envs.episode_seed("train", 1, 2))
    np.testing.assert_allclose(stored.action[0], taught(teacher, step.observation), atol=1e-5)
    for label in stored.action[:-1]:
        step = state.step(label)
    assert not np.allclose(stored.action[-1], taught(teacher, step.observation), atol=1e-4)
    logged = column(run.run_dir.path / "train.csv", "episode_reward")[:2]
    np.testing.assert_allclose(logged, rewards, rtol=1e-5)  # actions are clipped to just inside (-1, 1)


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_updates_equal_regression_on_the_actions_and_by_its_weight_on_the_normalised_states(teacher, weight):
    random = np.random.default_rng(4)
    student = make_student(teacher, seed=5, lr_schedule="linear(1e-3,1e-4,4)", state_weight=weight)
    seen = random.normal([1, -2, 5], [0.5, 3.0, 0.01], (2, 40, 3)).astype(np.float32)
    for states in seen:
        student.include(states, np.hstack([np.ones((40, 2), np.float32), states]))
    center, deviation = seen.mean((0, 1), np.float64), np.maximum(seen.std((0, 1), np.float64), 0.1)
    plain = copy.deepcopy(PolicyNetwork(student.encoder, student.actor))
    head = copy.deepcopy(student.networks["state_head"]) if weight else torch.nn.Linear(50, 3)
    optimizer = torch.optim.Adam([*plain.parameters(), *head.parameters()])
    for step, lr in enumerate((1e-3, 7.75e-4, 5.5e-4, 3.25e-4, 1e-4)):
        observation, action = lesson(random)
        normal = torch.from_numpy(random.standard_normal((6, 3), np.float32))
        state = normal * torch.from_numpy(deviation).float() + torch.from_numpy(center).float()
        features = plain.actor.trunk(plain.encoder(observation))
        imitation = F.mse_loss(torch.tanh(plain.actor.policy(features)), action)
        told = F.mse_loss(head(features), normal)
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        (imitation + weight * told).backward()
        optimizer.step()
        rows = torch.cat([action, state], 1) if weight else action
        got = student.update({"observation": observation, "action": rows}, step, 0)
        want = {"imitation_loss": imitation.item()} | ({"state_loss": told.item()} if weight else {})
        assert {name: value.item() for name, value in got.items()} == pytest.approx(want, rel=1e-4)
    assert policy_weights(student.state()).keys() == plain.state_dict().keys()


def test_with_a_state_weight_the_state_that_the_teacher_saw_is_stored_behind_its_action(tmp_path, teacher):
    run = finished(tmp_path, teacher, state_weight=1.0)
    stored = np.concatenate([episode.action for episode in run.replay.episodes()])
    assert stored.shape == (40, 1 + 5)
    np.testing.assert_allclose(stored[:, :1], [taught(teacher, state) for state in stored[:, 1:]], atol=1e-5)
    scale = run.agent.networks["state_scale"]
    np.testing.assert_allclose(scale.mean.numpy(), stored[:, 1:].mean(0), atol=1e-6)
    frames, losses = (column(run.run_dir.path / "train.csv", name) for name in ("frame", "state_loss"))
    assert 0 < len(losses) < len(frames) and min(losses) > 0  # none before the first update


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_run_stopped_and_resumed_ends_as_a_whole_one(tmp_path, teacher, weight):
    whole = finished(tmp_path / "whole", teacher, state_weight=weight).run_dir.path
    finished(tmp_path / "parts", teacher, state_weight=weight, num_train_frames=60)
    parts = finished(tmp_path / "parts", teacher, state_weight=weight).run_dir.path
    assert same(whole, parts) and any("optimizer" in name for name in tensors(whole))
    policy = load_policy(whole / "policy.pt")
    assert policy.obs == "pixels" and policy.config["teacher_sha256"] == teacher.sha256


def test_only_the_episodes_learned_from_are_cut_short(tmp_path, teacher):
    run = finished(tmp_path, teacher, episode_decisions=4, max_decisions=12, num_train_frames=40, eval_every_frames=40)
    assert [len(episode) for episode in run.replay.episodes()] == [4] * 5
    assert set(column(run.run_dir.path / "eval.csv", "episode_length")) == {24}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"obs": "pixels"}, "acts from pixels; give a policy trained with obs=state"),
        ({"task": "finger_spin"}, "a policy of finger_spin; give one of cartpole_swingup"),
        ({"action_repeat": 4}, "action_repeat=2: the teacher"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(tmp_path, teacher, changes, words):
    with refused(words):
        Distiller(settings(tmp_path, teacher), dataclasses.replace(teacher, **changes))
    assert not list(tmp_path.iterdir())


def test_another_teacher_is_refused_in_the_same_folder(tmp_path, teacher):
    finished(tmp_path, teacher, num_train_frames=20, eval_every_frames=80)
    with refused("teacher_sha256=0000"):
        Distiller(settings(tmp_path, teacher, teacher_sha256="0000"), teacher)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_run_that_starts_from_another_is_that_one_going_on_and_takes_options_of_its_own(tmp_path, teacher, weight):
    whole = finished(tmp_path, teacher, state_weight=weight).run_dir.path
    half = finished(tmp_path, teacher, state_weight=weight, name="half", num_train_frames=60)
    start = {"start_from": str(half.run_dir.path), "state_weight": weight}
    assert same(whole, finished(tmp_path, teacher, name="new", **start).run_dir.path)
    assert not same(whole, finished(tmp_path, teacher, name="slower", lr_schedule=1e-5, **start).run_dir.path)
    with refused(f"state_weight={0.5 - weight}: .*has {weight}; give"):
        finished(tmp_path, teacher, name="other", **start | {"state_weight": 0.5 - weight})


def test_runs_of_train_and_of_distill_do_not_go_on_from_each_other(tmp_path, teacher):
    lessons = finished(tmp_path, teacher, num_train_frames=20, eval_every_frames=80).run_dir.path
    with refused("start_from=.*: a run of distill.py; give the folder of a run of train.py"):
        runs.finished(tmp_path, name="new", start_from=str(lessons))
    trained = runs.folder(tmp_path, name="trained", num_train_frames=40)
    with refused("start_from=.*: a run of train.py; give the folder of a run of distill.py"):
        finished(tmp_path, teacher, name="new", start_from=str(trained))
