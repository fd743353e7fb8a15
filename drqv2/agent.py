"""The DrQ-v2 learner: DDPG with clipped double Q learning, n-step returns and image augmentation.

Yarats et al. 2021, "Mastering Visual Continuous Control", Equations 1-3. Randomness comes in from outside
(`drqv2.randomness`), so that an update is a function of its batch, its noise and the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drqv2.networks import Actor, Critic, PolicyNetwork, make_encoder, orthogonal_
from drqv2.randomness import Purpose, generator
from drqv2.schedule import LinearSchedule

_LIMIT = 1.0 - 1e-6  # actions stay inside the open interval, as in the published truncated normal


@dataclass(frozen=True)
class AgentSettings:
    """What defines the learner; see cfgs/train.yaml for each value's meaning."""

    observation_shape: tuple[int, ...]
    action_dim: int
    feature_dim: int
    hidden_dim: int
    actor_trunk: str
    lr: float
    critic_target_tau: float
    num_expl_steps: int
    stddev_schedule: LinearSchedule
    stddev_clip: float
    precision: str
    compile: bool
    seed: int


@dataclass
class Batch:
    """One update's transitions: observations [B, ...], action [B, A], n-step reward and discount [B, 1]."""

    observation: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_observation: Tensor


class DrQV2Agent:
    """Networks, optimisers and the two gradient steps."""

    def __init__(self, settings: AgentSettings, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        s = settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(generator(s.seed, Purpose.INIT, 0).integers(2**62)))
            self.encoder = make_encoder(s.observation_shape)
            self.actor = Actor(self.encoder.repr_dim, s.action_dim, s.feature_dim, s.hidden_dim, s.actor_trunk)
            self.critic = Critic(self.encoder.repr_dim, s.action_dim, s.feature_dim, s.hidden_dim)
            for module in (self.encoder, self.actor, self.critic):
                module.apply(orthogonal_)
        self.critic_target = Critic(self.encoder.repr_dim, s.action_dim, s.feature_dim, s.hidden_dim)
        self.critic_target.load_state_dict(self.critic.state_dict())
        self.critic_target.requires_grad_(False)
        self._pixels = len(s.observation_shape) == 3
        self._bf16 = self._pixels and s.precision == "bf16"
        memory_format = torch.channels_last if self._pixels else torch.contiguous_format
        self.encoder.to(device, memory_format=memory_format)
        for module in (self.actor, self.critic, self.critic_target):
            module.to(device)
        # One optimiser steps encoder and critic: they share a loss, and the result is that of two separate ones.
        self.critic_optimizer = torch.optim.Adam([*self.encoder.parameters(), *self.critic.parameters()], lr=s.lr, fused=True)
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=s.lr, fused=True)
        self._encode = torch.compile(self._encode_eager) if s.compile else self._encode_eager

    @property
    def policy_network(self) -> PolicyNetwork:
        """The deterministic policy that shares this agent's weights."""
        return PolicyNetwork(self.encoder, self.actor)

    def modules(self) -> dict[str, nn.Module]:
        """The networks whose weights a snapshot holds, by name."""
        return {"encoder": self.encoder, "actor": self.actor, "critic": self.critic, "critic_target": self.critic_target}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimisers whose state a snapshot holds, by name."""
        return {"critic": self.critic_optimizer, "actor": self.actor_optimizer}

    # ---- acting ----

    @torch.inference_mode()
    def act_mean(self, observations: np.ndarray) -> np.ndarray:
        """The policy's own actions [B, A] for observations [B, ...], without exploration."""
        batch = torch.as_tensor(observations, device=self.device)
        return self._mean(self._encode_eager(batch)).cpu().numpy()

    def act_explore(self, observation: np.ndarray, step: int) -> np.ndarray:
        """The training action [A] at decision `step`: uniform for the first `num_expl_steps`, then mean plus noise."""
        random = generator(self.settings.seed, Purpose.ACT, step)
        if step < self.settings.num_expl_steps:
            return random.uniform(-1.0, 1.0, self.settings.action_dim).astype(np.float32)
        mean = self.act_mean(observation[None])[0]
        noise = random.standard_normal(mean.shape, dtype=np.float32) * np.float32(self.settings.stddev_schedule(step))
        return np.clip(mean + noise, -_LIMIT, _LIMIT)

    # ---- learning ----

    def update(self, batch: Batch, step: int, update: int) -> dict[str, Tensor]:
        """One critic and one actor step on `batch`; returns scalar tensors that no one has waited for yet."""
        stddev = self.settings.stddev_schedule(step)
        draws = generator(self.settings.seed, Purpose.TARGET, update).standard_normal(
            (2, *batch.action.shape), dtype=np.float32
        )
        clip = self.settings.stddev_clip
        target_noise, actor_noise = torch.as_tensor(draws, device=self.device).mul_(stddev).clamp_(-clip, clip)
        observation = self._encode(batch.observation)
        with torch.no_grad():
            next_observation = self._encode(batch.next_observation)
        metrics = self._update_critic(observation, batch, next_observation, target_noise)
        metrics |= self._update_actor(observation.detach(), actor_noise)
        self._update_target()
        return metrics

    def _encode_eager(self, observation: Tensor) -> Tensor:
        if not self._pixels:
            return self.encoder(observation)
        # Pixel values are whole numbers up to 255, which bfloat16 holds exactly.
        dtype = torch.bfloat16 if self._bf16 else torch.float32
        observation = observation.to(dtype=dtype, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            return self.encoder.fused(observation)

    def _features(self, trunk: nn.Sequential, encoded: Tensor) -> Tensor:
        """A trunk's output in float32. Its first layer reads the image-sized tensor, so it runs in the encoder's precision."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            projected = trunk[0](encoded)
        return trunk[1:](projected.float())

    def _mean(self, encoded: Tensor) -> Tensor:
        return torch.tanh(self.actor.policy(self._features(self.actor.trunk, encoded)))

    def _values(self, critic: Critic, encoded: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        return critic.values(self._features(critic.trunk, encoded), action)

    def _update_critic(
        self, observation: Tensor, batch: Batch, next_observation: Tensor, noise: Tensor
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            next_action = (self._mean(next_observation) + noise).clamp_(-_LIMIT, _LIMIT)
            target = torch.min(*self._values(self.critic_target, next_observation, next_action))
            target = batch.reward + batch.discount * target
        q1, q2 = self._values(self.critic, observation, batch.action)
        loss = F.mse_loss(q1, target) + F.mse_loss(q2, target)
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.critic_optimizer.step()
        return {
            "batch_reward": batch.reward.mean(), "critic_target_q": target.mean(), "critic_q1": q1.detach().mean(),
            "critic_q2": q2.detach().mean(), "critic_loss": loss.detach(),
        }  # fmt: skip

    def _update_actor(self, observation: Tensor, noise: Tensor) -> dict[str, Tensor]:
        mean = self._mean(observation)
        # Clamped in value, but the gradient passes as if it were not (the published truncated normal).
        action = mean + noise
        action = action - action.detach() + action.detach().clamp(-_LIMIT, _LIMIT)
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

    # ---- saving ----

    def state(self) -> dict[str, Tensor]:
        """Every tensor of networks and optimisers under a flat name (views, not copies)."""
        tensors: dict[str, Tensor] = {}
        for name, module in self.modules().items():
            tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        for name, optimizer in self.optimizers().items():
            for index, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{name}.{index}.{key}": value for key, value in slots.items()}
        return tensors

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Puts back what `state` returned. Raises KeyError or RuntimeError where names or shapes differ."""
        for name, module in self.modules().items():
            prefix = f"{name}."
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        for name, optimizer in self.optimizers().items():
            slots: dict[int, dict[str, Any]] = {}
            prefix = f"optimizer.{name}."
            for key, value in tensors.items():
                if key.startswith(prefix):
                    index, slot = key.removeprefix(prefix).split(".")
                    slots.setdefault(int(index), {})[slot] = value
            optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
