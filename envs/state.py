"""An environment's whole state, so that an episode can be branched: stepped on in a second environment, from any decision.

What an episode is made of lies in three places: in MuJoCo's data, in the task's random state, and in the model, which
tasks change (a target's place, a terrain) only when an episode starts. The last is made anew where it is needed, by
starting the episode again from the random state that it was started from.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class State(NamedTuple):
    """Everything that an episode's further course depends on. Plain arrays and numbers: it may cross processes."""

    physics: np.ndarray  #: float64, MuJoCo's integration state (mjSTATE_INTEGRATION)
    sensors: np.ndarray  #: float64, sensor readings: those of forces belong to the step before and can't be made anew
    coordinates: np.ndarray  #: float64 [S], see `coordinates`
    origin: tuple[Any, ...]  #: the task's random state when the episode started
    random: tuple[Any, ...]  #: the task's random state now
    steps: int  #: environment steps since the episode started
    decisions: int  #: the same in decisions
    over: bool  #: the episode has ended
    frames: tuple[np.ndarray, ...]  #: the frame stack, oldest first; empty for obs=state
    observation: np.ndarray  #: the latest observation
    features: np.ndarray  #: the same as obs=state would have it


def read_physics(physics: Any) -> tuple[np.ndarray, np.ndarray]:
    """(integration state, sensor readings) of a dm_control physics, copied."""
    import mujoco

    spec = mujoco.mjtState.mjSTATE_INTEGRATION
    model, data = physics.model.ptr, physics.data.ptr
    values = np.empty(mujoco.mj_stateSize(model, spec), np.float64)
    mujoco.mj_getState(model, data, values, spec)
    return values, np.array(data.sensordata)


def write_physics(physics: Any, values: np.ndarray, sensors: np.ndarray) -> None:
    """The opposite of `read_physics`: the physics then stands where a step of dm_control leaves it."""
    import mujoco

    model, data = physics.model.ptr, physics.data.ptr
    mujoco.mj_setState(model, data, values, mujoco.mjtState.mjSTATE_INTEGRATION)
    # dm_control ends each step with the first half of MuJoCo's, which derives poses, contacts and velocities.
    mujoco.mj_step1(model, data)
    data.sensordata[:] = sensors


def coordinates(physics: Any) -> np.ndarray:
    """The configuration and its velocity as a vector in which near means near: float64 [S].

    Slides and limited hinges as they are; hinges that may turn round and round as cosine and sine; orientations as
    rotation matrices; then all velocities. For comparing states of one task with each other.
    """
    import mujoco

    model, data = physics.model.ptr, physics.data.ptr
    free, ball, hinge = (
        int(kind) for kind in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL, mujoco.mjtJoint.mjJNT_HINGE)
    )
    parts: list[np.ndarray] = []
    for kind, start, limited in zip(model.jnt_type.tolist(), model.jnt_qposadr.tolist(), model.jnt_limited.tolist()):
        if kind == free:
            parts.append(data.qpos[start : start + 3])
            start += 3
        if kind in (free, ball):
            matrix = np.empty(9)
            mujoco.mju_quat2Mat(matrix, data.qpos[start : start + 4])
            parts.append(matrix)
        elif kind == hinge and not limited:
            parts.append(np.array([np.cos(data.qpos[start]), np.sin(data.qpos[start])]))
        else:
            parts.append(data.qpos[start : start + 1])
    return np.concatenate([*parts, data.qvel])
