"""Training by DrQ-v2 (Yarats et al. 2021): the agent explores and learns from its own rewards."""

from __future__ import annotations

import numpy as np
from torch import Tensor

import envs
from drqv2 import hidden_sign
from drqv2.agent import AgentSettings, Batch, DrQV2Agent
from drqv2.run import TrainingRun
from drqv2.schedule import parse_schedule
from drqv2.settings import TrainSettings
from runtime.errors import UserError


class Trainer(TrainingRun):
    """A run of train.py."""

    METRICS = ("batch_reward", "critic_target_q", "critic_q1", "critic_q2", "critic_loss", "actor_loss")
    STEP_SIZE = "lr"

    settings: TrainSettings
    agent: DrQV2Agent

    def _make_learner(self) -> DrQV2Agent:
        s = self.settings
        dim = self.env.observation_shape[0]
        if s.hidden_sign is not None and max(s.hidden_sign) >= dim:
            raise UserError(f"hidden_sign={s.hidden_sign}: the states of {s.task_name} have entries 0 to {dim - 1}")
        return DrQV2Agent(
            AgentSettings(
                observation_shape=self.env.observation_shape,
                action_dim=self.env.action_dim,
                feature_dim=s.feature_dim,
                hidden_dim=s.hidden_dim,
                actor_trunk=s.actor_trunk,
                normalize_observations=s.normalize_observations,
                lr=s.lr,
                critic_target_tau=s.critic_target_tau,
                num_expl_steps=s.num_expl_steps,
                stddev_schedule=parse_schedule(s.stddev_schedule),
                stddev_clip=s.stddev_clip,
                precision=self.precision,
                compile=s.compile,
                seed=s.seed,
            ),
            self.device,
        )

    def _returns(self) -> tuple[int, float]:
        return self.settings.nstep, self.settings.discount

    def _first_update_step(self) -> int:
        return self.settings.num_seed_frames // self.settings.action_repeat

    def _act(self, time_step: envs.TimeStep) -> tuple[np.ndarray, np.ndarray]:
        action = self.agent.act_explore(time_step.observation, self.step)
        return action, action

    def _sample(self, update: int) -> dict[str, np.ndarray]:
        batch = self.replay.sample(update)
        entries = self.settings.hidden_sign
        return batch if entries is None else hidden_sign.flip(batch, entries, self.settings.seed, update)

    def _update(self, batch: dict[str, Tensor], update: int) -> dict[str, Tensor]:
        return self.agent.update(Batch(**batch), self.step, update)
