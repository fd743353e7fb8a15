"""The learner of distillation: encoder and actor regress on the actions that a teacher would take.

The loss is the mean squared difference of the actions after their tanh, on observations shifted at random as in
DrQ-v2 (Yarats et al. 2021, Section 3.1); which states it is taken over is DAgger's part (`drqv2.distiller`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from drqv2.learner import LearnerSettings, PolicyLearner
from drqv2.schedule import LinearSchedule


@dataclass(frozen=True)
class StudentSettings(LearnerSettings):
    """What defines the student; see cfgs/distill.yaml for each value's meaning."""

    lr_schedule: LinearSchedule


@dataclass
class Lesson:
    """One update's examples: observations [B, ...] and the teacher's actions there [B, A]."""

    observation: Tensor
    action: Tensor


class Student(PolicyLearner):
    """Encoder, actor and one optimiser over both."""

    settings: StudentSettings

    def __init__(self, settings: StudentSettings, device: torch.device) -> None:
        super().__init__(settings, device)
        self.optimizer = torch.optim.Adam(
            [*self.encoder.parameters(), *self.actor.parameters()], lr=settings.lr_schedule(0), fused=True
        )

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"policy": self.optimizer}

    def update(self, lesson: Lesson, step: int) -> dict[str, Tensor]:
        """One gradient step on `lesson`, at decision `step`; returns scalar tensors that no one has waited for yet."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr_schedule(step)
        loss = F.mse_loss(self._mean(self._encode(lesson.observation)), lesson.action)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return {"imitation_loss": loss.detach()}
