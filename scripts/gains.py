"""CRPI's gains with intervals that hold, from the episodes in results.csv alone: for a report whose jobs are gone.

    python -m scripts.gains docs/tables/table3_pixels_quick/results.csv

A line per task (headed by the policy's label), method and way of choosing α: that α against α = 0 over the same report
episodes, by a paired t interval, with Holm's adjustment for all lines that could be tested (evaluation/statistics.py).
Files of older reports lack the columns label, calibration_steps, percentile, hybrid and dtype: a task's policies are
then pooled as training seeds, and a note below the table says so where jobs of other settings were taken for one.
"""

import csv
from collections import defaultdict
from collections.abc import Hashable, Iterable
from pathlib import Path

from evaluation import statistics
from report import method as methods
from report.formats import interval, plain, probability
from runtime import arguments

# Columns that tell methods of one neuron and T apart, each with what the paper's methods have there.
_SETTINGS = {"n_thresholds": "4", "calibration_steps": "5000", "percentile": "", "hybrid": "False", "dtype": ""}


def main() -> None:
    files = {"type": Path, "nargs": "+", "metavar": "CSV", "help": "results.csv of a report"}
    for file in arguments.parser(__doc__, {"files": files}).parse_args().files:
        with open(file, newline="", encoding="utf-8") as rows:
            print("\n".join(lines(csv.DictReader(rows))))


def lines(rows: Iterable[dict[str, str]]) -> list[str]:
    """The table in Markdown. `rows`: of results.csv, in any order; what is counted twice counts once."""
    # (task, method) → policy → environment seed → return without CRPI; (task, method, carried, α if given) → with it.
    without: dict[tuple[str, ...], dict[str, dict[Hashable, float]]] = defaultdict(lambda: defaultdict(dict))
    chosen: dict[tuple[str, ...], dict[str, dict[Hashable, float]]] = defaultdict(lambda: defaultdict(dict))
    alphas: dict[tuple[str, ...], set[str]] = defaultdict(set)
    conflicts = 0
    for row in rows:
        if row["stream"] == "report" and row["method"] != "ann" and row["return"]:
            method, alpha, how = (
                (methods.headed(row["task"], row.get("label")), _method(row)),
                row["alpha"].removesuffix(".0"),
                row["alpha_how"],
            )
            sides = [without[method]] if float(row["alpha"]) == 0 else []
            if row["alpha_chosen"] == "1":
                carried = f"{row['mode']}, optimistic α" if how == "paper" else row["mode"]
                way = (*method, carried, alpha if how == "given" else "")
                alphas[way].add(alpha)
                sides.append(chosen[way])
            for side in sides:
                known, value = side[row["policy_sha256"]], float(row["return"])
                conflicts += known.get(row["environment_seed"], value) != value
                known[row["environment_seed"]] = value
    returns = {
        key: ({sha: {seed: without[key[:2]][sha][seed] for seed in of_one} for sha, of_one in on.items()}, on)
        for key, on in sorted(chosen.items())
    }
    gains = {key: statistics.gain(list(on.values()), list(off.values())) for key, (off, on) in returns.items()}
    # What was left at α = 0 is the same method and no comparison.
    tested = [key for key, gain in gains.items() if gain.p is not None and alphas[key] != {"0"}]
    adjusted = dict(zip(tested, statistics.holm([gains[key].p for key in tested])))
    table = [f"| task | method | carried | n | α | off → on | gain | p | Holm, of {len(tested)} |", "|---" * 9 + "|"]
    for key, gain in gains.items():
        off, on = (
            statistics.mean([list(episodes.values()) for episodes in side.values()]).value for side in returns[key]
        )
        words = [
            *(*key[:3], str(gain.n), ", ".join(sorted(alphas[key])), f"{plain(off)} → {plain(on)}"),
            f"{plain(gain.value, sign=True)} {interval(gain.interval, sign=True)} {gain.mark}".strip(),
            *(probability(p) if p is not None and key in tested else "–" for p in (gain.p, adjusted.get(key))),
        ]
        table.append(f"| {' | '.join(words)} |")
    if conflicts:
        table.append(f"\n{conflicts} episodes stand twice with different returns, of which the last counts.")
    return table


def _method(row: dict[str, str]) -> str:
    """ "if_4", "if_4, percentile=99.0"."""
    changes = [f"{name}={value}" for name, usual in _SETTINGS.items() if (value := row.get(name)) and value != usual]
    return ", ".join([row["method"], *changes])


if __name__ == "__main__":
    main()
