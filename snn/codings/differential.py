"""Differential coding: spikes correct running means (Huang et al., arXiv 2503.00301; Xu et al. 2026, Eqs. 22-25).

The state holds M_in[t], the running mean of the input current (M_in[1] = b; m_r[0] in Eq. 23 means m_r[1]), and
M_out[t], that of the output (M_out[1] = 0).
"""

from typing import Any

from snn.codings.coding import Coding


def init(theta: Any, v0: Any, bias: Any) -> Any:
    """v[0], c[0] = 0, M_in[1] = b, M_out[1] = 0."""
    return v0, 0.0 * theta, bias, 0.0 * theta


def step(fire: Any, slack: Any, theta: Any, wx: Any, bias: Any, t: Any, v: Any, c: Any, m_in: Any, m_out: Any) -> Any:
    """m[t] = v[t-1] + (M_in[t] + W x_in[t]) - M_out[t]; x = fire(m[t], c[t-1] + M_out[t]); v[t] = m[t] - x;
    c[t] = c[t-1] + M_out[t] + x; M_in[t+1] = M_in[t] + W x_in[t] / t; M_out[t+1] = M_out[t] + x / t."""
    m = v + (m_in + wx) - m_out
    x = fire(m, c + m_out + slack * theta, theta)
    return x, m - x, c + m_out + x, m_in + wx / t, m_out + x / t


def current(wx: Any, bias: Any, v: Any, c: Any, m_in: Any, m_out: Any) -> Any:
    """I[t] = M_in[t] + W x_in[t]."""
    return m_in + wx


def rate(x: Any, v: Any, c: Any, m_in: Any, m_out: Any) -> Any:
    """r[t] = M_out[t] + x[t]."""
    return m_out + x


def mean(t: Any, v: Any, c: Any, m_in: Any, m_out: Any) -> Any:
    """M_out[t+1]."""
    return m_out


def mean_input(v0: Any, t: Any, v: Any, c: Any, m_in: Any, m_out: Any) -> Any:
    """M_in[t+1]."""
    return m_in


# c + M_out is a sum of fractions of the smallest magnitude, where ties occur too, hence a thousandth.
CODING = Coding(
    "differential",
    ("v", "c", "m_in", "m_out"),
    init,
    step,
    current,
    rate,
    mean,
    mean_input,
    sends_once=True,
    needs_signed=True,
    slack=0.001,
)
