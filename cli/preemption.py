"""A scheduler's signals: SIGTERM, and the one by which submitit's jobs learn that they are preempted or out of time."""

import os
import signal
from contextlib import suppress
from types import FrameType


class Preemption:
    """Once this exists, a signal asks the training run to end in order, and ends it after `grace_seconds`.

    submitit's own handler, which queues the job again, runs once the run has written its snapshot (or time is up).
    """

    def __init__(self, grace_seconds: int) -> None:
        self._grace, self._signal = grace_seconds, 0
        # As submitit does: its handler stands behind this signal only in its jobs.
        self._warning = getattr(signal, "SIG" + os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2"))
        self._submitit = signal.getsignal(self._warning)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # hours of training don't end with the terminal
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGALRM, self._end)
        if callable(self._submitit):
            signal.signal(self._warning, self._ask)

    def asked(self) -> bool:
        """Whether a signal has come."""
        return bool(self._signal)

    def carry_out(self) -> None:
        """Ends the program as the signal asks. Raises KeyboardInterrupt(SIGTERM), or what submitit's handler raises."""
        signal.alarm(0)
        self._end(self._signal, None)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        again, self._signal = self.asked(), number
        if again or self._grace == 0:
            self._end(number, frame)
        signal.alarm(self._grace)
        line = f"{signal.Signals(number).name}: ending with this episode, in {self._grace} s at most\n"
        with suppress(OSError):  # a closed terminal
            os.write(2, line.encode())  # not by print, which the signal may have interrupted

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self._signal == self._warning and callable(self._submitit):
            self._submitit(self._signal, frame)
        # Not by way of SIGINT, which shells make background jobs ignore.
        raise KeyboardInterrupt(signal.SIGTERM)
