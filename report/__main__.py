"""python -m report DIR... : the report on sweeps, runs and analyses, also on a sweep that was cut off.

python -m report results/sweeps/2026-01-31_12-00-00        one sweep: its report/ folder
python -m report results/sweeps/A results/sweeps/B --out results/both
python -m report results/analysis                          the pages of analyses anew, and one overview of them all
"""

import argparse
import sys
from pathlib import Path

from evaluation.result import RESULT
from runtime.errors import UserError

FOLDER = "report"


def main(words: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 for folders that can't be reported on or written to."""
    parser = argparse.ArgumentParser(prog="python -m report", description="Tables and figures of conversions.")
    parser.add_argument("folders", nargs="+", metavar="DIR", help="a sweep, a run, an analysis, or a folder of these")
    parser.add_argument(
        "--out", metavar="DIR", help="where to write; default: DIR/report for one, results/report for several"
    )
    arguments = parser.parse_args(words)
    parent = Path("results" if len(arguments.folders) > 1 else arguments.folders[0])
    out = Path(arguments.out or parent / FOLDER)
    # matplotlib takes a second to load, which --help need not wait for.
    from report.analysis import overview, page
    from report.make import make

    try:
        analyses = overview.collect(arguments.folders)
        for folder, analysis in analyses.items():
            page.write(analysis, folder)
        if analyses:
            print(f"written: {overview.write(list(analyses.values()), out).absolute()}")
        if not analyses or any(path for folder in arguments.folders for path in Path(folder).rglob(RESULT)):
            print(f"written: {make(arguments.folders, out).page.absolute()}")
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
