"""Builds the embedded images from Debian's package openclipart-png.

    python -m sslang.data.embedded.build [PACKAGE_DIR]

The result depends on the package and on this file alone: the same pictures, in the same order,
in the same split. What is taken in, and what is not:

* links, files that cannot be read and blank pictures are left out, as are pictures that show
  the mark of a firm or a product, or that are damaged (`choice.py`);
* a picture is composed on white, cropped to what is drawn, padded to a square and reduced to
  `SIDE` pixels;
* of near-duplicates one stays (`sslang.data.embedded.duplicates`), so that none is in both parts;
* a labelled picture is in the test part if the hash of its path says so (`TEST_SHARE`).
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sslang.data.decode import UnreadableImageError, load_image
from sslang.data.embedded import IMAGES, INDEX
from sslang.data.embedded.choice import CLASSES, UNLABELLED, is_excluded
from sslang.data.embedded.duplicates import without_duplicates
from sslang.data.source import UNKNOWN_LABEL

PACKAGE_DIR = Path("/usr/share/openclipart/png")
SIDE = 32
COLUMNS = 64
TEST_SHARE = 0.37
NEARLY_WHITE = 250
_REDUCED_FIRST = 256


@dataclass(frozen=True)
class Picture:
    """One picture of the set: `path` relative to the package, `pixels` uint8 [SIDE, SIDE, 3]."""

    path: str
    label: int
    pixels: NDArray[np.uint8]

    @property
    def is_test(self) -> bool:
        word = int.from_bytes(hashlib.sha256(self.path.encode()).digest()[:8], "big")
        return self.label != UNKNOWN_LABEL and word / 2.0**64 >= 1.0 - TEST_SHARE


def main(arguments: list[str]) -> int:
    package = Path(arguments[0]) if arguments else PACKAGE_DIR
    if not package.is_dir():
        print(f"`{package}` is no folder; install openclipart-png", file=sys.stderr)
        return 1
    pictures = gather(package)
    kept = without_duplicates(np.stack([p.pixels for p in pictures]))
    pictures = [p for p, keep in zip(pictures, kept, strict=True) if keep]
    write(pictures)
    tests = sum(p.is_test for p in pictures)
    labelled = sum(p.label != UNKNOWN_LABEL for p in pictures)
    size = IMAGES.stat().st_size + INDEX.stat().st_size
    print(
        f"{len(pictures)} pictures: {labelled - tests} train, {tests} test, "
        f"{len(pictures) - labelled} train without a class; {size / 1e6:.2f} MB"
    )
    return 0


def gather(package: Path) -> list[Picture]:
    """All pictures that may be taken in, labelled ones first, sorted by path."""
    found = []
    for file in sorted(package.rglob("*.png")):
        path = file.relative_to(package).as_posix()
        label = label_of(path)
        if label is None or file.is_symlink() or not file.is_file() or is_excluded(path):
            continue
        try:
            pixels = tile(load_image(file, limit=_REDUCED_FIRST))
        except UnreadableImageError as error:
            print(f"left out: {error.skipped.path}: {error.skipped.reason}", file=sys.stderr)
            continue
        if pixels is not None:
            found.append(Picture(path, label, pixels))
    return sorted(found, key=lambda p: (p.label == UNKNOWN_LABEL, p.path))


def label_of(path: str) -> int | None:
    """The class of the picture at `path`, -1 if it is taken in without one, None if it is not."""
    for label, folders in enumerate(CLASSES.values()):
        if path.startswith(folders):
            return label
    return UNKNOWN_LABEL if path.startswith(UNLABELLED) else None


def tile(pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """What is drawn in uint8 [H, W, 3], on a white square of SIDE x SIDE pixels, centred.

    None for a blank picture.
    """
    drawn: NDArray[np.bool_] = pixels.min(axis=2) < NEARLY_WHITE
    if not drawn.any():
        return None
    top, bottom = np.flatnonzero(drawn.any(axis=1))[[0, -1]]
    left, right = np.flatnonzero(drawn.any(axis=0))[[0, -1]]
    pixels = pixels[top : bottom + 1, left : right + 1]
    height, width = pixels.shape[:2]
    side = max(height, width)
    square = Image.new("RGB", (side, side), (255, 255, 255))
    square.paste(Image.fromarray(pixels), ((side - width) // 2, (side - height) // 2))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def write(pictures: list[Picture]) -> None:
    """Write the grid of tiles and its index."""
    rows = -(-len(pictures) // COLUMNS)
    grid = np.full((rows, SIDE, COLUMNS, SIDE, 3), 255, dtype=np.uint8)
    for i, picture in enumerate(pictures):
        grid[i // COLUMNS, :, i % COLUMNS] = picture.pixels
    sheet = Image.fromarray(grid.reshape(rows * SIDE, COLUMNS * SIDE, 3))
    sheet.save(IMAGES, "WEBP", lossless=True, quality=100, method=6)
    index = {
        "side": SIDE,
        "classes": list(CLASSES),
        "labels": [p.label for p in pictures],
        "test": [int(p.is_test) for p in pictures],
        "paths": [p.path for p in pictures],
    }
    lines = ",\n".join(f'"{key}": {json.dumps(value)}' for key, value in index.items())
    INDEX.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
