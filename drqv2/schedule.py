"""Schedules of exploration noise and step sizes, in DrQ-v2's notation (Yarats et al. 2021, Section 3.1)."""

import math
import re
from collections.abc import Callable

_NUMBER = r"\s*([-+0-9.eE]+)\s*"
_LINEAR = re.compile(rf"^linear\({_NUMBER},{_NUMBER},{_NUMBER}\)$")


def parse_schedule(text: str | float) -> Callable[[int], float]:
    """The value at each decision, for "linear(start,end,decisions)", which stays at `end`, or a constant. Raises
    ValueError that says so for anything else."""
    refusal = ValueError("must be a number such as 1e-4, or linear(start,end,decisions) such as linear(1.0,0.1,100000)")
    try:
        match = _LINEAR.match(str(text).strip())
        values = [float(group) for group in match.groups()] if match else [float(text), float(text), 1.0]
    except ValueError:
        raise refusal from None
    start, end, duration = values
    if not all(map(math.isfinite, values)) or min(start, end) < 0 or duration <= 0:
        raise refusal

    def at(step: int) -> float:
        mix = min(max(step / duration, 0.0), 1.0)
        return (1.0 - mix) * start + mix * end

    return at
