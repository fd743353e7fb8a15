"""Signed neuron with memory (Wang et al., IJCAI 2022; Xu et al. 2026, Eqs. 9-13)."""

from typing import Any

from snn.rules.rule import Rule


def fire(m: Any, c: Any, theta: Any) -> Any:
    """x = theta * H(m - theta) - theta * H(-m) * H(c - theta).

    A negative spike only takes back what was sent before. The paper prints H(-m + theta) * H(c + theta), which would
    fire a negative spike for every m <= theta: a misprint of signs.

    m, c, theta, x: membrane before the spike, cumulative output, threshold, spike; one shape, one unit.
    """
    return theta * (m >= theta) - theta * ((m <= 0.0) & (c >= theta))


def strict(m: Any, c: Any, theta: Any) -> Any:
    """The same with m > theta."""
    return theta * (m > theta) - theta * ((m <= 0.0) & (c >= theta))


RULE = Rule("snm", fire, signed=True, strict=strict)
