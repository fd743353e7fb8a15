"""Which environment seed an episode gets.

Training, evaluation, calibration, α selection, reports and videos each draw from a stream of their own,
so that no number is ever reported on an episode that something was chosen or fitted on.
"""

from __future__ import annotations

from runtime.errors import UserError

STREAMS: tuple[str, ...] = ("train", "eval", "calibration", "selection", "report", "video")

_LIMIT = 2**32  # numpy's RandomState takes words of 32 bits


def episode_seed(stream: str, seed: int, episode: int) -> tuple[int, int, int]:
    """Seed tuple of episode number `episode` of run seed `seed` in `stream`, for `Environment.reset`.

    The triple holds its three arguments unchanged, so two different ones can't give the same seed.
    Raises ValueError for an unknown stream, UserError for a seed or episode outside 0 ... 2**32 - 1.
    """
    if stream not in STREAMS:
        raise ValueError(f"stream {stream!r}: choose one of {', '.join(STREAMS)}")
    for name, value in (("seed", seed), ("episode", episode)):
        if not 0 <= value < _LIMIT:
            raise UserError(f"{name}={value}: must be an integer from 0 to {_LIMIT - 1}")
    return STREAMS.index(stream), int(seed), int(episode)


def describe(words: tuple[int, ...] | None) -> str:
    """The episode of the seed tuple `words`, for people; None: an episode that was started without one."""
    if words is None:
        return "an episode without a seed of its own"
    if len(words) == 3 and words[0] < len(STREAMS):
        return f"episode {words[2]} of stream {STREAMS[words[0]]}, seed {words[1]}"
    return f"the episode of seed {tuple(words)}"
