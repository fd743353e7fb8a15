"""How a decision is cut into pieces that fit into memory."""

from dataclasses import dataclass

from snn.errors import ConversionError


@dataclass(frozen=True)
class Plan:
    """chunks: ranges of slots computed together; steps: simulation steps at a time; capacity: slots and padding."""

    chunks: list[tuple[int, int]]
    steps: int
    capacity: int


class Chunking:
    """Cuts a batch by `max_bytes` for a chunk's currents and spikes, and by `rows` if given."""

    def __init__(self, max_bytes: int, rows: int | None) -> None:
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
            raise ConversionError(f"max_batch_bytes={max_bytes!r} must be a whole number of bytes, at least 1")
        if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
            raise ConversionError(f"chunk_rows={rows!r} must be a whole number of at least 1, or None")
        self.max_bytes, self.rows = max_bytes, rows

    def plan(self, segments, timesteps: int, slots: int) -> Plan:
        """The cut for `slots` environments and T steps.

        Raises ConversionError if one step of one environment (or of `rows` of them) does not fit.
        """
        per_step = max((_bytes_per_step(segment) for segment in segments), default=1)
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
        return Plan([(lo, min(lo + rows, end)) for lo in range(0, end, rows)], steps, end)


def _bytes_per_step(segment) -> int:
    """Memory of one environment's step where it is largest: a layer's incoming spikes and the current they make.

    The first layer's current is the same at all steps and needs no memory per step; its spikes do.
    """
    most = spikes = 0
    for i, layer in enumerate(segment.layers):
        following = segment.layers[i + 1].synapse if i + 1 < len(segment.layers) else None
        # An event has its unit's number, two bytes, beside its value.
        sends = following.dtype.itemsize + 2 * following.event_driven if following is not None else 0
        current = layer.synapse.largest * layer.synapse.dtype.itemsize if i else layer.units * sends
        most = max(most, spikes + current)
        spikes = layer.units * sends
    return max(most, 1)
