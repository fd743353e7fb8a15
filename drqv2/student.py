"""The learner of distillation: encoder and actor regress on the actions that a teacher would take.

The loss is the mean squared difference of the actions after their tanh, on observations shifted at random as in
DrQ-v2 (Yarats et al. 2021, Section 3.1); which states it is taken over is DAgger's part (`drqv2.distiller`).
An action of one or two numbers says little about what a picture shows. With `state_weight` a linear layer on the
trunk's output has to tell the whole state, an auxiliary task (Jaderberg et al. 2017) that the policy is saved without.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drqv2.learner import LearnerSettings, PolicyLearner
from drqv2.normalizer import ObservationNormalizer
from drqv2.schedule import LinearSchedule


@dataclass(frozen=True)
class StudentSettings(LearnerSettings):
    """What defines the student; see cfgs/distill.yaml for each value's meaning. state_dim: D of the lessons' states."""

    lr_schedule: LinearSchedule
    state_dim: int
    state_weight: float


@dataclass
class Lesson:
    """One update's examples: observations [B, ...] and the teacher's actions there [B, A]; where the student has a
    state_weight above 0, the states follow in the same rows [B, A+D]."""

    observation: Tensor
    action: Tensor


class Student(PolicyLearner):
    """Encoder, actor, the layer that tells states if there is one, and one optimiser over all."""

    settings: StudentSettings

    def __init__(self, settings: StudentSettings, device: torch.device) -> None:
        super().__init__(settings, device)
        parameters = [p for module in self.modules().values() for p in module.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=settings.lr_schedule(0), fused=True)

    def _make_more(self) -> list[nn.Module]:
        s = self.settings
        self._state_scale = ObservationNormalizer(s.state_dim)
        self._state_modules: dict[str, nn.Module] = {}
        if s.state_weight > 0:
            self._state_modules = {
                "state_head": nn.Linear(s.feature_dim, s.state_dim),
                "state_scale": self._state_scale,
            }
        return list(self._state_modules.values())

    def modules(self) -> dict[str, nn.Module]:
        return super().modules() | self._state_modules

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"policy": self.optimizer}

    def include(self, observations: np.ndarray) -> None:
        """Takes an episode's states [N, D] into the statistics that they are normalised by, where they are told."""
        if self._state_modules:
            self._state_scale.include(torch.as_tensor(observations.copy(), device=self.device))

    def update(self, lesson: Lesson, step: int) -> dict[str, Tensor]:
        """One gradient step on `lesson`, at decision `step`; returns 0-d tensors, not yet synchronised with the
        device.
        """
        s = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = s.lr_schedule(step)
        features = self._features(self.actor.trunk, self._encode(lesson.observation))
        losses = {
            "imitation_loss": F.mse_loss(torch.tanh(self.actor.policy(features)), lesson.action[:, : s.action_dim])
        }
        loss = losses["imitation_loss"]
        if self._state_modules:
            state = self._state_scale(lesson.action[:, s.action_dim :])
            losses["state_loss"] = F.mse_loss(self._state_modules["state_head"](features), state)
            loss = loss + s.state_weight * losses["state_loss"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return {name: value.detach() for name, value in losses.items()}
