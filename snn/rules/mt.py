"""Multi-threshold neuron (Huang et al., ACM MM 2024; Xu et al. 2026, Eqs. 14-21)."""

from typing import Any

from snn.rules.rule import Rule


def magnitudes(n: Any) -> Any:
    """The rule with n magnitudes lambda_i = theta / 2**(i-1), each with both signs.

    Positive: the largest lambda_i with m >= 3/4 lambda_i, the midpoint to the next smaller one. Negative: the largest
    with m <= -3/4 lambda_i and c >= lambda_i, x = -lambda_i. At most one spike of theta a step; the rest stays in v.
    (Eq. 19 as printed gives no spike for m >= 3/2 theta and has i < n for i <= n: misprints.)
    """

    def fire(m: Any, c: Any, theta: Any) -> Any:
        lam = theta
        for _ in range(n - 1):
            lam = 0.5 * lam
        up, down = 0.0 * theta, 0.0 * theta
        # Smallest first: each condition holds for every smaller magnitude too, so the largest that fires is kept,
        # and the step from one magnitude to the next is exact.
        for _ in range(n):
            up = up + (lam - up) * (m >= 0.75 * lam)
            down = down + (lam - down) * ((m <= -0.75 * lam) & (c >= lam))
            lam = 2.0 * lam
        return up - down

    return fire


RULE = Rule("mt", magnitudes, signed=True, levels=True, v_base=0.0)
