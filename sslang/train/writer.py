"""Checkpoints written beside the training: the loop waits for a copy of its state, no more.

`save` copies all tensors to the host; hashing, writing, `fsync` and the renames
(`sslang.train.checkpoint`) are a thread's work. What goes wrong there is raised by the next
call of `check`, `wait` or `save`.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sslang.processes.shards import Piece
from sslang.train import checkpoint
from sslang.train.leaves import tensors_in


class CheckpointWriter:
    """Writes the checkpoints of `folder`, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[Path] | None = None
        self._host = HostCopy()

    @property
    def busy(self) -> bool:
        """Whether the last checkpoint is still being written."""
        return self._writing is not None and not self._writing.done()

    def save(
        self, step: int, payload: Mapping[str, Any], part: checkpoint.Part = checkpoint.ALL
    ) -> None:
        """Take `payload` as it is now; written when `wait` returns. Raises as `check`."""
        self.wait()
        copied: dict[str, Any] = self._host.of(dict(payload))
        write = partial(checkpoint.save, self._folder, step, copied, part=part)
        self._writing = self._thread.submit(write)

    def check(self) -> None:
        """Raise what the last save failed with, DiagnosticError E713 for one, if it has ended."""
        if not self.busy:
            self.wait()

    def wait(self) -> None:
        """Back when the last checkpoint is on the disk, under its name. Raises as `check`."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Let a save that is under way end, well or badly; the thread ends with it."""
        self._thread.shutdown(wait=True)


class HostCopy:
    """Copies plain values and tensors to memory of the host, which the next copy takes again.

    Memory that the process has had before is written at the speed of the bus; new memory comes
    from the system page by page.
    """

    def __init__(self) -> None:
        self._kept: dict[_Place, Tensor] = {}
        self._now: dict[_Place, Tensor] = {}

    def of(self, value: Any) -> Any:
        """`value` as it is now, its tensors on the CPU; valid until the next call.

        Tensors that are one and the same stay so: they are saved once.
        """
        self._now = {}
        copied = self._copied(value)
        if any(tensor.is_cuda for tensor in tensors_in(value)):
            torch.cuda.synchronize()
        self._kept = self._now
        return copied

    def _copied(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._tensor(value.detach())
        if isinstance(value, Piece):
            return replace(value, tensor=self._tensor(value.tensor.detach()))
        if isinstance(value, dict):
            return {key: self._copied(item) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self._copied(item) for item in value)
        return value

    def _tensor(self, value: Tensor) -> Tensor:
        if value.numel() == 0:
            return value.to("cpu", copy=True)
        shape, strides = tuple(value.shape), value.stride()
        place = (str(value.device), value.data_ptr(), value.dtype, shape, strides)
        if place not in self._now:
            held = self._kept.get(place)
            if held is None:
                pinned = value.is_cuda  # a copy to other memory would go by way of such
                held = torch.empty_like(value, device="cpu", pin_memory=pinned)
            held.copy_(value, non_blocking=True)
            self._now[place] = held
        return self._now[place]


_Place = tuple[str, int, torch.dtype, tuple[int, ...], tuple[int, ...]]
