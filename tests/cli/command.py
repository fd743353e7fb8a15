"""Runs the project's real command lines in a folder of their own."""

import atexit
import contextlib
import functools
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hydra.core.global_hydra import GlobalHydra

from envs import gl
from runtime.errors import UserError
from tests.cli import warm
from tests.processes import ROOT

LIBRARIES = """torch.export torch.utils.tensorboard numba scipy.stats pydantic matplotlib.figure hydra.utils hydra.main
               tqdm jinja2 imageio.v3 dm_control.suite""".split()
# Options of convert.py and analyze.py that make a run of seconds.
TINY = """env_name=cartpole_swingup SNN_ts=2 calibration.steps=8 num_eval_episodes=2 max_decisions=4 num_workers=0
          chunk=2 device=cpu""".split()
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(LIBRARIES)
# What a test that failed has left running.
atexit.register(lambda: [process.kill() for process in multiprocessing.active_children()])


@functools.cache
def renderer() -> dict[str, str]:
    """What each program that renders would find out anew, at the price of a process."""
    with contextlib.suppress(UserError):
        return {"MUJOCO_GL": gl.choose()}
    return {}


def environment(**extra: str) -> dict[str, str]:
    # One thread: tests run beside each other's processes on two cores.
    return renderer() | os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | extra


class Output(NamedTuple):
    """What a program printed; all of it under `stdout` where the two are not told apart."""

    stdout: str
    stderr: str


class Process:
    """`python <words>`, forked from a process that has loaded `LIBRARIES`; its output goes to files."""

    def __init__(self, words: tuple[str, ...], cwd: Path, env: dict[str, str], stderr_apart: bool):
        self._out = tempfile.NamedTemporaryFile("w+")
        self._error = tempfile.NamedTemporaryFile("w+") if stderr_apart else self._out
        streams, ignored = (self._out.name, self._error.name), signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        self._process = FORKS.Process(target=warm.run, args=(words, str(cwd), env, streams, ignored))
        self._process.start()
        self.pid = self._process.pid

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("python", timeout)
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def output(self, code: int = 0, timeout: float | None = 300) -> Output:
        """What it has printed, once it has ended with this exit code and no traceback."""
        ended = self.wait(timeout)
        self._out.seek(0)
        self._error.seek(0)
        printed = Output(self._out.read(), self._error.read())
        assert ended == code and "Traceback" not in printed.stdout + printed.stderr, printed
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


def run_here(module: str, words: tuple[str, ...], cwd: Path, capsys, monkeypatch) -> tuple[int, str]:
    """The same command line inside this process, which spares seconds of start-up: its exit code and stderr."""
    GlobalHydra.instance().clear()
    monkeypatch.chdir(cwd)
    monkeypatch.setattr(sys, "argv", [str(ROOT / f"{module}.py"), *words])
    # Hydra's logging would close pytest's streams, and disable loggers that later tests want to hear.
    monkeypatch.setattr("hydra._internal.logging_config.configure_logging", lambda config: None)
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        importlib.import_module(module).main()
    return end.value.code, capsys.readouterr().err
