"""Batches of images on the device, ready before they are asked for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslang.data.loading import AHEAD, Loaded, Loader
from sslang.data.plan import LastBatch, Plan
from sslang.data.source import Source

RESIDENT_BYTES = 4 * 2**30

# Rows of the whole -> (start, stop) of those that this process has.
Share = Callable[[int], tuple[int, int]]


@dataclass(frozen=True)
class Batch:
    """B images. Where their sizes differ, each lies at the top left, zeros beside and below.

    `pixels` uint8 [B, 3, H, W] on the device; `sizes` int64 [B, 2], the (height, width) of each
    image, on the host; `index` int64 [B], which images of the source these are, and `label`
    int64 [B], -1 where unknown, both on the device; `epoch` counts from 0. `first` is the place
    of the first of them in the global batch, which has `rows` rows.
    """

    pixels: Tensor
    sizes: NDArray[np.int64]
    index: Tensor
    label: Tensor
    epoch: int
    first: int = 0
    rows: int = -1

    def __post_init__(self) -> None:
        if self.rows < 0:  # a batch that is the whole
            object.__setattr__(self, "rows", len(self.index))


class Batches:
    """The batches of steps `first_step`, `first_step + 1`, ..., without end.

    Step t is a pure function of (seed, phase, t) and of the source, whatever `first_step` and
    `workers` are. A source whose images sit in memory and take at most `RESIDENT_BYTES` moves
    to the device as one tensor; any other is decoded by `workers` processes (0: here) and moved
    to the device ahead of its use.

    `share` says which rows of a batch of so many are this process's own; only they are read.
    None is all of them. `wait_seconds` is the time spent in `next` so far, `step` the step that
    comes next.

    Raises E602 (fewer images than one batch), and from `next` E605 (too many unreadable images)
    and E606 (worker processes die).
    """

    def __init__(
        self,
        source: Source,
        batch: int,
        *,
        last_batch: LastBatch,
        seed: int,
        phase: str,
        device: torch.device | str,
        workers: int,
        first_step: int = 0,
        share: Share | None = None,
    ) -> None:
        plan = Plan(len(source), batch, last_batch, seed=seed, phase=phase)
        self.steps_per_epoch = plan.steps_per_epoch
        self.step = first_step
        self.wait_seconds = 0.0
        own = _Own(plan, share or _all)
        self._feed = _feed(source, own, torch.device(device), workers, first_step, None)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        start = time.perf_counter()
        batch = next(self._feed)
        self.step += 1
        self.wait_seconds += time.perf_counter() - start
        return batch

    def close(self) -> None:
        """End the worker processes and let go of the images on the device."""
        self._feed.close()

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def all_images(
    source: Source,
    batch: int,
    device: torch.device | str,
    workers: int = 0,
    share: Share | None = None,
) -> Iterator[Batch]:
    """All images of `source` in their order, once, for evaluation; the last batch may be smaller.

    `share` says which of so many images are this process's own, a run of them; None is all.
    No images give no batch. `first` and `rows` of a batch count within the source.
    """
    start, stop = (share or _all)(len(source))
    if start == stop:
        return
    plan = _InOrder(start, stop, batch, len(source))
    feed = _feed(source, plan, torch.device(device), workers, 0, plan.steps)
    try:
        yield from feed
    finally:
        feed.close()


def _all(rows: int) -> tuple[int, int]:
    return 0, rows


@dataclass(frozen=True)
class _Part:
    """The rows of a step that are read here, and their place among all `rows` of it."""

    index: NDArray[np.int64]
    epoch: int
    first: int
    rows: int


class _Own:
    """The plan of a run, of whose batches one process has a share."""

    def __init__(self, plan: Plan, share: Share) -> None:
        self._plan, self._share = plan, share

    def part(self, step: int) -> _Part:
        index = self._plan.rows(step)
        start, stop = self._share(len(index))
        assert 0 <= start <= stop <= len(index), f"{start}..{stop} of {len(index)} rows"
        return _Part(index[start:stop], self._plan.epoch(step), start, len(index))


class _InOrder:
    """The plan of one pass in order over the images start..stop of `images`."""

    def __init__(self, start: int, stop: int, batch: int, images: int) -> None:
        self._start, self._stop = start, stop
        self._batch, self._images = batch, images
        self.steps = -(-(stop - start) // batch)

    def part(self, step: int) -> _Part:
        first = self._start + step * self._batch
        index = np.arange(first, min(first + self._batch, self._stop), dtype=np.int64)
        return _Part(index, 0, first, self._images)


def _feed(
    source: Source,
    plan: _Own | _InOrder,
    device: torch.device,
    workers: int,
    first_step: int,
    last_step: int | None,
) -> _Resident | _Moving:
    array = source.array()
    if array is not None and array.nbytes <= RESIDENT_BYTES:
        return _Resident(source, array, plan, device, first_step, last_step)
    loader = Loader(
        source,
        lambda step: plan.part(step).index,
        workers=workers,
        pin=device.type == "cuda",
        first_step=first_step,
        last_step=last_step,
    )
    return _Moving(loader, plan, device, first_step)


class _Resident:
    """Batches gathered from one tensor [N, H, W, 3] on the device."""

    def __init__(
        self,
        source: Source,
        array: NDArray[np.uint8],
        plan: _Own | _InOrder,
        device: torch.device,
        first_step: int,
        last_step: int | None,
    ) -> None:
        self._images = torch.from_numpy(np.require(array, requirements=("C", "W"))).to(device)
        labels = [source.label(i) for i in range(len(source))]
        self._labels = torch.tensor(labels, dtype=torch.int64, device=device)
        self._plan = plan
        self._step = first_step
        self._last_step = last_step

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._last_step is not None and self._step >= self._last_step:
            raise StopIteration
        part = self._plan.part(self._step)
        index = torch.from_numpy(part.index.copy()).to(self._images.device)
        images = self._images.index_select(0, index)
        pixels = images.permute(0, 3, 1, 2).contiguous()
        sizes = np.broadcast_to(np.array(images.shape[1:3], dtype=np.int64), (len(index), 2))
        labels = self._labels.index_select(0, index)
        self._step += 1
        return Batch(pixels, sizes, index, labels, part.epoch, part.first, part.rows)

    def close(self) -> None:
        self._images = self._images[:0]


class _Moving:
    """Batches from a `Loader`, on CUDA `AHEAD` of them already under way to the device."""

    def __init__(
        self, loader: Loader, plan: _Own | _InOrder, device: torch.device, first_step: int
    ) -> None:
        self._loader = loader
        self._plan = plan
        self._device = device
        self._loading_step = first_step
        self._ready: deque[tuple[Batch, torch.cuda.Event | None]] = deque()
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._ahead = AHEAD if self._stream is not None else 0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        while len(self._ready) <= self._ahead:
            loaded = next(self._loader, None)
            if loaded is None:
                break
            self._ready.append(self._moved(loaded))
        if not self._ready:
            raise StopIteration
        batch, copied = self._ready.popleft()
        if copied is not None:
            current = torch.cuda.current_stream(self._device)
            current.wait_event(copied)
            for tensor in (batch.pixels, batch.index, batch.label):
                tensor.record_stream(current)
        return batch

    def close(self) -> None:
        self._loader.close()
        self._ready.clear()

    def _moved(self, loaded: Loaded) -> tuple[Batch, torch.cuda.Event | None]:
        part = self._plan.part(self._loading_step)
        self._loading_step += 1
        if self._stream is None:
            return self._on_device(loaded, part), None
        with torch.cuda.stream(self._stream):
            batch = self._on_device(loaded, part)
            return batch, self._stream.record_event()

    def _on_device(self, loaded: Loaded, part: _Part) -> Batch:
        return Batch(
            loaded.pixels.to(self._device, non_blocking=True),
            loaded.sizes,
            loaded.index.to(self._device, non_blocking=True),
            loaded.label.to(self._device, non_blocking=True),
            part.epoch,
            part.first,
            part.rows,
        )
