"""How numbers are written: one minus sign, no sign before a zero, as many digits as mean something."""

import functools
from collections.abc import Callable

from evaluation.statistics import BIMODAL, FEW, Estimate

MINUS = "−"


def plain(value: float, sign: bool = False) -> str:
    """Three significant figures or so: "823", "12.4", "0.57", "0.031", "4.2e−05"; below 1e-9 it is "0.00".

    `sign`: with a plus before what is above zero.
    """
    size = abs(value)
    if 1e-9 <= size < 1e-3:
        return _signed(value, f"{size:.1e}".replace("-", MINUS), sign)
    return fixed(value, 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or size < 1e-9 else 3, sign)


def fixed(value: float, digits: int, sign: bool = False) -> str:
    """With a given number of decimals."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else _signed(value, text, sign)


def percent(fraction: float, digits: int = 1, sign: bool = False) -> str:
    """A fraction in percent, without the percent sign."""
    return fixed(100 * fraction, digits, sign)


signed = functools.partial(plain, sign=True)
fine_percent = functools.partial(percent, digits=2)


def compact(value: float) -> str:
    """A count of operations: "212M", "47.9M", "3.10k"."""
    size, unit = next(
        (size, unit) for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, "")) if value >= size or size == 1
    )
    return plain(value / size) + unit


def probability(p: float) -> str:
    """A p value: "0.042", "< 0.001"."""
    return "< 0.001" if p < 0.0005 else fixed(p, 3)


def interval(ends: tuple[float, float] | None, write: Callable[..., str] = plain, sign: bool = False) -> str:
    """ "[812, 833]"; of differences, with `sign`: "[−3.20, +14.1]"; "no interval" where none holds."""
    return f"[{', '.join(write(end, sign=sign) for end in ends)}]" if ends else "no interval"


def ends(value: Estimate, write: Callable[..., str] = plain, sign: bool = False) -> str:
    """The interval with what limits it: "[812, 833]; n=5, bimodal"."""
    marks = {"": "", FEW: f"n={value.n}", BIMODAL: f"n={value.n}, {BIMODAL}"}
    return "; ".join(filter(None, (interval(value.interval, write, sign), marks[value.mark])))


def _signed(value: float, size: str, sign: bool) -> str:
    return (MINUS if value < 0 else "+" if sign else "") + size
