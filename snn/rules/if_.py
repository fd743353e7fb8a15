"""Integrate and fire with soft reset (Xu et al. 2026, Eqs. 1-5)."""

from typing import Any

from snn.rules.rule import Rule


def fire(m: Any, c: Any, theta: Any) -> Any:
    """x = theta * H(m - theta), with H(0) = 1 (Eq. 3).

    m, c, theta, x: membrane before the spike, cumulative output (unused), threshold, spike; one shape, one unit.
    """
    return theta * (m >= theta)


def strict(m: Any, c: Any, theta: Any) -> Any:
    """The published CRPI code's: x = theta where m > theta."""
    return theta * (m > theta)


RULE = Rule("if", fire, signed=False, strict=strict)
