"""Which images make up the batch of a step, as a pure function of (seed, phase, step)."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.emit import draws

LastBatch = Literal["drop", "keep", "wrap"]


class Plan:
    """The rows of every step: each epoch is a new permutation of all images, cut into batches.

    `last_batch` says what becomes of the images left over at the end of an epoch: "drop" leaves
    them out, "keep" makes a smaller batch, "wrap" fills it up from the next epoch's order.

    Raises E602 where not one batch can be made.
    """

    def __init__(
        self, images: int, batch: int, last_batch: LastBatch, *, seed: int, phase: str
    ) -> None:
        assert batch >= 1
        assert last_batch in ("drop", "keep", "wrap")
        if images == 0 or (last_batch == "drop" and images < batch):
            raise DiagnosticError(_too_few(images, batch))
        self.images = images
        self.batch = batch
        self.last_batch = last_batch
        self.steps_per_epoch = images // batch if last_batch == "drop" else -(-images // batch)
        self._key = draws.stream_key(seed, phase, "order")
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def epoch(self, step: int) -> int:
        """The epoch that step `step` belongs to, from 0."""
        return step // self.steps_per_epoch

    def rows(self, step: int) -> NDArray[np.int64]:
        """The indices of the images of step `step`, in order."""
        epoch = self.epoch(step)
        start = (step % self.steps_per_epoch) * self.batch
        rows = self._order(epoch)[start : start + self.batch]
        if self.last_batch != "wrap":
            return rows
        while len(rows) < self.batch:
            epoch += 1
            rows = np.concatenate([rows, self._order(epoch)[: self.batch - len(rows)]])
        return rows

    def _draw_order(self, epoch: int) -> NDArray[np.int64]:
        return draws.permutation(self._key, epoch, self.images)


def _too_few(images: int, batch: int) -> Diagnostic:
    if images == 0:
        return Diagnostic(code="E602", message="the data set has no images")
    return Diagnostic(
        code="E602",
        message=f"the data set has {images} images, fewer than one batch of {batch}",
        hint=f'write batch = {images} or less, or last_batch = "wrap"',
    )
