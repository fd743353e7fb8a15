"""Runs a program on the device of the tests: python -m tests.cuda LOG train.py task=..."""

import json
import runpy
import sys
from pathlib import Path

from tests.cuda import device


def main(log_file: str, program: str, *words: str) -> None:
    device.load()
    from tests.cuda.gpu import gpu  # which loads torch

    sys.argv = [program, *words]
    with gpu() as log:
        try:
            runpy.run_path(str(Path(__file__).parents[2] / program), run_name="__main__")
        finally:
            Path(log_file).write_text(json.dumps(vars(log)))


if __name__ == "__main__":
    main(*sys.argv[1:])
