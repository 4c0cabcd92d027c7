"""Sheets of images: rows and columns of tiles, with words above."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from sslang.track.files import write_atomic

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

GAP = 10  # pixels between tiles
LINE = 14  # the height of a line of words
LEAST_TILE = 96
_PATCH_GAP = 2
_GROUND = (221, 221, 221)  # a grey, on which white images show their sides


@dataclass(frozen=True)
class Column:
    """Tiles below each other, an RGB image a row; above them a line or more of words."""

    words: tuple[str, ...]
    tiles: Sequence[Image.Image]


def write_sheet(columns: Sequence[Column], path: Path) -> None:
    """Draw columns of as many tiles each, at the size that they have, as a PNG. Raises OSError."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=12)
    widths = [
        ceil(max([*(tile.width for tile in column.tiles), *map(font.getlength, column.words)]))
        for column in columns
    ]
    heights = [max(tile.height for tile in row)
               for row in zip(*(column.tiles for column in columns), strict=True)]  # fmt: skip
    head = LINE * max(len(column.words) for column in columns)
    size = (sum(w + GAP for w in widths) + GAP, head + sum(h + GAP for h in heights) + 2 * GAP)
    sheet = Image.new("RGB", size, _GROUND)
    draw = ImageDraw.Draw(sheet)
    left = GAP
    for column, width in zip(columns, widths, strict=True):
        for number, words in enumerate(column.words):
            draw.text((left, GAP + LINE * number), words, fill="black", font=font)
        top = 2 * GAP + head
        for tile, height in zip(column.tiles, heights, strict=True):
            sheet.paste(tile, (left, top))
            top += height + GAP
        left += width + GAP
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    write_atomic(path, buffer.getvalue())


def tile(image: Tensor) -> Image.Image:
    """Return [3, H, W] of uint8, or of floats in 0..1 (others are cut off), as an image."""
    from PIL import Image

    if image.is_floating_point():
        image = (image.clamp(0, 1) * 255).round().byte()
    return Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())


def enlarged(small: Image.Image) -> Image.Image:
    """Return an image at LEAST_TILE pixels a side or more, by a whole factor."""
    from PIL import Image

    factor = ceil(LEAST_TILE / min(small.size))
    size = (small.width * factor, small.height * factor)
    return small.resize(size, Image.Resampling.NEAREST) if factor > 1 else small


def laid_out(patches: Sequence[Image.Image], columns: int) -> Image.Image:
    """Return the patches of an image, of one size, row by row, with gaps between them."""
    from PIL import Image

    width, height = patches[0].width + _PATCH_GAP, patches[0].height + _PATCH_GAP
    rows = len(patches) // columns
    size = (columns * width - _PATCH_GAP, rows * height - _PATCH_GAP)
    whole = Image.new("RGB", size, _GROUND)
    for number, patch in enumerate(patches):
        whole.paste(patch, (number % columns * width, number // columns * height))
    return whole


def in_colours(view: Tensor) -> Tensor:
    """Return [N, C, H, W] as [N, 3, H, W] in 0..1.

    Where values lie outside of 0..1, each channel is moved into it, by the least and the largest
    value of all N. One channel is shown as grey, of two the first is red and blue.
    """
    import torch

    view = view.float().cpu()
    if view.min() < 0 or view.max() > 1:
        low, high = view.amin((0, 2, 3), keepdim=True), view.amax((0, 2, 3), keepdim=True)
        view = (view - low) / (high - low).clamp_min(1e-6)
    if view.shape[1] == 1:
        return view.expand(-1, 3, -1, -1)
    return view if view.shape[1] == 3 else torch.cat([view, view[:, :1]], dim=1)
