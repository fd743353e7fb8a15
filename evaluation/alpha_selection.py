"""Which α plays on which stream of environment seeds, and which of them stands for CRPI.

`given`: one α, nothing to choose. `honest`: every α plays a few episodes on the *selection* stream; the best one then
plays the report episodes. `paper`: every α plays the report episodes and the best of them is named (Xu et al. 2026,
section 7): the figure is optimistic, because the same episodes choose and report. α = 0, plain conversion, always plays
the report episodes, asked for or not: CRPI's gain is measured by it. Knows no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.schema import Record, as_tuple

# The paper's grid of α (Xu et al. 2026, section 7).
GRID = tuple(round(0.1 * tenth, 1) for tenth in range(11))

GIVEN, HONEST, PAPER = "given", "honest", "paper"


@dataclass(frozen=True)
class AlphaPlan:
    """Who plays where. `how`: "given", "honest" or "paper".

    selection  the α that play the selection episodes, in order; empty where none is chosen on them
    report     the α that play the report episodes whatever is chosen, ascending. Under "honest" the chosen one joins
               them.
    """

    how: str
    selection: tuple[float, ...]
    report: tuple[float, ...]


class AlphaRecord(Record):
    """`requested`: crpi.alpha, in order. `chosen`: the α that stands for CRPI, and `how`: "given" (one number),
    "honest" (best mean on the selection episodes) or "paper" (best mean on the very episodes reported: `optimistic`).
    `returns_stream`: which episodes the means in returns.npy are over."""

    requested: list[float]
    chosen: float
    how: str
    optimistic: bool
    note: str
    returns_stream: str


def requested(value: Any) -> tuple[Any, ...]:
    """What crpi.alpha asks for: a number, a list of them, or "grid"."""
    return GRID if value == "grid" else as_tuple(value)


def plan(alphas: Sequence[float], select: str) -> AlphaPlan:
    """The plan for `alphas` under crpi.select, "honest" or "paper"."""
    how = GIVEN if len(alphas) == 1 else select
    if how == HONEST:
        return AlphaPlan(how, tuple(alphas), (0.0,))
    return AlphaPlan(how, (), tuple(sorted({0.0, *alphas})))


def best(means: Mapping[float, float]) -> float:
    """The α with the highest mean; of equals the smallest, which departs least from plain conversion."""
    return min(means, key=lambda alpha: (-means[alpha], alpha))


def describe(alphas: Sequence[float], select: str, chosen: float) -> AlphaRecord:
    """The record of the choice for the result."""
    how = plan(alphas, select).how
    notes = {
        GIVEN: "α was given, nothing was chosen",
        HONEST: "α chosen on selection episodes, reported on other environment seeds; returns.npy: selection episodes",
        PAPER: "optimistic: α was chosen on the very episodes that are reported, as in the paper",
    }
    return AlphaRecord(
        requested=list(alphas),
        chosen=chosen,
        how=how,
        optimistic=how == PAPER,
        note=notes[how],
        returns_stream="selection" if how == HONEST else "report",
    )
