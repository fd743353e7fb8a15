"""Schedules of exploration noise and step sizes, in DrQ-v2's notation (Yarats et al. 2021, Section 3.1)."""

import math
import re
from dataclasses import dataclass

_NUMBER = r"\s*([-+0-9.eE]+)\s*"
_LINEAR = re.compile(rf"^linear\({_NUMBER},{_NUMBER},{_NUMBER}\)$")


@dataclass(frozen=True)
class LinearSchedule:
    """Goes from `start` to `end` over `duration` decisions, then stays at `end`."""

    start: float
    end: float
    duration: float

    def __call__(self, step: int) -> float:
        mix = min(max(step / self.duration, 0.0), 1.0)
        return (1.0 - mix) * self.start + mix * self.end


def parse_schedule(text: str | float) -> LinearSchedule:
    """Reads "linear(start,end,decisions)" or a constant. Raises ValueError that says so for anything else."""
    refusal = ValueError("must be a number such as 1e-4, or linear(start,end,decisions) such as linear(1.0,0.1,100000)")
    try:
        match = _LINEAR.match(str(text).strip())
        values = [float(group) for group in match.groups()] if match else [float(text), float(text), 1.0]
    except ValueError:
        raise refusal from None
    start, end, duration = values
    if not all(map(math.isfinite, values)) or min(start, end) < 0 or duration <= 0:
        raise refusal
    return LinearSchedule(start, end, duration)
