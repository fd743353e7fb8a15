"""CRPI: what a membrane takes from one decision to the next (Xu et al. 2026, Algorithm 1), as pure functions.

`start` is what a layer keeps between decisions: under carry mode the last membrane v[T], under the others the
residual. `blank` is its value at an episode's start, from which the first v[0] is v_base * theta.
"""

import torch
from torch import Tensor

from snn.rules import Rule

MODES = ("residual", "random", "shuffled", "carry")


def blank(theta: Tensor, rule: Rule, mode: str) -> Tensor:
    """`start` at an episode's start, [units]."""
    return rule.v_base * theta if mode == "carry" else torch.zeros_like(theta)


def initial(start: Tensor, alpha: Tensor, theta: Tensor, rule: Rule, mode: str) -> Tensor:
    """v[0] of a decision, [B, units], in the unit of theta.

    v[0] = v_base + clip(alpha * residual, -clip, +clip), with v_base and clip the rule's fractions of theta. For
    v_base = theta/2 this is the paper's clip(theta/2 + alpha * residual, 0, theta); for a base of 0 the same range is
    our reading. Under mode carry v[0] = (1 - alpha) v_base + alpha v[T], unclipped. alpha = 0 gives v_base exactly.

    start [B, units], alpha [B, 1], theta [units].
    """
    if mode == "carry":
        return (1.0 - alpha) * (rule.v_base * theta) + alpha * start
    limit = rule.clip * theta
    return rule.v_base * theta + torch.clamp(alpha * start, -limit, limit)


def residual(v_end: Tensor, v_start: Tensor, c_end: Tensor, mode: str) -> Tensor:
    """What to keep: max(v[T] - v[0], -c[T]), or v[T] itself under mode carry. All [B, units]."""
    return v_end.clone() if mode == "carry" else torch.maximum(v_end - v_start, -c_end)
