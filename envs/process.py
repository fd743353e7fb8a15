"""The parent's side of a worker: starting it, requests, the cause of its death, ending it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from envs.group import Group
from runtime.errors import UserError

_ROOT = Path(__file__).resolve().parent.parent

# The simulator uses one core; more threads would only fight the policy's for the others. LP_NUM_THREADS is of Mesa's
# software renderer: 0 draws in the calling thread, the same pixels with a tenth less work than handing over to one.
_SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}


class WorkerError(UserError):
    """A worker process died or failed; the message says which one, in what and why."""


class Worker:
    """One worker process. Requests are answered in the order sent."""

    def __init__(self, number: int, memory: int):
        """Starts process `number`, which inherits the descriptor `memory` of the shared observations."""
        self._number = number
        self._waiting_for: deque[str] = deque()
        self._early: deque[Any] = deque()
        ours, theirs = socket.socketpair()
        with theirs:
            # Not multiprocessing: its children import the main program, here torch and all.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "envs.worker", str(theirs.fileno()), str(memory), str(os.getpid())],
                env={**os.environ, **_SINGLE_THREADED, "PYTHONPATH": _python_path()},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), memory),
                process_group=0,  # Ctrl-C is for the parent, which then ends us
            )
        self._connection = Connection(ours.detach())

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, method: str, *arguments: Any) -> None:
        """Asks for a method of the worker's group; its result comes from `result` or `result_of_latest`."""
        self._waiting_for.append(method)
        try:
            self._connection.send((method, arguments))
        except ConnectionError as error:
            raise self._death() from error

    def result(self) -> Any:
        """Result of the earliest request not yet fetched. Waits for it.

        Raises WorkerError if the worker died or the request failed, UserError if it refused the request as a user's
        mistake.
        """
        return self._early.popleft() if self._early else self._receive()

    def result_of_latest(self) -> Any:
        """Result of the latest request, leaving those of earlier ones for `result`. Raises as `result` does."""
        while len(self._waiting_for) > 1:
            self._early.append(self._receive())
        return self._receive()

    def end(self) -> None:
        """Ends the process, whatever it is doing: it holds nothing that would have to be saved."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _receive(self) -> Any:
        try:
            status, *content = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise self._death() from error
        method = self._waiting_for.popleft()
        if status == "ok":
            return content[0]
        message, trace = content
        if status == "user error":
            raise UserError(message)
        failure = WorkerError(f"environment worker {self._number} failed in {method}: {message}")
        failure.add_note(trace)
        raise failure

    def _death(self) -> WorkerError:
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            cause = "closed its connection"
        else:
            cause = _cause(code)
        doing = self._waiting_for[0] if self._waiting_for else "waiting"
        return WorkerError(f"environment worker {self._number} (process {self.pid}) {cause} during {doing}")


class InProcess:
    """A worker that is no process: requests are carried out as they are made. For tests and tiny runs."""

    def __init__(self, memory: int):
        self._group = Group(memory)
        self._results: deque[Any] = deque()

    def send(self, method: str, *arguments: Any) -> None:
        self._results.append(self._group.call(method, arguments))

    def result(self) -> Any:
        return self._results.popleft()

    def result_of_latest(self) -> Any:
        return self._results.pop()

    def end(self) -> None:
        self._group.close()


def _cause(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    remedy = " (out of memory? use fewer environments)" if name == "SIGKILL" else ""
    return f"was killed by {name}{remedy}"


def _python_path() -> str:
    return os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
