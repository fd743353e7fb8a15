"""Which environment seed an episode gets.

Training, evaluation, calibration, α selection, reports and videos each draw from a stream of their own,
so that no number is ever reported on an episode that something was chosen or fitted on.
"""

from runtime.errors import UserError

STREAMS: tuple[str, ...] = ("train", "eval", "calibration", "selection", "report", "video")


def episode_seed(stream: str, seed: int, episode: int) -> tuple[int, int, int]:
    """Seed tuple of episode number `episode` of run seed `seed` in `stream`, for `Environment.reset`.

    The triple holds its three arguments unchanged, so two different ones can't give the same seed.
    Raises ValueError for an unknown stream, UserError for a seed or episode outside 0 ... 2**32 - 1.
    """
    check("seed", seed)
    check("episode", episode)
    return STREAMS.index(stream), int(seed), int(episode)


def check(name: str, value: int) -> None:
    """Raises UserError for what numpy's RandomState, whose words have 32 bits, can't take."""
    if not 0 <= value < 2**32:
        raise UserError(f"{name}={value}: must be an integer from 0 to {2**32 - 1}")


def describe(seed: tuple[int, int, int] | None) -> str:
    """The episode of a seed tuple, for people; None: an episode that was started without one."""
    if seed is None:
        return "an episode without a seed of its own"
    return f"episode {seed[2]} of stream {STREAMS[seed[0]]}, seed {seed[1]}"
