"""Gradients summed over the processes while the backward pass still runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sslang.processes.group import Processes

BUCKET_BYTES = 25 * 2**20


@dataclass
class _Bucket:
    """Parameters whose gradients travel together."""

    parameters: list[nn.Parameter]
    waiting: set[int] = field(default_factory=set)
    flat: Tensor | None = None
    work: dist.Work | None = None


class GradientSum:
    """Sums `.grad` of parameters over the processes, a bucket as soon as it is complete.

    After `begin`, a backward pass starts a bucket's message when its last gradient is there; at
    `end` the others follow, and all are waited for. A parameter without gradient takes no
    part: gradients exist for the same parameters everywhere, for all run the same graph. Which
    they are is learnt from the first pass of each `key`, in which all messages come at the end.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], processes: Processes) -> None:
        self._parameters = list(parameters)
        self._processes = processes
        self._buckets: dict[object, list[_Bucket]] = {}
        self._active: list[_Bucket] = []
        self._handles: list[RemovableHandle] = []
        self._sent = 0
        self._key: object = None

    def begin(self, key: object) -> None:
        """Watch the backward pass that follows, the last of this step."""
        self._active = self._buckets.get(key, [])
        self._key, self._sent = key, 0
        for bucket in self._active:
            bucket.waiting = {id(p) for p in bucket.parameters}
            bucket.flat = bucket.work = None
            for parameter in bucket.parameters:
                watch: Any = parameter.register_post_accumulate_grad_hook  # untyped in torch
                self._handles.append(watch(self._arrived(bucket)))

    def end(self) -> None:
        """Wait until all gradients are sums."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._key not in self._buckets:
            present = [p for p in self._parameters if p.grad is not None]
            self._active = [_Bucket(alike) for alike in buckets_of(present)]
            self._buckets[self._key] = self._active
        for bucket in self._active[self._sent :]:
            self._send(bucket)
        for bucket in self._active:
            assert bucket.work is not None and bucket.flat is not None
            bucket.work.wait()
            gradients = [_gradient(p) for p in bucket.parameters]
            sizes = [g.numel() for g in gradients]
            for gradient, total in zip(gradients, torch.split(bucket.flat, sizes), strict=True):
                gradient.copy_(total.view_as(gradient))
            bucket.flat = bucket.work = None

    def _arrived(self, bucket: _Bucket) -> Callable[[nn.Parameter], None]:
        def hook(parameter: nn.Parameter) -> None:
            bucket.waiting.discard(id(parameter))
            # In order, so that all processes send the same bucket at the same time.
            while self._sent < len(self._active) and not self._active[self._sent].waiting:
                self._send(self._active[self._sent])
                self._sent += 1

        return hook

    def _send(self, bucket: _Bucket) -> None:
        bucket.flat = torch.cat([_gradient(p).reshape(-1) for p in bucket.parameters])
        bucket.work = dist.all_reduce(bucket.flat, async_op=True)


def buckets_of(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Parameters whose gradients travel together, those of the last layers first."""
    buckets: list[list[nn.Parameter]] = []
    room = 0
    for parameter in reversed(parameters):
        size = parameter.numel() * parameter.element_size()
        same = buckets and buckets[-1][0].dtype == parameter.dtype
        if not same or room < size:
            buckets.append([])
            room = BUCKET_BYTES
        buckets[-1].append(parameter)
        room -= size
    return buckets


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None, "gradients exist for the same parameters in every step"
    return parameter.grad
