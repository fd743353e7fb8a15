"""The learner of distillation: encoder and actor regress on the actions that a teacher would take.

The loss is the mean squared difference of the actions after their tanh, on observations shifted at random as in
DrQ-v2 (Yarats et al. 2021, Section 3.1); which states it is taken over is DAgger's part (`drqv2.distiller`).
An action of one or two numbers says little about what a picture shows. With `state_weight` a linear layer on the
trunk's output has to tell the whole state, an auxiliary task (Jaderberg et al. 2017) that the policy is saved without.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drqv2.learner import PolicyLearner
from drqv2.normalizer import ObservationNormalizer
from drqv2.schedule import parse_schedule
from drqv2.settings import DistillSettings


class Student(PolicyLearner):
    """Encoder, actor, the layer that tells states (of `state_dim` numbers) if there is one, and one optimiser over
    all."""

    settings: DistillSettings

    def __init__(
        self,
        settings: DistillSettings,
        observation_shape: tuple[int, ...],
        action_dim: int,
        device: torch.device,
        state_dim: int,
    ) -> None:
        self._state_scale = ObservationNormalizer(state_dim)
        super().__init__(settings, observation_shape, action_dim, device)
        self._lr = parse_schedule(settings.lr_schedule)
        parameters = [parameter for network in self.networks.values() for parameter in network.parameters()]
        self.optimizers = {"policy": torch.optim.Adam(parameters, lr=self._lr(0), fused=True)}

    def _make_more(self) -> dict[str, nn.Module]:
        if not self.settings.state_weight:
            return {}
        head = nn.Linear(self.settings.feature_dim, len(self._state_scale.mean))
        return {"state_head": head, "state_scale": self._state_scale}

    def include(self, observations: np.ndarray, actions: np.ndarray) -> None:
        """Takes an episode's states, behind its actions [N, A+D], into the statistics that they are normalised by."""
        if self.settings.state_weight:
            self._state_scale.include(torch.as_tensor(actions[:, self.action_dim :].copy(), device=self.device))

    def update(self, batch: dict[str, Tensor], step: int, update: int) -> dict[str, Tensor]:
        """One gradient step on lessons: observation [B, ...] and, as action, the teacher's [B, A]; with a state_weight
        the states follow in the same rows [B, A+D]."""
        (optimizer,) = self.optimizers.values()
        for group in optimizer.param_groups:
            group["lr"] = self._lr(step)
        action, state = batch["action"].tensor_split((self.action_dim,), dim=1)
        features = self._features(self.actor.trunk, self._encode(batch["observation"]))
        losses = {"imitation_loss": F.mse_loss(torch.tanh(self.actor.policy(features)), action)}
        loss = losses["imitation_loss"]
        if self.settings.state_weight:
            losses["state_loss"] = F.mse_loss(self.networks["state_head"](features), self._state_scale(state))
            loss = loss + self.settings.state_weight * losses["state_loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return {name: value.detach() for name, value in losses.items()}
