"""Decoding images into host batches, here or in worker processes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sslang.data.decode import Skipped
from sslang.data.source import Source
from sslang.diagnostics import Diagnostic, DiagnosticError

RowsOfStep = Callable[[int], NDArray[np.int64]]

AHEAD = 2
_RESTARTS = 1


@dataclass(frozen=True)
class Loaded:
    """A decoded batch on the host: as `Batch`, before the move to the device.

    `skipped` names the files found unreadable on the way.
    """

    pixels: Tensor
    sizes: NDArray[np.int64]
    index: Tensor
    label: Tensor
    skipped: tuple[Skipped, ...]

    def pin_memory(self) -> Loaded:
        """Called by DataLoader's pinning thread."""
        return Loaded(
            self.pixels.pin_memory(),
            self.sizes,
            self.index.pin_memory(),
            self.label.pin_memory(),
            self.skipped,
        )


@dataclass(frozen=True)
class _Failure:
    """A diagnostic on its way out of a worker: DataLoader would turn the exception to text."""

    diagnostics: tuple[Diagnostic, ...]


def load_rows(source: Source, rows: NDArray[np.int64]) -> Loaded:
    """Images `rows` of `source`, padded with zeros at the bottom and right to one size.

    Where an image cannot be read, `index` and `label` are those of its replacement: the next
    that can be, whatever else is read here. No rows are a batch of none.
    """
    known = len(source.skipped)
    if len(rows) == 0:
        return _no_rows(source)
    read = [source.read_readable(int(row)) for row in rows]
    sizes = np.array([image.shape[:2] for image, _ in read], dtype=np.int64)
    height, width = sizes.max(axis=0)
    pixels = torch.zeros((len(read), 3, int(height), int(width)), dtype=torch.uint8)
    canvas = pixels.numpy()
    for row, (image, _) in enumerate(read):
        canvas[row, :, : image.shape[0], : image.shape[1]] = image.transpose(2, 0, 1)
    index = torch.tensor([i for _, i in read], dtype=torch.int64)
    label = torch.tensor([source.label(i) for _, i in read], dtype=torch.int64)
    return Loaded(pixels, sizes, index, label, tuple(source.skipped[known:]))


def _no_rows(source: Source) -> Loaded:
    height, width = source.resolution or (1, 1)
    none = torch.zeros(0, dtype=torch.int64)
    pixels = torch.zeros((0, 3, height, width), dtype=torch.uint8)
    return Loaded(pixels, np.zeros((0, 2), dtype=np.int64), none, none, ())


class Loader:
    """The host batches of steps `first_step`, `first_step + 1`, ... (up to `last_step`).

    With workers, whole batches are decoded in `workers` processes, at least `AHEAD` batches in
    advance. The batches are the same for any number of workers. When a worker dies, all are
    started anew from the current step, once; the second time raises E606.
    """

    def __init__(
        self,
        source: Source,
        rows: RowsOfStep,
        *,
        workers: int,
        pin: bool,
        first_step: int,
        last_step: int | None = None,
    ) -> None:
        self._source = source
        self._rows = rows
        self._workers = workers
        self._pin = pin
        self._step = first_step
        self._last_step = last_step
        self._deaths = 0
        self._results: Iterator[Loaded | _Failure] | None = None

    def __iter__(self) -> Iterator[Loaded]:
        return self

    def __next__(self) -> Loaded:
        if self._last_step is not None and self._step >= self._last_step:
            raise StopIteration
        loaded = self._from_worker() if self._workers else self._from_here()
        self._source.note_skipped(loaded.skipped)
        self._step += 1
        return loaded

    def close(self) -> None:
        """End the worker processes."""
        self._results = None

    def _from_here(self) -> Loaded:
        loaded = load_rows(self._source, self._rows(self._step))
        return loaded.pin_memory() if self._pin else loaded

    def _from_worker(self) -> Loaded:
        while True:
            if self._results is None:
                self._results = self._started()
            try:
                result = next(self._results)
            except (RuntimeError, ConnectionError, EOFError, FileNotFoundError) as error:
                if not _is_death(error):
                    raise
                self.close()
                self._deaths += 1
                if self._deaths > _RESTARTS:
                    raise DiagnosticError(_worker_died(self._step, str(error))) from error
                continue
            if isinstance(result, _Failure):
                raise DiagnosticError(*result.diagnostics)
            return result

    def _started(self) -> Iterator[Loaded | _Failure]:
        loader = DataLoader(
            _Decoding(self._source),
            batch_size=None,
            sampler=_Requests(self._rows, self._step, self._last_step),
            num_workers=self._workers,
            collate_fn=_unchanged,
            prefetch_factor=AHEAD,
            pin_memory=self._pin,
            worker_init_fn=_prepare_worker,
            generator=torch.Generator(),  # so that the global one is not advanced
        )
        handler = signal.getsignal(signal.SIGCHLD)
        results: Iterator[Loaded | _Failure] = iter(loader)
        if threading.current_thread() is threading.main_thread() and handler is not None:
            # DataLoader's own handler would raise in the middle of a training step; a dead
            # worker is noticed all the same when its batch is waited for.
            signal.signal(signal.SIGCHLD, handler)
        return results


class _Decoding(Dataset["Loaded | _Failure"]):
    """What runs in a worker: rows in, a decoded batch out."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __getitem__(self, rows: NDArray[np.int64]) -> Loaded | _Failure:
        try:
            return load_rows(self._source, rows)
        except DiagnosticError as error:
            return _Failure(error.diagnostics)


class _Requests:
    """The rows of each step from the first to the last, for DataLoader's sampler."""

    def __init__(self, rows: RowsOfStep, first_step: int, last_step: int | None) -> None:
        self._rows = rows
        self._first_step = first_step
        self._last_step = last_step

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        step = self._first_step
        while self._last_step is None or step < self._last_step:
            yield self._rows(step)
            step += 1


def _unchanged(item: Any) -> Any:
    return item


def _prepare_worker(_: int) -> None:
    """Ctrl-C is for the training process, which finishes its step; SIGTERM ends a worker even
    where the training process has a handler of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _is_death(error: Exception) -> bool:
    """Whether DataLoader's `error` tells of a dead worker, rather than of a fault in our code.

    Besides its own message these are the errors of reading from a pipe whose writer is gone.
    What was raised inside a living worker says so in its text.
    """
    text = str(error)
    if "in DataLoader worker process" in text:
        return False
    if isinstance(error, RuntimeError):
        return text.startswith("DataLoader worker (pid") or "in pin memory thread" in text
    return True


def _worker_died(step: int, reason: str) -> Diagnostic:
    return Diagnostic(
        code="E606",
        message=f"a process that decodes images died at step {step}, for the second time: "
        f"{reason.split(chr(10))[0]}",
        hint="most often memory ran out (in a container, that of /dev/shm): use fewer workers, "
        "or --workers 0",
    )
