"""Runs the project's real command lines in a folder of their own."""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def environment(**extra: str) -> dict[str, str]:
    # One thread: tests run beside each other's processes on two cores.
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | extra


def run(script: str, *words: str, cwd: Path, timeout: float = 300, **env: str) -> subprocess.CompletedProcess[str]:
    """`python <script> <words>` from `cwd`; output is captured, nothing is raised for a failing exit code."""
    return subprocess.run(
        [sys.executable, str(ROOT / script), *words],
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def start(script: str, *words: str, cwd: Path, **env: str) -> subprocess.Popen:
    """The same in the background, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *words],
        cwd=cwd,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


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
