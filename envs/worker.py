"""What a worker of a `VectorEnv` does: it holds a share of the environments and carries out requests for them.

A worker is a process, whose other end is `envs.worker_process`, or lives in the caller's own. As a process it loads
neither torch nor the program that started it, and ends when its parent closes the socket or dies.
"""

import math
import mmap
import os
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from envs.environment import Environment, State
from runtime.errors import UserError

# What a VectorEnv's environments have in common.
FACTS = ("observation_shape", "observation_dtype", "action_dim", "max_episode_decisions", "control_timestep")


class WorkerError(UserError):
    """A worker process died or failed; the message says which one, in what and why."""


class Share:
    """Environments by index; their observations go to the rows of a shared array with the same index.

    Its public methods are the requests; `make` comes first. What a method returns has an entry for each environment.
    """

    def __init__(self, memory: int):
        """`memory` is the descriptor of the shared array's file."""
        self._memory = memory
        self._environments: dict[int, Environment] = {}

    def make(self, indices: list[int], num_envs: int, settings: dict[str, Any]) -> tuple[Any, ...]:
        """Makes environments; returns what `FACTS` names of them."""
        self._environments = {index: Environment(**settings) for index in indices}
        shape, dtype, *others = (getattr(self._environments[indices[0]], name) for name in FACTS)
        self._observations = shared_array(self._memory, (num_envs, *shape), dtype)
        return shape, dtype, *others

    def reset(self, indices: list[int], seeds: list[tuple[int, int, int]]) -> None:
        for index, seed in zip(indices, seeds):
            self._observations[index] = self._environments[index].reset(seed).observation

    def step(self, indices: list[int], actions: np.ndarray) -> list[tuple[Any, ...]]:
        """Reward, discount, last and capped of each."""
        steps = [self._environments[index].step(action) for index, action in zip(indices, actions)]
        self._observations[indices] = [step.observation for step in steps]
        return [step[1:] for step in steps]

    def save_state(self, indices: list[int]) -> list[State]:
        return [self._environments[index].save_state() for index in indices]

    def restore_state(self, indices: list[int], states: list[State]) -> None:
        for index, state in zip(indices, states):
            self._observations[index] = self._environments[index].restore_state(state)

    def render(self, indices: list[int], height: int, width: int) -> list[np.ndarray]:
        return [self._environments[index].render(height, width) for index in indices]

    def close(self) -> None:
        for environment in self._environments.values():
            environment.close()


def shared_array(memory: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The array in the file of descriptor `memory`, which every process that attaches it sees; zeros at first."""
    size = math.prod(shape) * dtype.itemsize
    os.ftruncate(memory, size)
    return np.frombuffer(mmap.mmap(memory, size), dtype).reshape(shape)


def main(number: int, socket: int, memory: int, parent: int) -> None:
    """Serves requests (method, arguments) from `socket` until it closes; replies with the result or a UserError."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    requests, share = Connection(socket), Share(memory)
    try:
        while True:
            method, arguments = requests.recv()
            try:
                reply = getattr(share, method)(*arguments)
            except UserError as error:
                reply = error
            except Exception as error:
                reply = WorkerError(f"environment worker {number} failed in {method}: {type(error).__name__}: {error}")
                reply.add_note(traceback.format_exc())
            requests.send(reply)
    except (EOFError, ConnectionError):
        pass  # the parent has closed its end, on purpose or by dying


def _end_with(parent: int) -> None:
    # The closed socket tells the same, but not while a process that the parent forked still holds a copy of it.
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)
