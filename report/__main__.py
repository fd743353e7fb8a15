"""python -m report DIR... : the report on sweeps and runs, also on one that was cut off.

python -m report results/sweeps/2026-01-31_12-00-00        one sweep: its report/ folder
python -m report results/sweeps/A results/sweeps/B --out results/both
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runtime.errors import UserError

FOLDER = "report"


def main(words: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 for folders that can't be reported on or written to."""
    parser = argparse.ArgumentParser(prog="python -m report", description="Tables and figures of conversion runs.")
    parser.add_argument("folders", nargs="+", metavar="DIR", help="a sweep, a run, or a folder that holds some")
    parser.add_argument(
        "--out", metavar="DIR", help="where to write; default: DIR/report for one, results/report for several"
    )
    arguments = parser.parse_args(words)
    several = len(arguments.folders) > 1
    out = Path(arguments.out or (Path("results") / FOLDER if several else Path(arguments.folders[0]) / FOLDER))
    # matplotlib takes a second to load, which --help need not wait for.
    from report.make import make

    try:
        print(f"written: {make(arguments.folders, out).absolute()}")
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
