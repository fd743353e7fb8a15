"""The workers of a `VectorEnv`: each holds a share of the environments and carries out requests for them.

A worker is a process or lives in the caller's own. As a process it loads neither torch nor the program that started it,
and ends when its parent closes the socket or dies.
"""

import functools
import itertools
import math
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from envs.environment import Environment, TimeStep
from runtime.errors import UserError

# What a VectorEnv's environments have in common.
FACTS = ("observation_shape", "observation_dtype", "action_dim", "max_episode_decisions", "control_timestep")


_ROOT = Path(__file__).resolve().parent.parent

# The simulator uses one core; more threads would only fight the policy's for the others. LP_NUM_THREADS is of Mesa's
# software renderer: 0 draws in the calling thread, the same pixels with a tenth less work than handing over to one.
_SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}


class WorkerError(UserError):
    """A worker process died or failed; the message says which one, in what and why."""


class Share:
    """Environments by index; their observations go to the rows of a shared array with the same index.

    As a worker in the caller's own process it carries out requests as they are made. For tests and tiny runs.
    """

    def __init__(self, memory: int, num_envs: int):
        """`memory` is the descriptor of the shared array's file, `num_envs` the number of its rows."""
        self._memory, self._num_envs = memory, num_envs
        self._environments: dict[int, Environment] = {}

    def answer(self, method: str, indices: list[int], *columns: Any) -> list[Any]:
        """Has each environment carry out a method with its own entry of each column; returns the results, of a TimeStep
        all but the observation. "make" comes first, makes them with their settings and returns what `FACTS` names."""
        if method == "make":
            self._environments = {index: Environment(**settings) for index, settings in zip(indices, *columns)}
            facts = [tuple(getattr(made, name) for name in FACTS) for made in self._environments.values()]
            shape, dtype, *_ = facts[0]
            self._observations = shared_array(self._memory, (self._num_envs, *shape), dtype)
            return facts
        results = [getattr(self._environments[index], method)(*entry) for index, *entry in zip(indices, *columns)]
        for index, result in zip(indices, results):
            if isinstance(result, TimeStep):
                self._observations[index] = result.observation
        return [result[1:] if isinstance(result, TimeStep) else result for result in results]

    def send(self, method: str, indices: list[int], *columns: Any) -> Callable[[], list[Any]]:
        """Makes a request (see `answer`); returns what waits for the answer, once."""
        answer = self.answer(method, indices, *columns)
        return lambda: answer

    def end(self) -> None:
        for environment in self._environments.values():
            environment.close()


def shared_array(memory: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The array in the file of descriptor `memory`, which every process that attaches it sees; zeros at first."""
    size = math.prod(shape) * dtype.itemsize
    os.ftruncate(memory, size)
    return np.frombuffer(mmap.mmap(memory, size), dtype).reshape(shape)


# ---- in the process ----


def main(number: int, descriptor: int, memory: int, num_envs: int, parent: int) -> None:
    """Serves requests (method, indices, columns ...) from the socket `descriptor` until it closes; replies with the
    answer or a UserError."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    requests, share = Connection(descriptor), Share(memory, num_envs)
    try:
        while True:
            method, *arguments = requests.recv()
            try:
                reply: Any = share.answer(method, *arguments)
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


# ---- the caller's side ----


class WorkerProcess:
    """One worker process. Requests are answered in the order sent."""

    def __init__(self, number: int, memory: int, num_envs: int):
        """Starts process `number`, which inherits the descriptor `memory` of the shared observations."""
        self._number = number
        self._numbers = itertools.count()
        self._unanswered: deque[tuple[int, str]] = deque()  # requests and their methods, oldest first
        self._answers: dict[int, Any] = {}
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        with theirs:
            # Not multiprocessing: its children import the main program, here torch and all.
            call = (
                f"from envs.worker import main; main({number}, {theirs.fileno()}, {memory}, {num_envs}, {os.getpid()})"
            )
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", call],
                env={**os.environ, **_SINGLE_THREADED, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), memory),
                process_group=0,  # Ctrl-C is for the parent, which then ends us
            )
        self.pid = self._process.pid
        self._connection = Connection(ours.detach())

    def send(self, method: str, indices: list[int], *columns: Any) -> Callable[[], list[Any]]:
        """As `Share.send`. Raises WorkerError if the worker has died; so does waiting, and if a request failed, and
        UserError if it refused one as a user's mistake."""
        request = next(self._numbers)
        self._unanswered.append((request, method))
        try:
            self._connection.send((method, indices, *columns))
        except ConnectionError as error:
            raise self._death() from error
        return functools.partial(self._answer, request)

    def _answer(self, request: int) -> list[Any]:
        while request not in self._answers:
            try:
                reply = self._connection.recv()
            except (EOFError, ConnectionError) as error:
                raise self._death() from error
            if isinstance(reply, UserError):
                raise reply
            oldest, _ = self._unanswered.popleft()
            self._answers[oldest] = reply
        return self._answers.pop(request)

    def end(self) -> None:
        """Ends the process, whatever it is doing: it holds nothing that would have to be saved."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _death(self) -> WorkerError:
        try:
            code = self._process.wait(timeout=10)
            cause = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            if code == -signal.SIGKILL:
                cause += " (out of memory? use fewer environments)"
        except subprocess.TimeoutExpired:
            cause = "closed its connection"
        doing = self._unanswered[0][1] if self._unanswered else "waiting"
        return WorkerError(f"environment worker {self._number} (process {self.pid}) {cause} during {doing}")
