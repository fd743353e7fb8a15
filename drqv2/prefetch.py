"""Samples the next update's batch while the environment and the networks work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch


class Prefetcher:
    """Calls `sample(update)` one update ahead in a thread and moves batches to `device`.

    What comes out is what `sample` would return at once: a batch drawn ahead is thrown away when the buffer
    changes (`invalidate`), because the same update number must then draw from the new episodes too.
    """

    def __init__(self, sample: Callable[[int], dict[str, np.ndarray]], device: torch.device) -> None:
        self._sample = sample
        self._device = device
        self._pool = ThreadPoolExecutor(1, "replay")
        self._ahead: tuple[int, Future] | None = None

    def take(self, update: int) -> dict[str, torch.Tensor]:
        """The batch of `update`, on the device, by the names that `sample` gave."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == update:
            arrays = ahead[1].result()
        else:
            if ahead is not None:
                ahead[1].result()
            arrays = self._pool.submit(self._sample, update).result()
        self._ahead = (update + 1, self._pool.submit(self._sample, update + 1))
        return {name: self._move(array) for name, array in arrays.items()}

    def invalidate(self) -> None:
        """To be called before the buffer changes: waits for a batch in the making and forgets it."""
        if self._ahead is not None:
            self._ahead[1].result()
            self._ahead = None

    def close(self) -> None:
        """Ends the thread."""
        self._pool.shutdown(cancel_futures=True)

    def _move(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor
