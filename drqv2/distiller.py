"""Distillation by DAgger (Ross, Gordon and Bagnell 2011): a pixel policy learns the actions of a state policy.

The teacher acts for the first episodes; after that the student acts, with some noise, and the teacher says in every
state that it comes to what it would have done there (DAgger with β = 1 in the first iteration only, their
Section 3.1). The student never sees a reward, and a state only as something to tell from pictures, if state_weight
says so.
"""

import numpy as np
import torch

import envs
from drqv2.learner import explore
from drqv2.randomness import generator
from drqv2.run import TrainingRun
from drqv2.schedule import parse_schedule
from drqv2.settings import DistillSettings
from drqv2.snapshot import LoadedPolicy
from drqv2.student import Student
from runtime.errors import UserError
from snn.device import placed


class Distiller(TrainingRun):
    """A run of distill.py. What train.csv calls return is the student's own, with noise, or the teacher's at first."""

    METRICS = ("imitation_loss", "state_loss")
    STEP_SIZE = "lr_schedule"

    settings: DistillSettings
    agent: Student

    def __init__(self, settings: DistillSettings, teacher: LoadedPolicy) -> None:
        check_teacher(settings.task_name, settings.action_repeat, teacher)
        self._stddev = parse_schedule(settings.stddev_schedule)
        self._state_dim = teacher.observation_shape[0]
        # Only episodes learned from are cut short: evaluation plays whole ones.
        cuts = filter(None, (settings.max_decisions, settings.episode_decisions))
        super().__init__(settings, settings.num_teacher_frames, min(cuts, default=None))
        self._teacher = teacher.network.to(self.device)

    def _make_learner(self) -> Student:
        return Student(self.settings, self.env.observation_shape, self.env.action_dim, self.device, self._state_dim)

    @torch.inference_mode()
    def _teach(self) -> np.ndarray:
        return torch.tanh(self._teacher(placed(self.env.state_observation[None], self.device)))[0].cpu().numpy()

    def _act(self, time_step: envs.TimeStep) -> tuple[np.ndarray, np.ndarray]:
        label = self._teach()
        mean = label if self.step < self._first_update_step else self.agent.act_mean(time_step.observation[None])[0]
        rng = generator(self.settings.seed, "act", self.step)
        # Nothing but the learner reads a lesson: the state lies behind the action.
        lesson = np.concatenate([label, self.env.state_observation]) if self.settings.state_weight > 0 else label
        return explore(mean, self._stddev(self.step), rng), lesson

    def _sample(self, update: int) -> dict[str, np.ndarray]:
        return self.replay.sample_pairs(update)


def check_teacher(task: str, action_repeat: int, teacher: LoadedPolicy) -> None:
    """Raises UserError where `teacher` can't label the task's states."""
    if teacher.obs != "state":
        raise UserError(f"teacher={teacher.path}: acts from {teacher.obs}; give a policy trained with obs=state")
    if teacher.task != task:
        raise UserError(
            f"teacher={teacher.path}: a policy of {teacher.task}; give one of {task}, or task={teacher.task}"
        )
    if teacher.action_repeat != action_repeat:
        raise UserError(
            f"action_repeat={action_repeat}: the teacher {teacher.path} was trained with {teacher.action_repeat}; "
            "give the same"
        )
