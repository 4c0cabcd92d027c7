"""Whether losses are numbers, without making a GPU wait for the host."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class LossWatch:
    """Looks at every loss: on the CPU at once, on CUDA when the next step has been launched."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, Tensor, torch.cuda.Event | None]] = []
        self._bad = 0

    def note(self, step: int, loss: Tensor) -> None:
        """The loss of `step`, counted from 0."""
        copied = loss.detach().to("cpu", non_blocking=True)
        event = None
        if loss.is_cuda:
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(loss.device))
        self._pending.append((step, copied, event))

    def bad(self, *, wait: bool) -> int:
        """One more than the first step whose loss is no number; 0 where there is none.

        Without `wait` the last loss of a GPU is left for the next call.
        """
        ready = self._pending
        if not wait and ready and ready[-1][2] is not None:
            ready = ready[:-1]
        for step, loss, event in ready:
            if event is not None:
                event.synchronize()
            if not self._bad and not math.isfinite(float(loss)):
                self._bad = step + 1
        del self._pending[: len(ready)]
        return self._bad
