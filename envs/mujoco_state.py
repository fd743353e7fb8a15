"""Everything that the next step of a MuJoCo simulation depends on, and states of one task as comparable vectors."""

from typing import Any

import numpy as np


def read(model: Any, data: Any) -> np.ndarray:
    """MuJoCo's integration state (mjSTATE_INTEGRATION), float64: all that the next step of `data` depends on."""
    import mujoco

    values = np.empty(mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION), np.float64)
    mujoco.mj_getState(model, data, values, mujoco.mjtState.mjSTATE_INTEGRATION)
    return values


def write(model: Any, data: Any, values: np.ndarray) -> None:
    """Puts back what `read` returned. What MuJoCo derives from it (poses, contacts, sensors) is left as it was."""
    import mujoco

    mujoco.mj_setState(model, data, values, mujoco.mjtState.mjSTATE_INTEGRATION)


def coordinates(model: Any, data: Any) -> np.ndarray:
    """The configuration and its velocity as a vector in which near means near: float64 [S].

    Slides and limited hinges as they are; hinges that may turn round and round as cosine and sine; orientations as
    rotation matrices; then all velocities. For comparing states of one task with each other.
    """
    import mujoco

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
