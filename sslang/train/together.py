"""What one process finds, and all have to know: errors, results, images that cannot be read.

A process that raised alone would leave the others waiting in their next collective. So whatever
one can fail at alone is followed by an agreement, and all end together.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.processes.group import Processes

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}

T = TypeVar("T")


def at_all(processes: Processes, work: Callable[[], T]) -> T:
    """`work`, done by each process, which sends nothing; where it fails at one, all raise."""
    found, error = attempt(work)
    (failed,) = processes.largest(0 if error is None else 1 + processes.rank)
    if error is not None:
        raise error
    if failed:
        raise ended_elsewhere(failed - 1, processes.count)
    assert found is not None
    return found[0]


def attempt(work: Callable[[], T]) -> tuple[tuple[T] | None, DiagnosticError | None]:
    """What `work` gives, or the diagnostics with which it failed."""
    try:
        with naming_disk():
            return (work(),), None
    except DiagnosticError as error:
        return None, error


def at_first(processes: Processes, work: Callable[[], T]) -> T:
    """`work`, done by the first process; all have its result, a plain value, or its error."""
    if processes.alone:
        return work()
    found: tuple[T] | None = None
    error: DiagnosticError | None = None
    if processes.is_first:
        found, error = attempt(work)
    sent = (found, None if error is None else error.diagnostics)
    found, diagnostics = processes.from_first(sent)
    if error is not None:
        raise error
    if diagnostics is not None:
        raise ended_elsewhere(0, processes.count)
    assert found is not None
    return found[0]


def texts(processes: Processes, own: Sequence[str], device: torch.device) -> list[str]:
    """The `own` texts of all processes, in their order. Texts hold no NUL."""
    if processes.alone:
        return list(own)
    data = "\0".join(own).encode("utf-8", "surrogateescape")
    length = torch.tensor([len(data)], device=device)
    lengths = processes.gather(length, [1] * processes.count).tolist()
    if not max(lengths):
        return []
    rows = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else _no_bytes()
    joined = bytes(processes.gather(rows.to(device), lengths).cpu().tolist())
    found: list[str] = []
    start = 0
    for size in lengths:
        part = joined[start : start + size].decode("utf-8", "surrogateescape")
        found += part.split("\0") if size else []
        start += size
    return found


@contextmanager
def naming_disk() -> Iterator[None]:
    """What a disk that is full or broken refuses becomes E716."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        message = f"{error.filename or 'a file of the run'} cannot be written: {error.strerror}"
        hint = "make room on the disk, then go on with --resume"
        raise DiagnosticError(Diagnostic("E716", message, hint=hint)) from error


@contextmanager
def naming_faults(processes: Processes) -> Iterator[None]:
    """As `naming_disk`; a collective that another process has left for good becomes E721."""
    try:
        with naming_disk():
            yield
    except RuntimeError as error:
        lost = isinstance(error, dist.DistError) or "gloo" in str(error)
        if processes.alone or not lost:
            raise
        message = f"another of the {processes.count} processes has gone"
        hint = "what ended it is in its own messages; go on with --resume"
        raise DiagnosticError(Diagnostic("E721", message, hint=hint)) from error


def _no_bytes() -> Tensor:
    return torch.zeros(0, dtype=torch.uint8)


def ended_elsewhere(rank: int, count: int) -> DiagnosticError:
    """What the other processes raise: E721."""
    message = f"process {rank} of {count} ended with an error, and this one with it"
    return DiagnosticError(
        Diagnostic("E721", message, hint="it reports the error itself; nothing was lost here")
    )
