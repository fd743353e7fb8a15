"""The DrQ-v2 learner: DDPG with clipped double Q learning, n-step returns and image augmentation.

Yarats et al. 2021, "Mastering Visual Continuous Control", Equations 1-3. Randomness comes from outside
(`drqv2.randomness`), so that an update is a function of its batch, its noise and the weights.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drqv2.learner import ACTION_LIMIT, PolicyLearner, explore
from drqv2.networks import Critic
from drqv2.randomness import generator
from drqv2.schedule import parse_schedule
from drqv2.settings import TrainSettings
from snn.device import placed


class DrQV2Agent(PolicyLearner):
    """Networks, optimisers and the two gradient steps."""

    settings: TrainSettings

    def __init__(
        self, settings: TrainSettings, observation_shape: tuple[int, ...], action_dim: int, device: torch.device
    ) -> None:
        super().__init__(settings, observation_shape, action_dim, device, settings.normalize_observations)
        self._stddev = parse_schedule(settings.stddev_schedule)
        self.critic_target = copy.deepcopy(self.critic).requires_grad_(False)
        self.networks["critic_target"] = self.critic_target
        # One optimiser steps encoder and critic: they share a loss, and the result is that of two separate ones.
        parameters = {
            "critic": [*self.encoder.parameters(), *self.critic.parameters()],
            "actor": list(self.actor.parameters()),
        }
        self.optimizers = {
            name: torch.optim.Adam(values, lr=settings.lr, fused=True) for name, values in parameters.items()
        }

    def _make_more(self) -> dict[str, nn.Module]:
        s = self.settings
        self.critic = Critic(self.encoder.repr_dim, self.action_dim, s.feature_dim, s.hidden_dim)
        return {"critic": self.critic}

    def act_explore(self, observation: np.ndarray, step: int) -> np.ndarray:
        """The training action [A] at decision `step`: uniform for the first `num_expl_steps`, then mean plus noise."""
        rng = generator(self.settings.seed, "act", step)
        if step < self.settings.num_expl_steps:
            return rng.uniform(-1.0, 1.0, self.action_dim).astype(np.float32)
        return explore(self.act_mean(observation[None])[0], self._stddev(step), rng)

    def update(self, batch: dict[str, Tensor], step: int, update: int) -> dict[str, Tensor]:
        """One critic and one actor step on transitions: observation and next_observation [B, ...], action [B, A],
        n-step reward and discount [B, 1]."""
        draws = generator(self.settings.seed, "target", update).standard_normal(
            (2, *batch["action"].shape), dtype=np.float32
        )
        clip = self.settings.stddev_clip
        target_noise, actor_noise = placed(draws, self.device).mul_(self._stddev(step)).clamp_(-clip, clip)
        observation = self._encode(batch["observation"])
        with torch.no_grad():
            next_observation = self._encode(batch["next_observation"])
        metrics = self._update_critic(observation, batch, next_observation, target_noise)
        metrics |= self._update_actor(observation.detach(), actor_noise)
        self._update_target()
        return metrics

    def _values(self, critic: Critic, encoded: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        return critic(self._features(critic.trunk, encoded), action)

    def _update_critic(
        self, observation: Tensor, batch: dict[str, Tensor], next_observation: Tensor, noise: Tensor
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            next_action = (self._mean(next_observation) + noise).clamp_(-ACTION_LIMIT, ACTION_LIMIT)
            target = torch.min(*self._values(self.critic_target, next_observation, next_action))
            target = batch["reward"] + batch["discount"] * target
        q1, q2 = self._values(self.critic, observation, batch["action"])
        loss = F.mse_loss(q1, target) + F.mse_loss(q2, target)
        self.optimizers["critic"].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers["critic"].step()
        return {
            "batch_reward": batch["reward"].mean(),
            "critic_target_q": target.mean(),
            "critic_q1": q1.detach().mean(),
            "critic_q2": q2.detach().mean(),
            "critic_loss": loss.detach(),
        }

    def _update_actor(self, observation: Tensor, noise: Tensor) -> dict[str, Tensor]:
        # Clamped in value, but the gradient passes as if it were not (the published truncated normal).
        action = self._mean(observation) + noise
        action = action - action.detach() + action.detach().clamp(-ACTION_LIMIT, ACTION_LIMIT)
        # The critic's own weights need no gradient here: only the path through the action is wanted.
        self.critic.requires_grad_(False)
        loss = -torch.min(*self._values(self.critic, observation, action)).mean()
        self.critic.requires_grad_(True)
        self.optimizers["actor"].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers["actor"].step()
        return {"actor_loss": loss.detach()}

    @torch.no_grad()
    def _update_target(self) -> None:
        torch._foreach_lerp_(
            list(self.critic_target.parameters()), list(self.critic.parameters()), self.settings.critic_target_tau
        )
