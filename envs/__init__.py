"""Tasks of the DeepMind Control Suite, as the DrQ-v2 benchmark uses them, and of Gymnasium. Knows no learning and
imports no torch.

Importing this package loads neither dm_control nor Gymnasium nor OpenGL: the backend is chosen when an environment is
made.
"""

from envs.environment import Environment, State, TimeStep
from envs.seeds import STREAMS, episode_seed
from envs.tasks import TASKS

__all__ = ["STREAMS", "TASKS", "Environment", "State", "TimeStep", "episode_seed", "make"]

#: `envs.make("cheetah_run")`: see `Environment`.
make = Environment
