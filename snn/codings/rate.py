"""Rate coding: the mean of the spikes is the value (Xu et al. 2026, Eqs. 1-5)."""

from snn.codings.coding import Coding


def init(theta, v0, bias):
    """v[0] and c[0] = 0."""
    return v0, 0.0 * theta


def step(fire, slack, theta, wx, bias, t, v, c):
    """m[t] = v[t-1] + I[t]; x = fire(m[t], c[t-1]); v[t] = m[t] - x; c[t] = c[t-1] + x."""
    m = v + (wx + bias)
    x = fire(m, c + slack * theta, theta)
    return x, m - x, c + x


def current(wx, bias, v, c):
    """I[t] = W x_in[t] + b."""
    return wx + bias


def rate(x, v, c):
    """r[t] = x[t]."""
    return x


def mean(t, v, c):
    """c[t] / t."""
    return c / t


def mean_input(v0, t, v, c):
    """By Eq. 8: the sum of I is that of r, plus what the membrane gained."""
    return (c - v0 + v) / t


# c sits on the lattice of multiples of the smallest magnitude; half a lattice step of slack makes `c >= lambda` the
# same on the lattice and safe in any precision.
CODING = Coding("rate", ("v", "c"), init, step, current, rate, mean, mean_input, slack=0.5)
