"""Integrate and fire with soft reset (Xu et al. 2026, Eqs. 1-5)."""

from snn.rules.rule import Rule


def fire(m, c, theta):
    """x = theta * H(m - theta), with H(0) = 1 (Eq. 3).

    m, c, theta, x: membrane before the spike, cumulative output (unused), threshold, spike; one shape, one unit.
    """
    return theta * (m >= theta)


def strict(m, c, theta):
    """The published CRPI code's: x = theta where m > theta."""
    return theta * (m > theta)


RULE = Rule("if", fire, signed=False, strict=strict)
