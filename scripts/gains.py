"""CRPI's gains with intervals that hold, from the episodes in results.csv alone: for a report whose jobs are gone.

    python -m scripts.gains docs/tables/table3_pixels_quick/results.csv

A line per task and method: the chosen α against α = 0 over the same report episodes, by a paired t interval, with
Holm's adjustment for all lines that could be tested (evaluation/statistics.py).
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path

from evaluation import statistics
from report.formats import interval, plain, probability

Returns = dict[Hashable, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="CSV", help="results.csv of a report")
    for file in parser.parse_args().files:
        with open(file, newline="", encoding="utf-8") as rows:
            print("\n".join(lines(list(csv.DictReader(rows)))))


def lines(rows: list[dict[str, str]]) -> list[str]:
    """The table in Markdown. `rows`: of results.csv, in any order; what is counted twice counts once."""
    # (task, method, mode) → [without CRPI, with it] → policy → environment seed → return, and the α that were chosen.
    returns: dict[tuple[str, str, str], tuple[dict[str, Returns], dict[str, Returns]]]
    returns = defaultdict(lambda: (defaultdict(dict), defaultdict(dict)))
    alphas: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for row in rows:
        if row["stream"] == "report" and row["method"] != "ann" and row["return"]:
            key = (row["task"], row["method"], row["mode"])
            if float(row["alpha"]) == 0:
                returns[key][0][row["policy_sha256"]][row["environment_seed"]] = float(row["return"])
            if row["alpha_chosen"] == "1":
                returns[key][1][row["policy_sha256"]][row["environment_seed"]] = float(row["return"])
                alphas[key].add(row["alpha"].removesuffix(".0"))
    gains = {key: _gain(*sides) for key, sides in sorted(returns.items())}
    # What was left at α = 0 is the same method and no comparison.
    tested = [key for key, gain in gains.items() if gain.p is not None and alphas[key] != {"0"}]
    adjusted = dict(zip(tested, statistics.holm([gains[key].p for key in tested])))
    table = [f"| task | method | carried | n | α | off → on | gain | p | Holm, of {len(tested)} |", "|---" * 9 + "|"]
    for key, gain in gains.items():
        off, on = (statistics.mean([list(side.values()) for side in sides.values()]).value for sides in returns[key])
        ends = interval(gain.interval, sign=True)
        mark = f" {gain.mark}" if gain.mark else ""
        ps = [probability(p) if p is not None and key in adjusted else "–" for p in (gain.p, adjusted.get(key))]
        words = [*key, str(gain.n), ", ".join(sorted(alphas[key])), f"{plain(off)} → {plain(on)}"]
        table.append(f"| {' | '.join([*words, f'{plain(gain.value, sign=True)} {ends}{mark}', *ps])} |")
    return table


def _gain(off: dict[str, Returns], on: dict[str, Returns]) -> statistics.Estimate:
    """Over the episodes that both have."""
    pairs = [(on[sha], off[sha]) for sha in on if sha in off]
    shared = [one.keys() & other.keys() for one, other in pairs]
    treated, control = (
        [{seed: pair[side][seed] for seed in seeds} for pair, seeds in zip(pairs, shared)] for side in (0, 1)
    )
    return statistics.gain(treated, control)


if __name__ == "__main__":
    main()
