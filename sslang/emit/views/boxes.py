"""The boxes of random resized crops, by three published algorithms.

Each takes draws `u`, [B, 22], uniform in [0, 1): ten pairs, one an attempt, then the position;
`sizes`, [B, 2], the true (height, width) of the images; the range of the area in shares of the
image; the range of width over height. It returns (top, left, height, width), [B, 4].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sslang.emit.views.rows import Draws, Indices

Box = Literal["torchvision", "simclr", "byol"]
Range = tuple[float, float]

ATTEMPTS = 10
_LEAST_COVERED = 0.1  # SimCLR's min_object_covered, where the object is the whole image
_BELOW_HALF = 0.5 - 1e-7


def torchvision_boxes(u: Draws, sizes: Indices, scale: Range, ratio: Range) -> Indices:
    """Area uniform, aspect log-uniform, until the box fits, as RandomResizedCrop.

    If none of ten fits, the largest centred box whose ratio is allowed.
    """
    height, width = sizes[:, 0], sizes[:, 1]
    tried_h, tried_w = _attempts(u, sizes, scale, ratio)
    fits = (
        (tried_w > 0) & (tried_w <= width[:, None]) & (tried_h > 0) & (tried_h <= height[:, None])
    )
    found, box_h, box_w = _first(fits, tried_h, tried_w)
    whole_w = np.where(width > height * ratio[1], np.rint(height * ratio[1]), width)
    whole_h = np.where(width < height * ratio[0], np.rint(width / ratio[0]), height)
    box_w = np.where(found, box_w, whole_w.astype(np.int64))
    box_h = np.where(found, box_h, whole_h.astype(np.int64))
    slack_h, slack_w = height - box_h, width - box_w
    top = np.where(found, np.floor(u[:, -2] * (slack_h + 1)).astype(np.int64), slack_h // 2)
    left = np.where(found, np.floor(u[:, -1] * (slack_w + 1)).astype(np.int64), slack_w // 2)
    return np.stack([top, left, box_h, box_w], axis=1)


def byol_boxes(u: Draws, sizes: Indices, scale: Range, ratio: Range) -> Indices:
    """Area uniform, aspect log-uniform, each side then cut to the image's (BYOL's dataset.py)."""
    tried_h, tried_w = _attempts(u, sizes, scale, ratio)
    box = np.clip(np.stack([tried_h[:, 0], tried_w[:, 0]], axis=1), 1, sizes)
    origin = np.floor(u[:, -2:] * (sizes - box + 1)).astype(np.int64)
    return np.concatenate([origin, box], axis=1)


def simclr_boxes(u: Draws, sizes: Indices, scale: Range, ratio: Range) -> Indices:
    """TensorFlow's sample_distorted_bounding_box, as SimCLR's data_util.py calls it.

    The aspect is uniform in `ratio`, the height uniform among those that the area, the aspect
    and the image allow; a box under a tenth of the image is drawn again. After ten attempts
    (there: a hundred) the whole image. The last row and column of positions is never reached.
    """
    image_h, image_w = (side[:, None] for side in sizes.T)
    pairs = u[:, : 2 * ATTEMPTS].reshape(-1, ATTEMPTS, 2)
    aspect = ratio[0] + (ratio[1] - ratio[0]) * pairs[..., 0]
    least, most = scale[0] * image_h * image_w, scale[1] * image_h * image_w
    low, high = np.rint(np.sqrt(least / aspect)), np.rint(np.sqrt(most / aspect))
    too_wide = np.rint(high * aspect) > image_w
    high = np.where(too_wide, np.floor((image_w + _BELOW_HALF) / aspect), high)
    high = np.minimum(high, image_h)
    low = np.minimum(low, high)
    tried_h = low + np.floor(pairs[..., 1] * (high - low + 1))
    area = tried_h * np.rint(tried_h * aspect)
    tried_h += area < least  # what rounding made a little too small or too large
    area = tried_h * np.rint(tried_h * aspect)
    tried_h -= area > most
    tried_w = np.rint(tried_h * aspect)
    area = tried_h * tried_w
    fits = (tried_h <= image_h) & (tried_w <= image_w) & (area >= least) & (area <= most)
    fits &= area >= np.maximum(1.0, _LEAST_COVERED * image_h * image_w)
    found, box_h, box_w = _first(fits, tried_h.astype(np.int64), tried_w.astype(np.int64))
    box = np.where(found[:, None], np.stack([box_h, box_w], axis=1), sizes)
    origin = np.floor(u[:, -2:] * (sizes - box)).astype(np.int64)
    return np.concatenate([origin, box], axis=1)


def _attempts(u: Draws, sizes: Indices, scale: Range, ratio: Range) -> tuple[Indices, Indices]:
    """Heights and widths, [B, 10], of a uniform area and a log-uniform aspect."""
    pairs = u[:, : 2 * ATTEMPTS].reshape(-1, ATTEMPTS, 2)
    area = sizes.prod(1)[:, None] * (scale[0] + (scale[1] - scale[0]) * pairs[..., 0])
    low, high = np.log(ratio[0]), np.log(ratio[1])
    aspect = np.exp(low + (high - low) * pairs[..., 1])
    return (
        np.rint(np.sqrt(area / aspect)).astype(np.int64),
        np.rint(np.sqrt(area * aspect)).astype(np.int64),
    )


def _first(
    fits: NDArray[np.bool_], heights: Indices, widths: Indices
) -> tuple[NDArray[np.bool_], Indices, Indices]:
    """Whether an attempt fits, [B], and the height and width of the first that does."""
    every, first = np.arange(len(fits)), fits.argmax(1)
    return fits[every, first], heights[every, first], widths[every, first]


BOXES: dict[Box, Callable[[Draws, Indices, Range, Range], Indices]] = {
    "torchvision": torchvision_boxes,
    "simclr": simclr_boxes,
    "byol": byol_boxes,
}
