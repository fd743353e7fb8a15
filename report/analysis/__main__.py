"""Makes the pages of analyses anew, and one overview of them all.

python -m report.analysis results/analysis --out results/analysis
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runtime.errors import UserError


def main(words: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 for folders that hold no analysis or can't be written to."""
    parser = argparse.ArgumentParser(prog="python -m report.analysis", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", metavar="DIR", help="folders with analysis.json in or below them")
    parser.add_argument("--out", required=True, type=Path, help="folder for overview.md and its figure")
    arguments = parser.parse_args(words)
    from report.analysis import make, overview

    try:
        found = overview.collect(arguments.folders)
        for folder, analysis in found:
            make.write(analysis, folder)
        print(f"written: {overview.write([analysis for _, analysis in found], arguments.out)}")
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
