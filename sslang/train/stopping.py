"""Ctrl-C and SIGTERM finish the step and save; a second Ctrl-C ends at once."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)


class Stopping:
    """Within the `with` block, signals ask the loop to stop after its step."""

    def __init__(self, save_every: float) -> None:
        self.signal: int | None = None
        self._save_every = save_every
        self._saved = time.monotonic()
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

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def wanted(self) -> bool:
        return self.signal is not None

    def save_due(self) -> bool:
        """Whether so many seconds have passed since the last save; then the clock starts anew."""
        if time.monotonic() - self._saved < self._save_every:
            return False
        self._saved = time.monotonic()
        return True

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C; 75 (try again) where the system asked for an end."""
        return 130 if self.signal == signal.SIGINT else 75
