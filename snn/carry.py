"""CRPI: what a membrane takes from one decision to the next (Xu et al. 2026, Algorithm 1), and its controls.

A carry rule is three pure functions. They serve whole tensors and, compiled, single numbers, so they are written
without `if` (see `snn.rules.Rule`), and take the larger or smaller of two values with `larger` and `smaller`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numba.extending import overload
from torch import Tensor

from snn.checks import ConversionError, whole
from snn.registry import Registry

MAX_ALPHA = 2.0


def larger(a: Tensor, b: Tensor) -> Tensor:
    """max(a, b), value by value."""
    return torch.maximum(a, b)


def smaller(a: Tensor, b: Tensor) -> Tensor:
    """min(a, b), value by value."""
    return torch.minimum(a, b)


@overload(larger)
def _larger(a, b):  # type: ignore[no-untyped-def]  # numba compares it with what it returns
    return lambda a, b: max(a, b)


@overload(smaller)
def _smaller(a, b):  # type: ignore[no-untyped-def]  # numba compares it with what it returns
    return lambda a, b: min(a, b)


@dataclass(frozen=True)
class CarryRule:
    """What is kept of a decision, and how the next one begins. All values are in the unit of theta.

    name     what users write
    blank    (base) -> what stands for "kept" at an episode's start, where v[0] must come out as base, v_base * theta
    initial  (kept, alpha, base, limit) -> v[0] of a decision; limit is the fire rule's clip * theta
    keep     (v_end, v_start, c_end) -> what is kept: v_end = v[T], v_start = v[0], c_end = c[T]
    control  None: each unit starts from what it kept itself. "shuffled" and "random": see `snn.crpi_controls`
    """

    name: str
    blank: Callable
    initial: Callable
    keep: Callable
    control: Literal["random", "shuffled"] | None = None


def _no_residual(base: Any) -> Any:
    return 0.0 * base


def _clipped(kept: Any, alpha: Any, base: Any, limit: Any) -> Any:
    """v[0] = v_base + clip(alpha * residual, -clip, +clip), v_base and clip the fire rule's fractions of theta.

    For v_base = theta/2 this is the paper's clip(theta/2 + alpha * residual, 0, theta); for a base of 0 the same range
    is our reading. alpha = 0 gives v_base exactly.
    """
    return base + smaller(larger(alpha * kept, -limit), limit)


def _residual(v_end: Any, v_start: Any, c_end: Any) -> Any:
    """max(v[T] - v[0], -c[T])."""
    return larger(v_end - v_start, -c_end)


def _base(base: Any) -> Any:
    return base


def _mixed(kept: Any, alpha: Any, base: Any, limit: Any) -> Any:
    """v[0] = (1 - alpha) v_base + alpha v[T], unclipped."""
    return (1.0 - alpha) * base + alpha * kept


def _membrane(v_end: Any, v_start: Any, c_end: Any) -> Any:
    return v_end


RESIDUAL = CarryRule("residual", _no_residual, _clipped, _residual)
_rules: Registry[CarryRule] = Registry(
    "mode",
    "carry rule",
    lambda: [
        RESIDUAL,
        CarryRule("random", _no_residual, _clipped, _residual, control="random"),
        CarryRule("shuffled", _no_residual, _clipped, _residual, control="shuffled"),
        CarryRule("carry", _base, _mixed, _membrane),
    ],
)
register, get = _rules.register, _rules.get


class CRPI:
    """Cross-step residual potential initialisation, to be attached to a network: `spiking.crpi = CRPI(0.5)`.

    alpha  its factor in [0, 2]: one number, or one per environment (slot). 0 is plain conversion.
    mode   the carry rule: residual (the method), one of its controls random | shuffled | carry, or a `CarryRule`
    seed   of the controls' randomness, a whole number >= 0
    Raises ConversionError for values that can't be.
    """

    def __init__(self, alpha: float | Tensor = 0.5, mode: str | CarryRule = "residual", seed: int = 0) -> None:
        try:
            factors = torch.as_tensor(alpha, dtype=torch.float64, device="cpu")
        except (TypeError, ValueError, RuntimeError):
            factors = torch.tensor(math.nan)
        if factors.dim() > 1 or not ((factors >= 0) & (factors <= MAX_ALPHA)).all():
            raise ConversionError(f"alpha={alpha!r} must be a number from 0 to {MAX_ALPHA:g}, or one per environment")
        self.alpha = factors.item() if factors.dim() == 0 else factors.clone()
        self.rule = mode if isinstance(mode, CarryRule) else get(mode)
        self.seed = whole("seed", seed, 0)

    @property
    def mode(self) -> str:
        """The carry rule's name."""
        return self.rule.name

    @property
    def plain_alpha(self) -> float | list[float]:
        """Alpha as a number, or a list of them."""
        return self.alpha.tolist() if isinstance(self.alpha, Tensor) else self.alpha

    def with_alpha(self, alpha: float | Tensor) -> "CRPI":
        """The same with another factor."""
        return CRPI(alpha, self.rule, self.seed)

    def check(self, environments: int) -> None:
        """Raises ConversionError if there are fewer alphas than environments."""
        if isinstance(self.alpha, Tensor) and len(self.alpha) < environments:
            raise ConversionError(f"alpha holds {len(self.alpha)} values for {environments} environments")

    def of(self, slots: np.ndarray) -> np.ndarray:
        """Alpha of each slot, float64; 0 for slots beyond those that have one."""
        if not isinstance(self.alpha, Tensor):
            return np.full(len(slots), self.alpha)
        return np.pad(self.alpha.numpy(), (0, max(0, slots.max(initial=-1) + 1 - len(self.alpha))))[slots]

    def __repr__(self) -> str:
        control = "" if self.rule.control is None else f", seed={self.seed}"
        return f"CRPI({self.plain_alpha}, {self.mode!r}{control})"


PLAIN = CRPI(0.0)  # plain conversion: what no CRPI comes to
