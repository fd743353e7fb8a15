"""A process that steps environments for a `VectorEnv`; started as `python -m envs.worker SOCKET MEMORY PARENT`.

It loads neither torch nor the program that started it. It ends when its parent closes the socket or dies.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection

from envs.group import Group
from runtime.errors import UserError


def main(socket: int, memory: int, parent: int) -> None:
    """Serves requests (method, arguments) from `socket` until it closes; replies ("ok", result), or what went wrong."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    requests = Connection(socket)
    group = Group(memory)
    try:
        while True:
            method, arguments = requests.recv()
            try:
                result = group.call(method, arguments)
            except UserError as error:
                requests.send(("user error", str(error), ""))
            except Exception as error:
                requests.send(("error", f"{type(error).__name__}: {error}", traceback.format_exc()))
            else:
                requests.send(("ok", result))
    except (EOFError, ConnectionError):
        pass  # the parent has closed its end, on purpose or by dying


def _end_with(parent: int) -> None:
    # The closed socket tells the same, but not while a process that the parent forked still holds a copy of it.
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
