"""What a program does that is forked from a process which has loaded the libraries already (see `tests.cli.command`).

It has a folder, an environment, a session and streams of its own, and is spared the seconds in which torch, scipy and
dm_control load. Not seen this way: that a program loads a library itself, what a library reads of the environment while
it loads (OpenMP its threads), and a traceback of Python's own start. tests/cli/test_terminal.py and tests/cuda start
programs as a shell does. Nothing of ours is loaded before the program asks for it.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import sys
import threading


def run(words: tuple[str, ...], folder: str, env: dict[str, str], streams: tuple[str, str], ignored: bool) -> None:
    """`python <words>`; `streams`: files for what it prints; `ignored`: Ctrl-C, as in a script's background job."""
    os.setsid()
    multiprocessing.set_start_method(None, force=True)  # as it was before there was a fork server
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number, path in enumerate((os.devnull, *streams)):
        os.dup2(os.open(path, os.O_RDWR | os.O_APPEND), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    try:
        if words[0] == "-m":
            sys.argv, sys.path[:0] = list(words[1:]), [folder]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[:0] = list(words), [os.path.dirname(words[0])]
            runpy.run_path(words[0], run_name="__main__")
    finally:
        # As Python ends a program; multiprocessing leaves the second out.
        threading._shutdown()
        atexit._run_exitfuncs()
