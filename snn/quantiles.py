"""Quantiles of long streams of non-negative numbers in bounded memory."""

import torch
from torch import Tensor

_PER_OCTAVE = 128  # bins per factor of 2: 0.8 % wide at most, so their middle is within 0.4 %
_OCTAVES = 32  # below the largest value; smaller ones count as 0
_BINS = _PER_OCTAVE * _OCTAVES


class Quantiles:
    """Counts per row in bins of the float's leading bits; the range follows the largest value of all rows."""

    def __init__(self, rows: int, device: torch.device | None = None) -> None:
        # Bin 0: zeros, and what is below the range.
        self._counts = torch.zeros(rows, 1 + _BINS, dtype=torch.int64, device=device)
        self._top = 0  # index of the octave above the range
        self._seen = 0

    def add(self, values: Tensor) -> None:
        """Count values [rows, n], all >= 0 and finite."""
        # Sign, exponent and the first 7 bits of the mantissa: equal steps in a float's bits are nearly equal ratios.
        code = values.float().contiguous().view(torch.int32) >> 16
        top = int(code.max()) // _PER_OCTAVE + 1
        if top > self._top:
            self._raise(top)
        bins = (code - (self._top * _PER_OCTAVE - _BINS) + 1).clamp_min(0)
        bins = torch.where(code == 0, torch.zeros_like(bins), bins).long()
        bins += (1 + _BINS) * torch.arange(len(bins), device=values.device)[:, None]
        self._counts += torch.bincount(bins.flatten(), minlength=self._counts.numel()).view_as(self._counts)
        self._seen += values.shape[1]

    def _raise(self, top: int) -> None:
        shift = min((top - self._top) * _PER_OCTAVE, _BINS)
        lost, kept = self._counts[:, : 1 + shift], self._counts[:, 1 + shift :]
        self._counts = torch.cat([lost.sum(1, keepdim=True), kept, kept.new_zeros(len(kept), shift)], 1)
        self._top = top

    def estimate(self, q: float) -> Tensor:
        """The q-quantile (0..1) of each row, [rows], linear between neighbours like numpy's; float32."""
        position = q * (self._seen - 1)
        low = int(position)
        below, above = self._ranked(low), self._ranked(min(low + 1, self._seen - 1))
        return below + (position - low) * (above - below)

    def _ranked(self, rank: int) -> Tensor:
        index = (self._counts.cumsum(1) > rank).int().argmax(1)
        code = index - 1 + (self._top * _PER_OCTAVE - _BINS)
        middle = ((code << 16) + (1 << 15)).clamp_min(0).to(torch.int32).view(torch.float32)
        return torch.where(index == 0, torch.zeros_like(middle), middle)
