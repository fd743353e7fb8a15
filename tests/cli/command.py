"""Runs the project's real command lines in a folder of their own."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from envs import gl
from runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def renderer() -> dict[str, str]:
    """What each program that renders would find out anew, at the price of a process."""
    with contextlib.suppress(UserError):
        return {"MUJOCO_GL": gl.choose()}
    return {}


def environment(**extra: str) -> dict[str, str]:
    # One thread: tests run beside each other's processes on two cores.
    return renderer() | os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | extra


@functools.cache
def forks() -> socket.socket:
    """Where tests.cli.warm takes requests; it ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.cli.warm", str(theirs.fileno())]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        subprocess.Popen(command, cwd=ROOT, env=environment(), pass_fds=[theirs.fileno()], **streams)
    return ours


class Output(NamedTuple):
    """What a program printed; all of it under `stdout` where the two are not told apart."""

    stdout: str
    stderr: str


class Process:
    """`python <words>` in a session of its own; its output goes to files that are gone with it."""

    def __init__(self, words: tuple[str, ...], cwd: Path, env: dict[str, str], stderr_apart: bool):
        self._words = words
        self._out = tempfile.TemporaryFile("w+")
        self._error = tempfile.TemporaryFile("w+") if stderr_apart else self._out
        ours, theirs = socket.socketpair()
        ignored = [number for number in (signal.SIGINT,) if signal.getsignal(number) is signal.SIG_IGN]
        request = {"words": words, "folder": str(cwd), "env": env, "ignored": ignored}
        with theirs, open(os.devnull) as nothing:
            descriptors = [theirs.fileno(), *(file.fileno() for file in (nothing, self._out, self._error))]
            socket.send_fds(forks(), [json.dumps(request).encode()], descriptors)
        self._answers = ours.makefile()
        self._socket = ours
        self.pid = int(self._answers.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Raises TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._socket], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self._words, timeout)
            self.returncode = int(self._answers.readline())
        return self.returncode

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def output(self, code: int = 0, timeout: float | None = 300) -> Output:
        """What it has printed, once it has ended with this exit code and no traceback."""
        self.wait(timeout)
        self._out.seek(0)
        self._error.seek(0)
        printed = Output(self._out.read(), self._error.read())
        assert self.returncode == code and "Traceback" not in printed.stdout + printed.stderr, printed
        return printed

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def start(*words: str, cwd: Path, stderr_apart: bool = False, **env: str) -> Process:
    """`python <words>` from `cwd`, in the background. A script is a path below the checkout's root."""
    script = words if words[0] == "-m" else (str(ROOT / words[0]), *words[1:])
    return Process(script, cwd, environment(**env), stderr_apart)


def run(*words: str, cwd: Path, code: int = 0, timeout: float = 300, **env: str) -> Output:
    """The same, awaited."""
    process = start(*words, cwd=cwd, stderr_apart=True, **env)
    try:
        return process.output(code, timeout)
    finally:
        process.send_signal(signal.SIGKILL)


def wait_for(
    condition: Callable[[], object], process: Process | subprocess.Popen | None = None, seconds: float = 600
) -> None:
    """Until `condition` is true, which `process`, if one is given, must make it while it runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline and (process is None or process.poll() is None)
        time.sleep(0.02)


def run_here(module: str, words: tuple[str, ...], cwd: Path, capsys, monkeypatch) -> tuple[int, str]:
    """The same command line inside this process, which spares seconds of start-up: its exit code and stderr."""
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    monkeypatch.chdir(cwd)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(sys, "argv", [str(ROOT / f"{module}.py"), *words])
    # Hydra's logging set-up shuts all handlers down, and absl's, if dm_control was imported while pytest captured
    # stderr, would close pytest's own stream.
    monkeypatch.setattr(logging, "shutdown", lambda *_: None)
    capsys.readouterr()
    code = 0
    level, loggers = logging.root.level, logging.root.manager.loggerDict
    before = {name: logger.disabled for name, logger in loggers.items() if isinstance(logger, logging.Logger)}
    try:
        importlib.import_module(module).main()
    except SystemExit as exit_:
        code = exit_.code or 0
    finally:
        # It also disables every logger that exists, which later tests in this process may want to hear.
        logging.root.setLevel(level)
        for name, logger in loggers.items():
            if isinstance(logger, logging.Logger):
                logger.disabled = before.get(name, False)
    return code, capsys.readouterr().err
