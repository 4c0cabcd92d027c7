"""Near-duplicates among small pictures, by a perceptual hash and a colour thumbnail."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_DISTANCE = 16
COLOUR_DISTANCE = 10.0
_STEP = 2


def without_duplicates(pictures: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of `pictures` uint8 [N, S, S, 3] stay, bool [N], when of near-duplicates the first
    does.

    Two pictures are near-duplicates if their difference hashes differ in at most `HASH_DISTANCE`
    of 256 bits and their 8 x 8 colour thumbnails by at most `COLOUR_DISTANCE` of 255 in root mean
    square. No two pictures that stay are near-duplicates, so no split can divide a pair.
    """
    bits = difference_hashes(pictures).astype(np.float32)
    thumbnails = np.stack([_thumbnail(p, "RGB", 8) for p in pictures])
    colours = thumbnails.reshape(len(pictures), -1).astype(np.float32)
    near = _squared_distances(bits) <= HASH_DISTANCE + 0.5
    near &= _squared_distances(colours) <= COLOUR_DISTANCE**2 * colours.shape[1]
    stays = np.ones(len(pictures), dtype=np.bool_)
    for i in range(len(pictures)):
        if stays[i]:
            stays[i + 1 :] &= ~near[i, i + 1 :]
    return stays


def difference_hashes(pictures: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Difference hashes of uint8 [N, S, S, 3], bool [N, 256].

    Each of 8 x 8 places tells by one bit each whether brightness rises or falls to the right and
    downwards; plain areas, so common in drawings, set none.
    """
    grey = np.stack([_thumbnail(p, "L", 9) for p in pictures]).astype(np.int16)
    across = grey[:, :8, 1:] - grey[:, :8, :-1]
    down = grey[:, 1:, :8] - grey[:, :-1, :8]
    signs = [across > _STEP, across < -_STEP, down > _STEP, down < -_STEP]
    return np.concatenate([s.reshape(len(pictures), -1) for s in signs], axis=1)


def _thumbnail(picture: NDArray[np.uint8], mode: str, side: int) -> NDArray[np.uint8]:
    image = Image.fromarray(picture).convert(mode)
    return np.asarray(image.resize((side, side), Image.Resampling.BOX))


def _squared_distances(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances between all `rows` [N, D], [N, N]; for bits, how many differ."""
    lengths = np.square(rows).sum(axis=1)
    distances: NDArray[np.float32] = lengths[:, None] + lengths[None] - 2.0 * (rows @ rows.T)
    return distances
