"""A script for the device: updates and actions of every kind of learner, beside the same on the CPU."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from drqv2.agent import DrQV2Agent
from drqv2.learner import PolicyLearner
from drqv2.prefetch import Prefetcher
from drqv2.settings import DistillSettings
from drqv2.snapshot import policy_weights
from drqv2.student import Student
from runtime.device import prepare
from tests.configs import config, train_settings
from tests.cuda.gpu import REAL, log_in_use

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
PIXELS, STATE = (3, 17, 17), (5,)
NETWORKS = {"feature_dim": 8, "hidden_dim": 16, "seed": 4}


def rows(update: int, shape: tuple[int, ...], size: int) -> np.ndarray:
    random = np.random.default_rng([update, *shape, size])
    return (
        random.integers(0, 256, (size, *shape), np.uint8)
        if len(shape) == 3
        else random.random((size, *shape), np.float32)
    )


def agent(shape: tuple[int, ...], trunk: str, normalize: bool, precision: str) -> tuple[Callable, Callable]:
    learner = {"lr": 1e-3, "num_expl_steps": 0, "stddev_schedule": "linear(1.0,0.1,100)", "precision": precision}
    policy = {"actor_trunk": trunk, "normalize_observations": normalize}
    settings = train_settings(Path(), **NETWORKS, **learner, **policy)

    def sample(update: int) -> dict[str, np.ndarray]:
        observed = {"observation": rows(update, shape, 6), "next_observation": rows(update + 100, shape, 6)}
        return observed | {
            "action": rows(update, (2,), 6),
            "reward": rows(update, (1,), 6),
            "discount": rows(update, (1,), 6),
        }

    return lambda device: DrQV2Agent(settings, shape, 2, device), sample


def student(state_weight: float) -> tuple[Callable, Callable]:
    task = {"task_name": "cartpole_swingup", "num_train_frames": 100, "teacher_sha256": "", "teacher": ""}
    learner = {"obs": "pixels", "name": "run", "lr_schedule": 1e-3, "precision": "fp32", "state_weight": state_weight}
    settings = DistillSettings.from_dict(config("distill") | task | NETWORKS | learner)

    def sample(update: int) -> dict[str, np.ndarray]:
        return {"observation": rows(update, PIXELS, 6), "action": rows(update, (7 if state_weight else 2,), 6)}

    return lambda device: Student(settings, PIXELS, 2, device, state_dim=5), sample


def trained(make: Callable, sample: Callable, device: torch.device) -> tuple[list[float], np.ndarray]:
    """Metrics of three updates, the third by a learner that the state of the first was loaded into, and its actions."""
    learner: PolicyLearner = make(device)
    learner.include(rows(0, STATE, 20), rows(1, (7,), 20))
    batches = Prefetcher(sample, device)
    log = log_in_use()
    metrics = []
    for number in range(3):
        if number == 2:
            state, learner = {name: value.cpu().clone() for name, value in learner.state().items()}, make(device)
            learner.load_state(state)
        waits = log.waits.total()
        metrics.append(learner.update(batches.take(number), number, number))
        assert log.waits.total() == waits, log.waits
    batches.close()
    seen = rows(9, sample(0)["observation"].shape[1:], 3)
    waits = log.waits.total()
    actions = learner.act_mean(seen)
    assert log.waits.total() == waits + (device == CUDA)
    assert {value.device.type for value in policy_weights(learner.state()).values()} == {device.type}
    return [float(value) for values in metrics for value in values.values()], actions


LEARNERS = {
    "pixels, LayerNorm": (agent(PIXELS, "layernorm_tanh", False, "fp32"), "fp32", 1e-4),
    "pixels, tf32": (agent(PIXELS, "relu", False, "tf32"), "tf32", 5e-2),
    "pixels, bf16": (agent(PIXELS, "relu", False, "bf16"), "bf16", 1e-4),
    "state, normalised": (agent(STATE, "relu", True, "fp32"), "fp32", 1e-4),
    "student": (student(0.0), "fp32", 1e-4),
    "student that tells states": (student(0.5), "fp32", 1e-4),
}

for name, (learner, precision, tolerance) in LEARNERS.items():
    prepare(CUDA, precision, repeatable=False)
    (metrics, actions), (here, acted) = trained(*learner, CUDA), trained(*learner, CPU)
    if REAL:  # which adds in another order, so that Adam's first steps may turn where a gradient is nearly 0
        tolerance = max(tolerance, 5e-2 if precision == "bf16" else 1e-2)
    np.testing.assert_allclose(metrics, here, rtol=tolerance, atol=tolerance, err_msg=name)
    np.testing.assert_allclose(actions, acted, rtol=tolerance, atol=tolerance, err_msg=name)
    # TF32 shows in the numbers, and on the pretended device nothing else does.
    assert REAL or (max(np.abs(np.subtract(metrics, here))) > 1e-5) == (precision == "tf32"), name
