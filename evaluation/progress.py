"""How far a sweep is: an estimate before a long one, then one bar with episodes done, decisions a second, time left."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable

from tqdm import tqdm

# The first rounds compile kernels and warm caches; they would make every estimate look grim.
_WARM_UP, _MEASURED = 3, 10
_LONG = 60.0  # seconds from which on a sweep counts as long


class Progress(contextlib.AbstractContextManager):
    """One bar for all phases of a run. `say` gets the line with the estimate. A context manager: it ends the bar."""

    def __init__(self, say: Callable[[str], None] = tqdm.write):
        self._say = say
        self._episodes = self._done = self._over = self._limit = self._rounds = 0
        self._measured_from: tuple[float, float] = (0.0, 0)  # time, and decisions till then
        self._bar = bar(0)

    def plan(self, episodes: int, decisions: int) -> None:
        """From here on `episodes` more, of `decisions` decisions each at most."""
        self._episodes, self._limit = self._done + episodes, decisions
        self._show()

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, decisions: int) -> None:
        """One round of `decisions` decisions (one per busy environment) is done."""
        self._bar.update(decisions)
        self._rounds += 1
        if self._rounds == _WARM_UP:
            self._measured_from = (time.monotonic(), self._bar.n)
        elif self._rounds == _WARM_UP + _MEASURED:
            self._estimate()

    def finish(self, decisions: int) -> None:
        """One episode, of `decisions` decisions, is done."""
        self._done += 1
        self._over += decisions
        self._show()

    def _show(self) -> None:
        # Decisions per episode as far as is known: those that still run count too, else the short ones, which are the
        # first to end, would speak for all.
        length = min(self._limit, self._bar.n / self._done) if self._done else self._limit
        self._bar.total = round(max(self._bar.n, self._over + (self._episodes - self._done) * length))
        self._bar.set_description_str(f"episodes {self._done}/{self._episodes}", refresh=False)

    def _estimate(self) -> None:
        since, before = self._measured_from
        rate = (self._bar.n - before) / max(time.monotonic() - since, 1e-9)
        total = self._bar.total or 0
        left = (total - self._bar.n) / rate
        if left >= _LONG:
            self._say(
                f"{self._episodes} episodes to go, up to {total:,} decisions at {rate:.0f} a second: about "
                f"{readable(left)}. Finished episodes are kept; run the same command again to resume."
            )


def bar(decisions: int, description: str | None = None) -> tqdm:
    """A bar over `decisions`, gone when it is closed; only on a terminal, and not before there is something to show."""
    file = sys.stderr if sys.stderr.isatty() else io.StringIO()
    return tqdm(total=decisions, desc=description, unit="decision", mininterval=0.5, leave=False, delay=0.5, file=file)


def readable(seconds: float) -> str:
    """A duration for people: "45 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def counted(number: int, thing: str) -> str:
    """ "1 job", "2 jobs"."""
    return f"{number:,} {thing}{'s' * (number != 1)}"
