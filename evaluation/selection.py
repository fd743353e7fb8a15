"""Which α stands for CRPI, and which episodes may say so.

`honest`: every α plays a few episodes on the *selection* stream of environment seeds; α = 0 and the best one then play
the report episodes. `paper`: every α plays the report episodes and the best of them is named (Xu et al. 2026, section
7): the figure is optimistic, because the same episodes choose and report. With one α there is nothing to choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evaluation.result import AlphaRecord


def to_select(alphas: Sequence[float], select: str) -> list[float]:
    """The α that play selection episodes, in order; none where nothing is to be chosen on separate episodes."""
    return list(alphas) if select == "honest" and len(alphas) > 1 else []


def to_report(alphas: Sequence[float], select: str, chosen: float | None) -> list[float]:
    """The α that play the report episodes, ascending. `chosen` is needed for honest selection only.

    Honest selection always reports α = 0 too, asked for or not: plain conversion is what CRPI's gain is measured by.
    """
    if to_select(alphas, select):
        assert chosen is not None
        return sorted({0.0, chosen})
    return sorted(alphas)


def best(means: Mapping[float, float]) -> float:
    """The α with the highest mean; of equals the smallest, which departs least from plain conversion."""
    return min(means, key=lambda alpha: (-means[alpha], alpha))


def describe(alphas: Sequence[float], select: str, chosen: float) -> AlphaRecord:
    """The record of the choice for the result."""
    if len(alphas) == 1:
        return AlphaRecord(list(alphas), chosen, "given", False, "α was given, nothing was chosen", "report")
    if select == "honest":
        note = "α chosen on selection episodes, reported on other environment seeds; returns.npy: selection episodes"
        return AlphaRecord(list(alphas), chosen, "honest", False, note, "selection")
    note = "optimistic: α was chosen on the very episodes that are reported, as in the paper"
    return AlphaRecord(list(alphas), chosen, "paper", True, note, "report")
