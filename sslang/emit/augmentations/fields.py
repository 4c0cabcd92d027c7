"""Ops with fields, such as noise: kornia's generator draws one image at a time.

A field of the whole batch would have to be drawn by every part of it. So row r has a seed of its
own, of (seed, phase, step, site, r), and does not depend on the batch's size either.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sslang.emit.augmentations.form import Form, Indices, Numbers, Source, seeded


class Fields(Form):
    """An op whose numbers are drawn row by row."""

    def numbers(self, source: Source, rows: Indices) -> Numbers:
        if self.per_step:
            one = self._of_row(source, source.seed())
            return {name: value.expand(len(rows), *value.shape[1:]) for name, value in one.items()}
        found = [self._of_row(source, seed) for seed in source.seeds(rows)]
        return self.together(found) if found else {}

    def together(self, found: list[Numbers]) -> Numbers:
        """Return the numbers of single rows as those of several."""
        return {name: torch.cat([one[name] for one in found]) for name in found[0]}

    def _of_row(self, source: Source, seed: int) -> Numbers:
        with seeded(seed):
            found: Numbers = self.module.generate_parameters(  # type: ignore[operator]
                torch.Size((1, *source.shape[1:]))
            )
        return found


class Elastic(Fields):
    """Elastic deformation, of which a row has the same bits by itself and among others.

    It blurs one plane a row, and torch rounds the blur of a single plane in another way.
    """

    def apply(self, x: Tensor, numbers: Numbers) -> Tensor:
        if len(x) > 1:
            return super().apply(x, numbers)
        twice = {name: torch.cat([value, value]) for name, value in numbers.items()}
        return super().apply(torch.cat([x, x]), twice)[:1]


class Rain(Fields):
    """Rain, of which each image has its own number of drops."""

    def together(self, found: list[Numbers]) -> Numbers:
        name = "coordinates_factor"
        most = max(one[name].shape[1] for one in found)
        for one in found:
            missing = most - one[name].shape[1]
            one[name] = torch.nn.functional.pad(one[name], (0, 0, 0, missing))
        return super().together(found)
