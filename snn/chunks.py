"""How a decision is cut into pieces that fit into memory."""

from dataclasses import dataclass

from snn.errors import ConversionError
from snn.layer import Program


@dataclass(frozen=True)
class Chunks:
    """ranges: of slots computed together; steps: simulation steps at a time; capacity: slots and padding."""

    ranges: list[tuple[int, int]]
    steps: int
    capacity: int


def cut(program: Program, timesteps: int, slots: int, max_bytes: int, rows: int | None) -> Chunks:
    """The cut of `slots` environments and T steps by `max_bytes` for a chunk's currents and spikes, and by `rows` if
    given. Raises ConversionError if one step of one environment (or of `rows` of them) does not fit."""
    per_step = program.bytes_per_step
    fitting = max_bytes // per_step  # environment-steps
    together = rows or max(1, min(slots, fitting // timesteps))
    if fitting < together:
        raise ConversionError(
            f"max_batch_bytes={max_bytes} is less than the {per_step * together} bytes that one simulation step "
            f"of {together} environment(s) takes"
        )
    if rows is None and slots > together:  # chunks of equal size
        together = -(-slots // -(-slots // together))
    steps = min(timesteps, fitting // together)
    end = slots if rows is None else -(-slots // rows) * rows
    return Chunks([(lo, min(lo + together, end)) for lo in range(0, end, together)], steps, end)
