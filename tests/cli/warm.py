"""A process that has loaded what the programs load, and forks for each that it is asked to run.

    python -m tests.cli.warm SOCKET     the descriptor of a socket that `tests.cli.command` writes requests to

A program starts in a folder, an environment and a session of its own, but without the seconds that torch, scipy and
dm_control take to load. Nothing of ours is loaded before it is asked for.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys

LIBRARIES = ("torch.export", "torch.utils.tensorboard", "numba", "scipy.stats", "pydantic", "matplotlib.figure")
LIBRARIES += ("hydra.utils", "tqdm", "jinja2", "imageio.v3", "dm_control.suite")


def main(descriptor: int) -> None:
    requests = socket.socket(fileno=descriptor)
    for name in LIBRARIES:
        importlib.import_module(name)
    importlib.import_module("hydra.core.plugins").Plugins.instance()
    # Collections leave alone what is there, which so stays shared with every fork.
    gc.freeze()
    # Nobody waits for those that wait for programs.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, *_ = socket.recv_fds(requests, 1 << 20, 4)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            return supervise(*descriptors, **json.loads(message))
        for each in descriptors:
            os.close(each)


def supervise(answers: int, *standard: int, **request: object) -> None:
    """Writes a program's process id to `answers`, and its exit code when it has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        os.write(answers, b"%d\n" % pid)
        os.write(answers, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        os._exit(0)
    os.close(answers)
    run(standard, **request)


def run(standard: tuple[int, ...], words: list[str], folder: str, env: dict[str, str], ignored: list[int]) -> None:
    os.setsid()
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    for number, each in enumerate(standard):
        os.dup2(each, number)
        os.close(each)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    if words[0] == "-m":
        sys.argv, sys.path[0] = words[1:], folder
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = words, os.path.dirname(words[0])
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main(int(sys.argv[1]))
