"""Ops whose numbers are an image's own and are drawn for the whole batch at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sslang.emit.augmentations.form import Form, Numbers, Source
from sslang.ops.views.inputs import ends


class Plain(Form):
    """An op as kornia has it."""


class OfTensors(Form):
    """An op whose class takes tensors in the place of tuples of numbers."""

    def build(self, kind: type[nn.Module], given: Mapping[str, Any]) -> nn.Module:
        as_tensors = {
            name: torch.tensor(value, dtype=torch.float32) if isinstance(value, tuple) else value
            for name, value in given.items()
        }
        return super().build(kind, as_tensors)


class QuarterTurns(Form):
    """Rotation by quarter turns, each whole number equally likely; kornia rounds a uniform one.

    A turn back is three turns on, so that the number that a loss reads is in 0..3.
    """

    def all_numbers(self, source: Source) -> Numbers:
        low, high = ends(self.settings["times"])
        u = source.uniform(1)[:, 0]
        times = low + np.floor((u[:1].repeat(len(u)) if self.per_step else u) * (high - low + 1))
        return {"times": torch.from_numpy(times % 4).to(torch.float32)}


class ChannelDropout(Form):
    """Channels filled with a value; kornia's `batch_idx` counts the rows of what it is given."""

    shared = ("batch_idx",)

    def apply(self, x: Tensor, numbers: Numbers) -> Tensor:
        return self.call(x, {**numbers, "batch_idx": torch.arange(len(x))[:, None]})
