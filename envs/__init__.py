"""Tasks of the DeepMind Control Suite, as the DrQ-v2 benchmark uses them, and of Gymnasium. Knows no learning and
imports no torch.

Importing this package loads neither dm_control nor Gymnasium nor OpenGL: the backend is chosen when an environment is
made.
"""

from __future__ import annotations

from envs.environment import Environment, TimeStep
from envs.seeds import STREAMS, episode_seed
from envs.state import State
from envs.tasks import TASKS

__all__ = ["STREAMS", "TASKS", "Environment", "State", "TimeStep", "episode_seed", "make"]


def make(
    task: str,
    *,
    obs: str = "pixels",
    seed: int = 0,
    frame_stack: int = 3,
    action_repeat: int = 2,
    max_decisions: int | None = None,
    render_device: int | str | None = None,
) -> Environment:
    """Makes an environment of `task`.

    Args:
        task: one of `TASKS`, or the id of a Gymnasium environment, such as HalfCheetah-v4.
        obs: "pixels" (uint8 [3 * frame_stack, 84, 84]; not of Gymnasium's tasks) or "state" (float32 [D], a Gymnasium
            task's in its own shape; needs no renderer and ignores frame_stack).
        seed: of the task's random state, until a `reset` brings its own.
        frame_stack: frames per observation.
        action_repeat: environment steps per decision.
        max_decisions: ends episodes early, marked `capped`; for tests and smoke runs.
        render_device: index of the EGL device to render on.

    Raises UserError for a value that is out of range and if pixels are asked for where nothing renders.
    """
    return Environment(
        task,
        obs=obs,
        seed=seed,
        frame_stack=frame_stack,
        action_repeat=action_repeat,
        max_decisions=max_decisions,
        render_device=render_device,
    )
