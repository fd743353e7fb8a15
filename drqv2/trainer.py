"""Training by DrQ-v2 (Yarats et al. 2021): the agent explores and learns from its own rewards."""

import numpy as np

import envs
from drqv2 import state_augmentation
from drqv2.agent import DrQV2Agent
from drqv2.run import TrainingRun
from drqv2.settings import TrainSettings
from runtime.errors import UserError


class Trainer(TrainingRun):
    """A run of train.py."""

    METRICS = ("batch_reward", "critic_target_q", "critic_q1", "critic_q2", "critic_loss", "actor_loss")
    STEP_SIZE = "lr"

    settings: TrainSettings
    agent: DrQV2Agent

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__(settings, settings.num_seed_frames, settings.max_decisions, settings.nstep, settings.discount)

    def _make_learner(self) -> DrQV2Agent:
        s, shape = self.settings, self.env.observation_shape
        if s.hidden_sign is not None and max(s.hidden_sign) >= shape[0]:
            raise UserError(
                f"hidden_sign={s.hidden_sign}: the states of {s.task_name} have entries 0 to {shape[0] - 1}"
            )
        return DrQV2Agent(s, shape, self.env.action_dim, self.device)

    def _act(self, time_step: envs.TimeStep) -> tuple[np.ndarray, np.ndarray]:
        action = self.agent.act_explore(time_step.observation, self.step)
        return action, action

    def _sample(self, update: int) -> dict[str, np.ndarray]:
        batch = self.replay.sample(update)
        entries = self.settings.hidden_sign
        return batch if entries is None else state_augmentation.flip(batch, entries, self.settings.seed, update)
