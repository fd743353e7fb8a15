"""The caller's side of a worker (`envs.worker`): starting it, requests, the cause of its death, ending it."""

import itertools
import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from envs.worker import Share, WorkerError
from runtime.errors import UserError

_ROOT = Path(__file__).resolve().parent.parent

# The simulator uses one core; more threads would only fight the policy's for the others. LP_NUM_THREADS is of Mesa's
# software renderer: 0 draws in the calling thread, the same pixels with a tenth less work than handing over to one.
_SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}


class InProcess:
    """A worker that is no process: requests are carried out as they are made. For tests and tiny runs."""

    def __init__(self, memory: int):
        self._share = Share(memory)

    def send(self, method: str, *arguments: Any) -> Any:
        """Makes a request, of a method of `Share`; returns what `result` knows it by."""
        return getattr(self._share, method)(*arguments)

    def result(self, request: Any) -> Any:
        """The result of a request, once."""
        return request

    def end(self) -> None:
        self._share.close()


class WorkerProcess:
    """One worker process. Requests are answered in the order sent."""

    def __init__(self, number: int, memory: int):
        """Starts process `number`, which inherits the descriptor `memory` of the shared observations."""
        self._number = number
        self._numbers = itertools.count()
        self._unanswered: dict[int, str] = {}  # requests and their methods, oldest first
        self._results: dict[int, Any] = {}
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        with theirs:
            # Not multiprocessing: its children import the main program, here torch and all.
            call = f"from envs.worker import main; main({number}, {theirs.fileno()}, {memory}, {os.getpid()})"
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", call],
                env={**os.environ, **_SINGLE_THREADED, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), memory),
                process_group=0,  # Ctrl-C is for the parent, which then ends us
            )
        self.pid = self._process.pid
        self._connection = Connection(ours.detach())

    def send(self, method: str, *arguments: Any) -> int:
        """As `InProcess.send`, here the request's number. Raises WorkerError if the worker has died."""
        request = next(self._numbers)
        self._unanswered[request] = method
        try:
            self._connection.send((method, arguments))
        except ConnectionError as error:
            raise self._death() from error
        return request

    def result(self, request: int) -> Any:
        """Waits for the result of a request, once.

        Raises WorkerError if the worker died or a request failed, UserError if it refused one as a user's mistake.
        """
        while request not in self._results:
            try:
                reply = self._connection.recv()
            except (EOFError, ConnectionError) as error:
                raise self._death() from error
            if isinstance(reply, UserError):
                raise reply
            oldest = next(iter(self._unanswered))
            del self._unanswered[oldest]
            self._results[oldest] = reply
        return self._results.pop(request)

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
        doing = next(iter(self._unanswered.values()), "waiting")
        return WorkerError(f"environment worker {self._number} (process {self.pid}) {cause} during {doing}")
