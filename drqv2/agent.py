"""The DrQ-v2 learner: DDPG with clipped double Q learning, n-step returns and image augmentation.

Yarats et al. 2021, "Mastering Visual Continuous Control", Equations 1-3. Randomness comes from outside
(`drqv2.randomness`), so that an update is a function of its batch, its noise and the weights.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drqv2.learner import ACTION_LIMIT, LearnerSettings, PolicyLearner, explore
from drqv2.networks import Critic
from drqv2.randomness import Purpose, generator
from drqv2.schedule import LinearSchedule
from snn.device import placed


@dataclass(frozen=True)
class AgentSettings(LearnerSettings):
    """What defines the learner; see cfgs/train.yaml for each value's meaning."""

    lr: float
    critic_target_tau: float
    num_expl_steps: int
    stddev_schedule: LinearSchedule
    stddev_clip: float


@dataclass
class Batch:
    """One update's transitions: observations [B, ...], action [B, A], n-step reward and discount [B, 1]."""

    observation: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_observation: Tensor


class DrQV2Agent(PolicyLearner):
    """Networks, optimisers and the two gradient steps."""

    settings: AgentSettings

    def __init__(self, settings: AgentSettings, device: torch.device) -> None:
        super().__init__(settings, device)
        self.critic_target = copy.deepcopy(self.critic).requires_grad_(False)
        # One optimiser steps encoder and critic: they share a loss, and the result is that of two separate ones.
        self.critic_optimizer = torch.optim.Adam(
            [*self.encoder.parameters(), *self.critic.parameters()], lr=settings.lr, fused=True
        )
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=settings.lr, fused=True)

    def _make_more(self) -> list[nn.Module]:
        s = self.settings
        self.critic = Critic(self.encoder.repr_dim, s.action_dim, s.feature_dim, s.hidden_dim)
        return [self.critic]

    def modules(self) -> dict[str, nn.Module]:
        return super().modules() | {"critic": self.critic, "critic_target": self.critic_target}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"critic": self.critic_optimizer, "actor": self.actor_optimizer}

    def act_explore(self, observation: np.ndarray, step: int) -> np.ndarray:
        """The training action [A] at decision `step`: uniform for the first `num_expl_steps`, then mean plus noise."""
        rng = generator(self.settings.seed, Purpose.ACT, step)
        if step < self.settings.num_expl_steps:
            return rng.uniform(-1.0, 1.0, self.settings.action_dim).astype(np.float32)
        return explore(self.act_mean(observation[None])[0], self.settings.stddev_schedule(step), rng)

    def update(self, batch: Batch, step: int, update: int) -> dict[str, Tensor]:
        """One critic and one actor step on `batch`; returns 0-d tensors, not yet synchronised with the device."""
        stddev = self.settings.stddev_schedule(step)
        draws = generator(self.settings.seed, Purpose.TARGET, update).standard_normal(
            (2, *batch.action.shape), dtype=np.float32
        )
        clip = self.settings.stddev_clip
        target_noise, actor_noise = placed(draws, self.device).mul_(stddev).clamp_(-clip, clip)
        observation = self._encode(batch.observation)
        with torch.no_grad():
            next_observation = self._encode(batch.next_observation)
        metrics = self._update_critic(observation, batch, next_observation, target_noise)
        metrics |= self._update_actor(observation.detach(), actor_noise)
        self._update_target()
        return metrics

    def _values(self, critic: Critic, encoded: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        return critic.values(self._features(critic.trunk, encoded), action)

    def _update_critic(
        self, observation: Tensor, batch: Batch, next_observation: Tensor, noise: Tensor
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            next_action = (self._mean(next_observation) + noise).clamp_(-ACTION_LIMIT, ACTION_LIMIT)
            target = torch.min(*self._values(self.critic_target, next_observation, next_action))
            target = batch.reward + batch.discount * target
        q1, q2 = self._values(self.critic, observation, batch.action)
        loss = F.mse_loss(q1, target) + F.mse_loss(q2, target)
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.critic_optimizer.step()
        return {
            "batch_reward": batch.reward.mean(),
            "critic_target_q": target.mean(),
            "critic_q1": q1.detach().mean(),
            "critic_q2": q2.detach().mean(),
            "critic_loss": loss.detach(),
        }

    def _update_actor(self, observation: Tensor, noise: Tensor) -> dict[str, Tensor]:
        mean = self._mean(observation)
        # Clamped in value, but the gradient passes as if it were not (the published truncated normal).
        action = mean + noise
        action = action - action.detach() + action.detach().clamp(-ACTION_LIMIT, ACTION_LIMIT)
        # The critic's own weights need no gradient here: only the path through the action is wanted.
        self.critic.requires_grad_(False)
        loss = -torch.min(*self._values(self.critic, observation, action)).mean()
        self.critic.requires_grad_(True)
        self.actor_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.actor_optimizer.step()
        return {"actor_loss": loss.detach()}

    @torch.no_grad()
    def _update_target(self) -> None:
        torch._foreach_lerp_(
            list(self.critic_target.parameters()), list(self.critic.parameters()), self.settings.critic_target_tau
        )
