"""Ctrl-C and SIGTERM finish the step and save; a second Ctrl-C ends at once.

Outside the steps, while features are evaluated or artifacts written, there is no step to
finish: the run ends where it is and goes on from its last checkpoint.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

AGAIN = 75  # the exit code that asks to be run again: EX_TEMPFAIL of sysexits.h
_INTERRUPTED = 130

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)


class Interrupted(BaseException):
    """A signal asked for the end while no step was running."""


class Stopping:
    """Within the `with` block, signals stop the run: in `steps`, after the step.

    `alone`: no other process waits for this one. With others a signal outside of the steps is
    noted as well, for only in the steps do all stop at one place; Ctrl-C reaches all.
    """

    def __init__(self, save_every: float, *, alone: bool = True) -> None:
        self.signal: int | None = None
        self._alone = alone
        self._save_every = save_every
        self._saved = time.monotonic()
        self._in_steps = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def steps(self) -> Iterator[None]:
        """Within the block a signal is noted, for `signal` to be looked at after each step."""
        self._in_steps = True
        try:
            yield
        finally:
            self._in_steps = False

    def _asked(self, number: int, frame: FrameType | None) -> None:
        again, self.signal = self.signal is not None, number
        if number == signal.SIGINT and (again or not self._in_steps):
            raise KeyboardInterrupt
        if self._alone and not self._in_steps and not again:
            raise Interrupted

    def save_due(self) -> bool:
        """Whether so many seconds have passed since the last save."""
        return time.monotonic() - self._saved >= self._save_every

    def saved(self) -> None:
        """The clock starts anew."""
        self._saved = time.monotonic()

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C; 75 (try again) where the system asked for an end."""
        return _INTERRUPTED if self.signal == signal.SIGINT else AGAIN
