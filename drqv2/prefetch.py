"""Samples the next update's batch while the environment and the networks work."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import torch

from snn.device import placed

# Tensors on the device, and the event of their arrival there (None: they are there).
_Batch = tuple[dict[str, torch.Tensor], torch.cuda.Event | None]


class Prefetcher:
    """Calls `sample(update)` one update ahead in a thread and moves batches to `device`.

    What comes out is what `sample` would return at once: a batch drawn ahead is thrown away when the buffer
    changes (`invalidate`), because the same update number must then draw from the new episodes too.
    """

    def __init__(self, sample: Callable[[int], dict[str, np.ndarray]], device: torch.device) -> None:
        self._sample = sample
        self._device = device
        # On a GPU the thread also brings the batch there, beside the update under way and not after it.
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._pool = ThreadPoolExecutor(1, "replay")
        self._ahead: dict[int, Future[_Batch]] = {}

    def take(self, update: int) -> dict[str, torch.Tensor]:
        """The batch of `update`, on the device, by the names that `sample` gave."""
        batch = self._ahead.pop(update, None) or self._pool.submit(self._draw, update)
        tensors, arrived = batch.result()
        self._ahead = {update + 1: self._pool.submit(self._draw, update + 1)}
        if arrived is not None:
            computing = torch.cuda.current_stream(self._device)
            computing.wait_event(arrived)  # the GPU waits, the host doesn't
            for tensor in tensors.values():
                tensor.record_stream(computing)  # its memory isn't given away while the update reads it
        return tensors

    def invalidate(self) -> None:
        """To be called before the buffer changes: waits for a batch in the making and forgets it."""
        wait(self._ahead.values())
        self._ahead.clear()

    def close(self) -> None:
        """Ends the thread."""
        self._pool.shutdown(cancel_futures=True)

    def _draw(self, update: int) -> _Batch:
        arrays = self._sample(update)
        if self._stream is None:
            return {name: torch.from_numpy(array) for name, array in arrays.items()}, None
        with torch.cuda.stream(self._stream):
            tensors = {name: placed(array, self._device) for name, array in arrays.items()}
            return tensors, self._stream.record_event()
