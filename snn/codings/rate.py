"""Rate coding: the mean of the spikes is the value (Xu et al. 2026, Eqs. 1-5)."""

from typing import Any

from snn.codings.coding import Coding


def init(theta: Any, v0: Any, bias: Any) -> Any:
    """v[0] and c[0] = 0."""
    return v0, 0.0 * theta


def step(fire: Any, slack: Any, theta: Any, wx: Any, bias: Any, t: Any, v: Any, c: Any) -> Any:
    """m[t] = v[t-1] + I[t]; x = fire(m[t], c[t-1]); v[t] = m[t] - x; c[t] = c[t-1] + x."""
    m = v + (wx + bias)
    x = fire(m, c + slack * theta, theta)
    return x, m - x, c + x


def current(wx: Any, bias: Any, v: Any, c: Any) -> Any:
    """I[t] = W x_in[t] + b."""
    return wx + bias


def rate(x: Any, v: Any, c: Any) -> Any:
    """r[t] = x[t]."""
    return x


def mean(t: Any, v: Any, c: Any) -> Any:
    """c[t] / t."""
    return c / t


def mean_input(v0: Any, t: Any, v: Any, c: Any) -> Any:
    """By Eq. 8: the sum of I is that of r, plus what the membrane gained."""
    return (c - v0 + v) / t


# c sits on the lattice of multiples of the smallest magnitude; half a lattice step of slack makes `c >= lambda` the
# same on the lattice and safe in any precision.
CODING = Coding("rate", ("v", "c"), init, step, current, rate, mean, mean_input, slack=0.5)
