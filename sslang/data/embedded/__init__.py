"""The embedded images: clip art of ten kinds, small enough to travel with the program.

`images.webp` is one lossless picture, a grid of tiles; `index.json` gives for each tile, in the
order of the grid, its split, its class (-1 where it has none) and the file it was made from.
`build.py` makes both from Debian's package openclipart-png; `PROVENANCE.md` tells their licence.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from sslang.data.source import ArraySource, Split

IMAGES = Path(__file__).with_name("images.webp")
INDEX = Path(__file__).with_name("index.json")


def embedded(split: Split, *, unlabeled: bool = True) -> ArraySource:
    """The embedded images; the train split includes those without a class if `unlabeled`."""
    index = json.loads(INDEX.read_text(encoding="utf-8"))
    side = index["side"]
    with Image.open(IMAGES) as picture:
        grid = np.asarray(picture.convert("RGB"))
    rows, columns = grid.shape[0] // side, grid.shape[1] // side
    tiles = grid.reshape(rows, side, columns, side, 3).transpose(0, 2, 1, 3, 4)
    labels = np.asarray(index["labels"], dtype=np.int64)
    chosen = np.asarray(index["test"], dtype=bool) == (split == "test")
    if not unlabeled:
        chosen &= labels >= 0
    images = tiles.reshape(rows * columns, side, side, 3)[: len(labels)][chosen]
    return ArraySource(
        "embedded, " + split, np.ascontiguousarray(images), labels[chosen], tuple(index["classes"])
    )
