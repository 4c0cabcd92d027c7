"""The sheet of the views of a phase, as its first step sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sslang.data.batches import Batches
from sslang.data.source import Source
from sslang.emit.declared_views import DeclaredViews
from sslang.track.sheets import Column, in_colours, laid_out, tile, write_sheet
from sslang.train.learner import Learner
from sslang.types import ViewType

if TYPE_CHECKING:
    from PIL import Image

ROWS = 8
_LARGEST_ORIGINAL = 1024


def write_views(
    path: Path, learner: Learner, source: Source, *, workers: int, rows: int = ROWS, step: int = 0
) -> None:
    """Draw the first images of the batch of a step, a row each, and every declared view, as a PNG.

    Views have the size that they have. They are drawn for the whole batch, of all processes, and
    made of the first `rows` of it. Raises OSError.
    """
    declared = DeclaredViews(learner.program, learner.method.graph)
    recipe, method = learner.recipe, learner.method
    with Batches(
        source, recipe.batch, last_batch=recipe.last_batch, seed=method.seed,
        phase=learner.program.phase, device=learner.device, workers=workers, first_step=step,
        share=None if declared.mixes else lambda whole: (0, min(rows, whole)),
    ) as batches:  # fmt: skip
        batch = next(batches)
    rows = min(rows, len(batch.pixels))
    drawing = method.drawing(step, batch.rows)
    made = declared.make(batch.pixels, batch.sizes, drawing, rows)
    columns = [_originals(batch.pixels[:rows], batch.sizes[:rows])]
    columns += [column_of(name, view, declared.type_of(name)) for name, view in made.items()]
    write_sheet(columns, path)


def column_of(name: str, view: Tensor, type_: ViewType) -> Column:
    """Return the tiles of a view, those in patches laid out as their grid."""
    tiles: Sequence[Image.Image] = [tile(image) for image in in_colours(view)]
    size = f"{type_.size} x {type_.size}"
    if type_.grid is None:
        return Column((name, size), tiles)
    count = type_.patches
    images = [tiles[at : at + count] for at in range(0, len(tiles), count)]
    grid = [laid_out(patches, type_.grid[1]) for patches in images]
    return Column((name, f"{type_.grid[0]} x {type_.grid[1]} patches of {size}"), grid)


def _originals(pixels: Tensor, sizes: NDArray[np.int64]) -> Column:
    """The images without the padding of their batch; of large ones a smaller copy."""
    tiles = [tile(image[:, :height, :width])
             for image, (height, width) in zip(pixels, sizes, strict=True)]  # fmt: skip
    for image in tiles:
        image.thumbnail((_LARGEST_ORIGINAL, _LARGEST_ORIGINAL))
    found = {(int(width), int(height)) for height, width in sizes}
    (first, *others) = found
    size = "of several sizes" if others else f"{first[0]} x {first[1]}"
    reduced = max(max(pair) for pair in found) > _LARGEST_ORIGINAL
    return Column(("image", f"{size}, reduced" if reduced else size), tiles)
