"""Statistics out of stable-baselines3's vecnormalize.pkl, a pickle of a whole VecNormalize.

Every class and function that the pickle names becomes an inert stand-in, numpy's included, so that reading it runs
nothing but the unpickler; the numbers are then taken from the bytes that the stand-ins were given.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drqv2.foreign.network import Normalize
from runtime.archives import ArchiveError, names_in, printable

_MAX_BYTES = 1_000_000  # Humanoid's 376 numbers take 20 kB
_DTYPES = ("f4", "f8")


class _StandIn:
    """What a name of the pickle becomes: it takes any arguments and any state, and does nothing."""

    arguments: tuple[Any, ...]
    state: Any = None

    def __new__(cls, *arguments: Any) -> _StandIn:
        stand_in = super().__new__(cls)
        stand_in.arguments = arguments
        return stand_in

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """For dictionaries of other kinds, none of which is needed."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_StandIn]:
        return type("_StandIn", (_StandIn,), {})


def read(path: Path, contents: bytes) -> Normalize | None:
    """The statistics in `contents`, of the file `path`; None where observations are left as they are.

    Raises ArchiveError for what isn't the pickle of a VecNormalize over a Box.
    """
    try:
        if len(contents) > _MAX_BYTES:
            raise ValueError("too large")
        names_in(io.BytesIO(contents), torch_only=False)
        state = _Unpickler(io.BytesIO(contents)).load().state
        if not state["norm_obs"]:
            return None
        moments = state["obs_rms"].state
        mean, variance = _array(moments["mean"]), _array(moments["var"])
        scale = np.sqrt(variance + _number(state["epsilon"]))
        limit = _number(state["clip_obs"])
        if not (np.isfinite([mean, scale]).all() and (scale > 0).all() and limit > 0):
            raise ValueError("its numbers are not statistics")
    except Exception as error:  # of a stranger's pickle any kind can come; each means the same here
        reason = printable(str(error), 120)
        raise ArchiveError(f"{path}: not the VecNormalize statistics of a Box ({reason}); nothing was run") from None
    return Normalize(torch.from_numpy(mean).float(), torch.from_numpy(scale).float(), limit)


def _array(value: Any) -> np.ndarray:
    """numpy's own ways to pickle an array: bytes as the last part of the state, or as the first argument."""
    if value.state is not None:
        _, shape, dtype, fortran, data = value.state
    else:
        data, dtype, shape, order = value.arguments
        fortran = order == "F"
    return np.frombuffer(bytes(data), _dtype(dtype)).reshape(shape, order="F" if fortran else "C").astype(np.float64)


def _number(value: Any) -> float:
    if isinstance(value, _StandIn):  # numpy's scalar: its type and its bytes
        dtype, data = value.arguments
        return float(np.frombuffer(data, _dtype(dtype))[0])
    return float(value)


def _dtype(stand_in: Any) -> str:
    kind = stand_in.arguments[0]
    if kind not in _DTYPES or stand_in.state[1] != "<":
        raise ValueError("an array of other numbers than little-endian floats")
    return f"<{kind}"
