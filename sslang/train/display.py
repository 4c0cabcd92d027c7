"""Progress for whoever watches: a bar on a terminal, a line a minute elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from sslang.diagnostics import Diagnostic, DiagnosticError

_EVERY_SECONDS = 60.0


class Quiet:
    """Shows nothing."""

    def advance(self, step: int, total: int, metrics: Mapping[str, float]) -> None: ...

    def say(self, text: str) -> None: ...

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None: ...


class Lines(Quiet):
    """A line a minute; `-v` makes it every line of the log."""

    def __init__(self, stream: TextIO, *, every: float = _EVERY_SECONDS) -> None:
        self._stream = stream
        self._every = every
        self._began: tuple[float, int] | None = None
        self._last = -every

    def advance(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        now = time.monotonic()
        if self._began is None:
            self._began = (now, step)
        if now - self._last < self._every and step < total:
            return
        self._last = now
        print(f"step {step}/{total}  {summary(metrics)}  {self._left(now, step, total)}",
              file=self._stream, flush=True)  # fmt: skip

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def _left(self, now: float, step: int, total: int) -> str:
        assert self._began is not None
        began, first = self._began
        if step <= first:
            return ""
        return f"{_time((now - began) / (step - first) * (total - step))} left"


class Logged(Quiet):
    """Shows what another display shows, and appends every line to the run's log.

    Raises DiagnosticError E716 where the disk does not take one.
    """

    def __init__(self, inner: Quiet, path: Path) -> None:
        self._inner = inner
        self._path = path
        self._file = path.open("ab", buffering=0)  # nothing is left to be written on closing

    def advance(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        self._write(f"step {step}/{total}  {summary(metrics)}")
        self._inner.advance(step, total, metrics)

    def say(self, text: str) -> None:
        self._inner.say(text)
        self._write(text)

    def _write(self, text: str) -> None:
        rest = f"{_now()}  {text}\n".encode("utf-8", "backslashreplace")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            message = f"{self._path} cannot be written: {error.strerror}"
            hint = "make room on the disk, then go on with --resume"
            raise DiagnosticError(Diagnostic("E716", message, hint=hint)) from error

    def __enter__(self) -> Logged:
        self._inner.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._inner.__exit__()
        self._file.close()


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


class Bar(Quiet):
    """A bar with loss, speed, time left and health."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            BarColumn(),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task: Any = None

    def advance(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        if self._task is None:
            self._task = self._progress.add_task("", total=total, metrics="")
        self._progress.update(self._task, completed=step, metrics=summary(metrics))

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def display(log: Path, *, quiet: bool, verbose: bool) -> Quiet:
    """What fits the place that standard error goes to; all of it goes into `log` as well."""
    shown = Quiet()
    if not quiet and verbose:
        shown = Lines(sys.stderr, every=0.0)
    elif not quiet:
        shown = Bar() if sys.stderr.isatty() else Lines(sys.stderr)
    return Logged(shown, log)


def summary(metrics: Mapping[str, float]) -> str:
    """Loss, health and speed on one line."""
    parts = [f"loss {metrics['train/loss']:.4f}"]
    if "health/embedding_std" in metrics:
        parts.append(f"std {metrics['health/embedding_std']:.2f}")
        parts.append(f"rank {metrics['health/effective_rank']:.1f}")
    parts.append(f"{metrics['time/images_per_second']:.0f} images/s")
    return "  ".join(parts)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
