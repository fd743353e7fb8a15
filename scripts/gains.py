"""CRPI's gains with intervals that hold, from the episodes in results.csv alone: for a report whose jobs are gone.

    python -m scripts.gains docs/tables/table3_pixels_quick/results.csv

A line per task and method: the chosen α against α = 0 over the same report episodes, by a paired t interval, with
Holm's adjustment for all lines that could be tested (evaluation/statistics.py).
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Hashable, Iterable
from pathlib import Path

from evaluation import statistics
from report.formats import interval, plain, probability


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="CSV", help="results.csv of a report")
    for file in parser.parse_args().files:
        with open(file, newline="", encoding="utf-8") as rows:
            print("\n".join(lines(csv.DictReader(rows))))


def lines(rows: Iterable[dict[str, str]]) -> list[str]:
    """The table in Markdown. `rows`: of results.csv, in any order; what is counted twice counts once."""
    # (task, method, mode) → [without CRPI, with it] → policy → environment seed → return, and the α that were chosen.
    returns: dict[tuple[str, str, str], list[dict[str, dict[Hashable, float]]]]
    returns = defaultdict(lambda: [defaultdict(dict), defaultdict(dict)])
    alphas: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for row in rows:
        if row["stream"] == "report" and row["method"] != "ann" and row["return"]:
            key = (row["task"], row["method"], row["mode"])
            for side, is_there in zip(returns[key], (float(row["alpha"]) == 0, row["alpha_chosen"] == "1")):
                if is_there:
                    side[row["policy_sha256"]][row["environment_seed"]] = float(row["return"])
            if row["alpha_chosen"] == "1":
                alphas[key].add(row["alpha"].removesuffix(".0"))
    gains = {
        key: statistics.gain([on[sha] for sha in off], list(off.values())) for key, (off, on) in sorted(returns.items())
    }
    # What was left at α = 0 is the same method and no comparison.
    tested = [key for key, gain in gains.items() if gain.p is not None and alphas[key] != {"0"}]
    adjusted = dict(zip(tested, statistics.holm([gains[key].p for key in tested])))
    table = [f"| task | method | carried | n | α | off → on | gain | p | Holm, of {len(tested)} |", "|---" * 9 + "|"]
    for key, gain in gains.items():
        off, on = (
            statistics.mean([list(episodes.values()) for episodes in side.values()]).value for side in returns[key]
        )
        words = [*key, str(gain.n), ", ".join(sorted(alphas[key])), f"{plain(off)} → {plain(on)}"]
        words.append(f"{plain(gain.value, sign=True)} {interval(gain.interval, sign=True)} {gain.mark}".strip())
        words += [probability(p) if p is not None and key in tested else "–" for p in (gain.p, adjusted.get(key))]
        table.append(f"| {' | '.join(words)} |")
    return table


if __name__ == "__main__":
    main()
