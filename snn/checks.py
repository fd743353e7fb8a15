"""The one exception of the library, and checks of what callers give, which raise it with one line that names it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class ConversionError(ValueError):
    """A module, an option or a file that `snn` can't take; the message is one line that says what to do."""


PRECISIONS = (torch.float32, torch.float64)  # of membranes and thresholds


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """A whole number, numpy's too, from `least` on."""
    right = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not right or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ConversionError(f"{name}={value!r} must be a whole number {bounds}")
    return int(value)


def tensor(name: str, value: Any, device: torch.device | None = None) -> Tensor:
    """Numbers as a tensor."""
    try:
        return torch.as_tensor(value, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise ConversionError(f"{name} must be a tensor or an array of numbers, got {type(value).__name__}") from None


def mask(value: Any, slots: int) -> np.ndarray:
    """Booleans, one for each of `slots` environments; for any number of them if none has run yet."""
    checked = tensor("mask", value).cpu().numpy()
    if checked.dtype != bool or checked.ndim != 1 or (slots and len(checked) != slots):
        raise ConversionError(f"mask must be booleans, one for each of {slots} environments")
    return checked


def slots(value: Any, batch: int) -> np.ndarray:
    """The environment of each row of a batch, int64; None: row i is environment i."""
    if value is None:
        return np.arange(batch)
    numbers = tensor("slots", value).cpu().numpy()
    wrong = numbers.dtype.kind not in "iu" or numbers.shape != (batch,) or len(np.unique(numbers)) != batch
    if wrong or numbers.min() < 0:
        raise ConversionError(f"slots must be {batch} different whole numbers >= 0, one per row")
    return numbers.astype(np.int64)


def finite(name: str, exact: Tensor, dtype: torch.dtype) -> Tensor:
    """`exact` in `dtype`, which can hold its numbers."""
    values = exact.to(dtype)
    if not torch.isfinite(values).all():
        if not torch.isfinite(exact).all():
            raise ConversionError(f"{name}: values that are not finite")
        short = str(dtype).removeprefix("torch.")
        raise ConversionError(f"{name}: values up to {exact.abs().max():.2g}, which overflows {short}")
    return values


def thresholds(name: str, given: Any, dtype: torch.dtype | None = None) -> Tensor:
    """Thresholds of a layer, [channels] or [units], in `dtype` (None: their own, or float32)."""
    exact = tensor(name, given).detach()
    theta = finite(name, exact, dtype or (exact.dtype if exact.dtype in PRECISIONS else torch.float32))
    if theta.dim() != 1 or (theta < 0).any():
        raise ConversionError(f"{name} must be one finite number >= 0 per channel or unit")
    if (theta == 0).ne(exact == 0).any():
        raise ConversionError(f"{name}: numbers too small for {theta.dtype}; scale the weights")
    return theta


class Movable(nn.Module):
    """A module that `.to(...)` moves whole or not at all. Its tensors are buffers."""

    @torch.inference_mode(False)  # whose tensors don't say when they are changed
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Movable":
        try:
            moved = {}
            for name, exact in self.named_buffers():
                moved[id(exact)] = fn(exact)
                self._check_moved(name, exact, moved[id(exact)])
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ConversionError(f"{type(self).__name__} stays as it is: {str(error).splitlines()[0]}") from error
        super()._apply(lambda tensor: moved[id(tensor)], recurse)
        return self

    def _check_moved(self, name: str, exact: Tensor, moved: Tensor) -> None:
        """A buffer that would become `moved`."""
        if moved.dtype not in PRECISIONS:
            raise ConversionError(
                f"{moved.dtype} is no precision for membranes; for bfloat16 weights convert with dtype="
            )
        if moved.is_meta:
            raise ConversionError("a network without its numbers is none; stay off the meta device")
        (thresholds if name.endswith("theta") else finite)(f"'{name}'", exact, moved.dtype)
