"""Ops of which kornia takes one value a call that is an image's own in the papers.

It is drawn for each image, and the rows that have the same are applied together. With `per = step`
there is one for the batch, which is kornia's way.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sslang.emit.augmentations.form import Form, Numbers, Source
from sslang.emit.views.rows import to_device


class Grouped(Form):
    """An op whose rows are applied together where they have the same value under `by`."""

    by: str

    def apply(self, x: Tensor, numbers: Numbers) -> Tensor:
        _, group = np.unique(numbers[self.by].numpy(), axis=0, return_inverse=True)
        if group.max() == 0:
            return self.apply_group(x, numbers)
        changed = torch.empty_like(x)
        for number in range(group.max() + 1):
            rows = np.flatnonzero(group.ravel() == number)
            at = to_device(rows, x.device)
            taken = {name: value[torch.from_numpy(rows)] for name, value in numbers.items()}
            changed.index_copy_(0, at, self.apply_group(x.index_select(0, at), taken))
        return changed

    def apply_group(self, x: Tensor, numbers: Numbers) -> Tensor:
        """Return `x` changed by the numbers of its rows, which have one value under `by`."""
        raise NotImplementedError


class Jiggle(Grouped):
    """Colour jiggle, whose order kornia draws once a batch."""

    by = "order"

    def all_numbers(self, source: Source) -> Numbers:
        found = super().all_numbers(source)
        order = found["order"].expand(source.shape[0], -1)
        if not self.per_step:
            order = torch.from_numpy(np.argsort(source.uniform(4), axis=1, kind="stable"))
        return {**found, "order": order}

    def apply_group(self, x: Tensor, numbers: Numbers) -> Tensor:
        return self.call(x, {**numbers, "order": numbers["order"][0]})


class MotionBlur(Grouped):
    """Motion blur, of whose sizes of the window kornia draws one a batch."""

    by = "ksize_factor"
    shared = ("idx",)

    def all_numbers(self, source: Source) -> Numbers:
        found = super().all_numbers(source)
        kernel = self.settings["kernel"]
        if isinstance(kernel, tuple) and not self.per_step:
            low, high = (int(end) // 2 for end in kernel)
            half = low + np.floor(source.uniform(1)[:, 0] * (high - low + 1))
            found["ksize_factor"] = torch.from_numpy(2 * half.astype(np.int32) + 1)
        return found

    def apply_group(self, x: Tensor, numbers: Numbers) -> Tensor:
        return self.call(x, {**numbers, "idx": torch.zeros(1, dtype=torch.long)})
