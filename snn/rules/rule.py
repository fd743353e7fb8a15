"""What a fire rule is made of."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A fire rule x[t] = fire(m[t], c[t-1], theta).

    m       membrane potential before the spike, in the unit of theta
    c       cumulative output up to now, already with the coding's slack: test `c >= theta` plainly
    theta   firing threshold, > 0 (0 for a dead unit: x must then be 0)
    x       the spike: 0 or a signed magnitude theta / 2**(i-1)

    `fire` serves tensors and the compiled kernel alike, so it is written without `if`: a comparison gives a mask, `&`
    joins masks, a mask times a number is that number or 0. Write constants as floats (0.0, not 0): the kernel gives
    them the arrays' own precision, whereas an integer would widen the arithmetic.

    name     what users write
    fire     the pure function, or with levels=True a function n -> pure function with n magnitudes
    signed   can it send a negative spike? (differential coding needs that)
    v_base   v[0] at an episode's start, as a fraction of theta
    clip     CRPI's bound on what is carried to the next decision, as a fraction of theta
    strict   `fire` with `>` in place of `>=` in its test of the threshold, or None
    """

    name: str
    fire: Callable
    signed: bool
    levels: bool = False
    v_base: float = 0.5
    clip: float = 0.5
    strict: Callable | None = None
