"""Codings: what does a spike mean? One simulation step of a layer, as pure functions.

They serve whole tensors and, compiled, single numbers, so they are written without `if`.
"""

from dataclasses import dataclass

from snn.errors import ConversionError


@dataclass(frozen=True)
class Coding:
    """A coding's name and its slack: how far below the mark c may lie, as a fraction of the smallest magnitude.

    Under rate coding c sits on the lattice of multiples of the smallest magnitude; half a lattice step of slack makes
    `c >= lambda` the same on the lattice and safe in any precision. Under differential coding c + M_out is a sum of
    fractions of it, where ties occur too, hence a thousandth.
    """

    name: str
    slack: float


RATE = Coding("rate", 0.5)
DIFFERENTIAL = Coding("differential", 0.001)


def get(name: str) -> Coding:
    """The coding called `name`; ConversionError if there is none."""
    for coding in (RATE, DIFFERENTIAL):
        if coding.name == name:
            return coding
    raise ConversionError(f"coding={name!r} is not a known coding; choose rate or differential")


def rate_step(fire, slack, theta, current, v, c):
    """One step under rate coding (Xu et al. 2026, Eqs. 1-5).

    current   I[t] = W x_in[t] + b
    v, c      membrane v[t-1] and cumulative output c[t-1]
    Returns x[t], v[t], c[t]. All in the unit of theta and of one shape. The rate-equivalent output r[t] is x[t].
    """
    m = v + current
    x = fire(m, c + slack * theta, theta)
    return x, m - x, c + x


def differential_step(fire, slack, theta, wx, t, v, c, m_in, m_out):
    """One step under differential coding (Xu et al. 2026, Eqs. 22-25; m_r[0] in Eq. 23 means m_r[1]).

    wx           W x_in[t], without bias
    t            the step's number, 1..T
    v, c         membrane v[t-1] and cumulative rate-equivalent output c[t-1]
    m_in, m_out  running means M_in[t] (M_in[1] = b) and M_out[t] (M_out[1] = 0)
    Returns x[t], v[t], c[t], M_in[t+1], M_out[t+1]. The rate-equivalent output r[t] is M_out[t] + x[t].
    """
    m = v + (m_in + wx) - m_out
    x = fire(m, c + m_out + slack * theta, theta)
    return x, m - x, c + m_out + x, m_in + wx / t, m_out + x / t
