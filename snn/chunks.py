"""How a decision is cut into pieces that fit into memory."""

from dataclasses import dataclass

import numpy as np

from snn.errors import ConversionError
from snn.layer import Program


@dataclass(frozen=True)
class Chunks:
    """ranges: of slots computed together; steps: simulation steps at a time; capacity: slots and padding."""

    ranges: list[tuple[int, int]]
    steps: int
    capacity: int


class Chunking:
    """Cuts a batch by `max_bytes` for a chunk's currents and spikes, and by `rows` if given."""

    def __init__(self, max_bytes: int, rows: int | None) -> None:
        if not _whole(max_bytes):
            raise ConversionError(f"max_batch_bytes={max_bytes!r} must be a whole number of bytes, at least 1")
        if rows is not None and not _whole(rows):
            raise ConversionError(f"chunk_rows={rows!r} must be a whole number of at least 1, or None")
        self.max_bytes, self.rows = int(max_bytes), None if rows is None else int(rows)

    def cut(self, program: Program, timesteps: int, slots: int) -> Chunks:
        """The cut for `slots` environments and T steps.

        Raises ConversionError if one step of one environment (or of `rows` of them) does not fit.
        """
        per_step = program.bytes_per_step
        fitting = self.max_bytes // per_step  # environment-steps
        rows = self.rows or max(1, min(slots, fitting // timesteps))
        if fitting < rows:
            raise ConversionError(
                f"max_batch_bytes={self.max_bytes} is less than the {per_step * rows} bytes that one simulation step "
                f"of {rows} environment(s) takes"
            )
        if self.rows is None and slots > rows:  # chunks of equal size
            rows = -(-slots // -(-slots // rows))
        steps = min(timesteps, fitting // rows)
        end = slots if self.rows is None else -(-slots // rows) * rows
        return Chunks([(lo, min(lo + rows, end)) for lo in range(0, end, rows)], steps, end)


def _whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 1
