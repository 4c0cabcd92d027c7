"""The file `metrics.jsonl`: one object a line, appended and flushed at once.

A line is ``{"step": 12, "time": 1764000000.125, "train/loss": 3.2}``: the step, seconds
since 1970, and the metrics by name. JSON has no infinity and no NaN; they are written as the
strings "Infinity", "-Infinity" and "NaN", which `read_rows` turns back into numbers.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.track.files import write_atomic

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class Row:
    """One line: the metrics that were logged together at `step`, `time` in seconds."""

    step: int
    time: float
    metrics: Mapping[str, float]


class MetricsWriter:
    """Appends lines to a metrics file; half a last line, left by a kill -9, is cut off first."""

    def __init__(self, path: Path) -> None:
        _cut_half_line(path)
        self._path = path
        self._file = path.open("ab", buffering=0)

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write one line and hand it to the operating system.

        Raises DiagnosticError E716 where the disk does not take it, all of it or none.
        """
        assert not metrics.keys() & {"step", "time"}, "step and time are not names of metrics"
        values = {name: _encode(float(value)) for name, value in metrics.items()}
        line = json.dumps({"step": step, "time": round(time.time(), 3), **values}) + "\n"
        begin, rest = self._file.tell(), line.encode()
        try:
            while rest:  # a disk that is filling up takes a part before it refuses
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(begin)
            raise DiagnosticError(
                Diagnostic(
                    code="E716",
                    message=f"{self._path} cannot be written: {error.strerror}",
                    hint="make room on the disk, then go on with --resume",
                )
            ) from error

    def close(self) -> None:
        self._file.close()


def read_rows(path: Path, offset: int = 0) -> tuple[list[Row], int]:
    """The complete lines from byte `offset` on, and the offset behind them.

    Half a last line is left for the next call. A missing file has no lines. Raises
    DiagnosticError E715 where a complete line is not a line of metrics.
    """
    if not path.exists():
        return [], 0
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    complete = data[: data.rfind(b"\n") + 1]
    return [_parse(line, path) for line in complete.splitlines()], offset + len(complete)


def truncate(path: Path, step: int) -> int:
    """Drop the lines after `step`, and half a last line; the number of lines that stay."""
    if not path.exists():
        return 0
    data = path.read_bytes()
    lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
    kept = [line for line in lines if _parse(line, path).step <= step]
    write_atomic(path, b"".join(kept))
    return len(kept)


def _encode(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _parse(line: bytes, path: Path) -> Row:
    try:
        fields = json.loads(line)
        step, written = int(fields.pop("step")), float(fields.pop("time"))
        metrics = {
            name: _NOT_FINITE[value] if isinstance(value, str) else float(value)
            for name, value in fields.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DiagnosticError(
            Diagnostic(
                code="E715",
                message=f"{path} holds a line that is not one of metrics: {line[:60]!r}",
                hint="remove the line, or take the file from a copy of the run",
            )
        ) from error
    return Row(step, written, metrics)


def _cut_half_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        data = file.read()
        file.truncate(data.rfind(b"\n") + 1)
