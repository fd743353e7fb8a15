"""Makes torch files of the format before 1.6 readable without pickle rights.

There, torch.save put each module class into the pickle as a persistent id ("module", class, source file, source text),
which torch.load(weights_only=True) refuses although nothing has to be run for it. Here such an id is cut down to the
class's name; everything else stays byte for byte.
"""

from __future__ import annotations

import io
import pickletools
from typing import Any

# Pickles before the one with what was saved: magic number, protocol, machine.
_BEFORE = 3


def without_sources(data: bytes) -> io.BytesIO:
    """The file's bytes without source texts. Raises ValueError or IndexError where it isn't such a file."""
    stream = io.BytesIO(data)
    for _ in range(_BEFORE):
        for _ in pickletools.genops(stream):
            pass
    instructions: list[tuple[str, Any, Any]] = [
        (i.name, argument, at) for i, argument, at in pickletools.genops(stream)
    ]
    kept, copied = [], 0
    marks: list[int] = []
    opened = 0
    module_memo: set[int] = set()
    for number, (name, argument, place) in enumerate(instructions):
        if name == "MARK":
            marks.append(number)
        elif name in ("TUPLE", "SETITEMS", "APPENDS"):
            opened = marks.pop()
        elif name == "BINUNICODE" and argument == "module":
            module_memo.add(instructions[number + 1][1])
        elif name == "BINPERSID":
            first, first_argument, _ = instructions[opened + 1]
            if first_argument == "module" or (first.endswith("BINGET") and first_argument in module_memo):
                class_ = next(n for n in range(opened, number) if instructions[n][0] == "GLOBAL")
                kept += [
                    data[copied : instructions[opened][2]],
                    data[instructions[class_][2] : instructions[class_ + 2][2]],
                ]
                copied = place + 1
    return io.BytesIO(b"".join([*kept, data[copied:]]))
