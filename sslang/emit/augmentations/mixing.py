"""Ops that mix an image with others of the batch, or put its own pieces into another order.

kornia mixes a batch with a permutation of itself. Here the rows and their partners are put one
after the other into one batch, and of what kornia makes of it the first rows are kept: so a part of
a batch mixes as the whole does. kornia's numbers have the row of the partner in the global batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sslang.emit.augmentations.form import Form, Indices, Numbers, Source

PARTNER, WEIGHT, BOX = "partner", "weight", "box"


class Mixed(Form):
    """An op whose rows stand before those of their partners, [n * (1 + k), C, H, W].

    Beside kornia's numbers there are `partner` and `weight`, which a loss reads.
    """

    mixes = 1
    pairs: str  # of kornia's parameters, the one that names the partners
    shared = ("image_shape", "batch_shapes")

    def all_numbers(self, source: Source) -> Numbers:
        return self.read(super().all_numbers(source), source)

    def read(self, found: Numbers, source: Source) -> Numbers:
        """Return kornia's numbers, row by row, with `partner` and `weight`."""
        raise NotImplementedError

    def partners(self, numbers: Numbers) -> Indices | None:
        return numbers[PARTNER].reshape(len(numbers[PARTNER]), -1).numpy()

    def apply(self, x: Tensor, numbers: Numbers) -> Tensor:
        count = len(numbers[PARTNER])
        at = torch.arange(len(x)).view(1 + self.mixes, count)
        own = {k: v for k, v in numbers.items() if k not in (PARTNER, WEIGHT, BOX)}
        doubled = {k: torch.cat([v] * (1 + self.mixes)) for k, v in own.items()}
        mixed = self.call(x, self.given(doubled, at, x))
        return mixed[:count]

    def given(self, numbers: Numbers, at: Tensor, x: Tensor) -> Numbers:
        """Return kornia's parameters; `at`, [1 + k, n], are the places of rows and partners."""
        return {**numbers, self.pairs: torch.cat([at[1], at[0]])}


class MixUp(Mixed):
    """(1 - w) own + w partner."""

    pairs = "mixup_pairs"

    def read(self, found: Numbers, source: Source) -> Numbers:
        return {**found, PARTNER: found["mixup_pairs"], WEIGHT: found["mixup_lambdas"]}


class CutMix(Mixed):
    """A box of the partner; kornia's parameters have a leading axis of the boxes, of which one."""

    pairs = "mix_pairs"

    def read(self, found: Numbers, source: Source) -> Numbers:
        corners = found["crop_src"][0]  # [B, 4, 2]: from the top left corner on, clockwise
        size = corners[:, 2] - corners[:, 0] + 1
        weight = size.clamp_min(0).prod(1) / (source.shape[2] * source.shape[3])
        box = torch.cat([corners[:, 0], size], dim=1)
        return {"crop_src": corners, PARTNER: found["mix_pairs"][0], WEIGHT: weight, BOX: box}

    def given(self, numbers: Numbers, at: Tensor, x: Tensor) -> Numbers:
        pairs = torch.cat([at[1], at[0]])[None]
        shape = torch.tensor(x.shape[-2:])
        return {"crop_src": numbers["crop_src"][None], "mix_pairs": pairs, "image_shape": shape}


class PatchMix(Mixed):
    """A square of the partner."""

    pairs = "mix_pairs"

    def read(self, found: Numbers, source: Source) -> Numbers:
        share = self.settings["size"] ** 2 / (source.shape[2] * source.shape[3])
        weight = torch.full((source.shape[0],), share)
        return {**found, PARTNER: found["mix_pairs"], WEIGHT: weight}


class Mosaic(Mixed):
    """Four tiles, of which the first is the image itself."""

    mixes = 4
    pairs = "permutation"

    def read(self, found: Numbers, source: Source) -> Numbers:
        height, width = source.shape[2:]
        corner = found["src"][:, 0]  # (x, y) of the window in the four tiles, two by two
        left, top = 1 - corner[:, 0] / width, 1 - corner[:, 1] / height
        weight = [left * top, left * (1 - top), (1 - left) * top, (1 - left) * (1 - top)]
        return {**found, PARTNER: found["permutation"], WEIGHT: torch.stack(weight, dim=1)}

    def given(self, numbers: Numbers, at: Tensor, x: Tensor) -> Numbers:
        of_rows = at[1:].T  # [n, 4]
        shapes = torch.tensor(x.shape[1:]).repeat(len(x), 1)
        permutation = torch.cat([of_rows] * (1 + self.mixes))
        return {**numbers, "permutation": permutation, "batch_shapes": shapes}


class Jigsaw(Form):
    """The pieces of each image in another order.

    kornia counts places down the columns and pieces along the rows; `by_rows`, which a loss reads,
    counts both along the rows.
    """

    def all_numbers(self, source: Source) -> Numbers:
        found = super().all_numbers(source)
        grid = self.settings["grid"]
        by_columns = found["permutation"].view(-1, grid, grid)
        return {**found, "by_rows": by_columns.transpose(1, 2).flatten(1)}

    def apply(self, x: Tensor, numbers: Numbers) -> Tensor:
        return self.call(x, {"permutation": numbers["permutation"]})
