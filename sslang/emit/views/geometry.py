"""Crops, resizes and flips.

An op that reads the images as they are stored takes `images`, uint8 (or float32 in [0, 1])
[B, C, H, W] padded at the bottom and on the right, and `sizes`, int64 [B, 2] on the host: the
true (height, width) of each row. It never reads the padding and returns float32 in [0, 1].
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from sslang.emit.views.boxes import BOXES, Box
from sslang.emit.views.resample import Axis, Interpolation, sampled, separable, weights
from sslang.emit.views.rows import Draws, Indices, apply_to_rows, drawn_rows, to_device

_MATRIX_LIMIT = 64  # pixels a side, above which a CPU crops faster image by image


def to_float(images: Tensor) -> Tensor:
    """uint8 images as float32 in [0, 1]; floating images unchanged."""
    return images.to(torch.float32).div_(255.0) if images.dtype == torch.uint8 else images


def random_resized_crop(
    images: Tensor,
    sizes: Indices,
    u: Draws,
    *,
    size: int,
    probability: float = 1.0,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    interpolation: Interpolation = "bilinear",
    box: Box = "torchvision",
    antialias: bool = True,
) -> Tensor:
    """A random part of each image, resized to [B, C, size, size]; `u` is [B, 1 + 22].

    A row that is not drawn is resized as a whole.
    """
    boxes = BOXES[box](u[:, 1:], sizes, scale, ratio)
    whole = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
    boxes = np.where((u[:, 0] < probability)[:, None], boxes, whole)
    return resized_crop(images, boxes, size=size, interpolation=interpolation, antialias=antialias)


def resized_crop(
    images: Tensor,
    boxes: Indices,
    *,
    size: int,
    interpolation: Interpolation = "bilinear",
    antialias: bool = True,
) -> Tensor:
    """The `boxes` (top, left, height, width), [B, 4], of `images`, each resized to `size`.

    Half-pixel centres. With `antialias`, Pillow's and torchvision's filters; without, those of
    TensorFlow's resize (the cubic has a = -0.5 and what falls outside the box has no weight).
    """
    if images.device.type == "cpu" and max(images.shape[-2:]) > _MATRIX_LIMIT:
        return _resized_crop_by_row(images, boxes, size, interpolation, antialias)
    top, left, height, width = boxes.T
    rows, columns = (
        Axis.stretch(low, extent, size, antialias) for low, extent in ((top, height), (left, width))
    )
    return _resample(images, rows, columns, (size, size), interpolation)


def _resized_crop_by_row(
    images: Tensor, boxes: Indices, size: int, interpolation: Interpolation, antialias: bool
) -> Tensor:
    """`resized_crop` image by image: the boxes alone are read, where matrices are mostly 0."""
    x = torch.empty(len(images), images.shape[1], size, size)
    for row, (top, left, height, width) in enumerate(boxes.tolist()):
        box = to_float(images[row : row + 1, :, top : top + height, left : left + width])
        if antialias:
            x[row] = interpolate(box, size=(size, size), mode=interpolation, antialias=True)[0]
        else:  # PyTorch's cubic without antialiasing is another: a = -0.75
            x[row] = sampled(box[0], size, interpolation)
    return x.clamp_(0.0, 1.0)


def random_crop(
    images: Tensor,
    sizes: Indices,
    u: Draws,
    *,
    size: int,
    probability: float = 1.0,
    padding: int = 0,
) -> Tensor:
    """A random square of `size` pixels from each image, after `padding` zeros on every side.

    `u` is [B, 1 + 2]. A row that is not drawn gives its centre. Raises ValueError if an image,
    with its padding, is smaller than `size`.
    """
    slack = sizes + 2 * padding - size
    if len(slack) and slack.min() < 0:
        row = int(slack.min(1).argmin())
        raise ValueError(
            f"a crop of {size} pixels is larger than image {row} of the batch: "
            f"{sizes[row, 0]} x {sizes[row, 1]} with a padding of {padding}"
        )
    origin = np.floor(u[:, 1:3] * (slack + 1)) - padding
    origin = np.where((u[:, :1] < probability), origin, _centred(sizes, size))
    return _shifted(images, sizes, origin, size)


def center_crop(images: Tensor, sizes: Indices, *, size: int) -> Tensor:
    """The centre of each image, [B, C, size, size]; a smaller image stands amid zeros."""
    return _shifted(images, sizes, _centred(sizes, size), size)


def resize(
    images: Tensor, sizes: Indices, *, size: int, interpolation: Interpolation = "bilinear"
) -> tuple[Tensor, Indices]:
    """Images whose shorter side is `size`, padded like the input, and their new sizes."""
    resized = _resized(sizes, size)
    height, width = (int(side) for side in resized.max(0))
    axes = [
        Axis.stretch(np.zeros_like(old), old, new)
        for old, new in zip(sizes.T, resized.T, strict=True)
    ]
    x = _resample(images, axes[0], axes[1], (height, width), interpolation)
    for side, axis in ((height, 2), (width, 3)):
        if (resized[:, axis - 2] < side).any():  # the padding
            inside = np.arange(side) < resized[:, axis - 2, None]
            x.mul_(
                to_device(inside, x.device).view(-1, 1, *((side, 1) if axis == 2 else (1, side)))
            )
    return x, resized


def evaluation_crop(
    images: Tensor,
    sizes: Indices,
    *,
    size: int,
    crop: float = 0.875,
    interpolation: Interpolation = "bilinear",
    antialias: bool = True,
) -> Tensor:
    """The shorter side resized to round(size / crop), then the centre: [B, C, size, size].

    Raises ValueError unless 0 < crop <= 1.
    """
    if not 0.0 < crop <= 1.0:
        raise ValueError(f"the evaluation crop must be above 0 and at most 1, not {crop}")
    shorter = round(size / crop)
    if images.shape[-2:] == (size, size) and shorter == size and (sizes == size).all():
        return to_float(images)
    resized = _resized(sizes, shorter)
    scale = sizes / resized
    origin = np.rint((resized - size) / 2.0) * scale
    low = np.zeros_like(sizes[:, 0])
    rows = Axis(low, sizes[:, 0], origin[:, 0], scale[:, 0], antialias)
    columns = Axis(low, sizes[:, 1], origin[:, 1], scale[:, 1], antialias)
    return _resample(images, rows, columns, (size, size), interpolation)


def horizontal_flip(x: Tensor, u: Draws, *, probability: float = 1.0) -> Tensor:
    """The drawn rows of `x`, [B, C, H, W], mirrored left to right; `u` is [B, 1]."""
    return apply_to_rows(x, drawn_rows(u, probability), lambda part: part.flip(-1))


def vertical_flip(x: Tensor, u: Draws, *, probability: float = 1.0) -> Tensor:
    """The drawn rows of `x`, [B, C, H, W], mirrored top to bottom; `u` is [B, 1]."""
    return apply_to_rows(x, drawn_rows(u, probability), lambda part: part.flip(-2))


def _resized(sizes: Indices, shorter: int) -> Indices:
    """`sizes` with the shorter side `shorter`; the longer is rounded down, as in torchvision."""
    resized: Indices = shorter * sizes // sizes.min(1, keepdims=True)
    return resized


def _centred(sizes: Indices, size: int) -> NDArray[np.float64]:
    """Where a centred square of `size` begins, [B, 2]; torchvision's rounding."""
    return np.where(sizes >= size, np.rint((sizes - size) / 2.0), -((size - sizes) // 2))


def _shifted(images: Tensor, sizes: Indices, origin: NDArray[np.float64], size: int) -> Tensor:
    """Squares of `images` from `origin` on, pixel by pixel, whatever the range of their values."""
    height, width = images.shape[-2:]
    rows = Axis.shift(sizes[:, 0], origin[:, 0])
    columns = Axis.shift(sizes[:, 1], origin[:, 1])
    return separable(
        images,
        weights(rows, height, size, "bilinear", images.device),
        weights(columns, width, size, "bilinear", images.device),
    )


def _resample(
    images: Tensor, rows: Axis, columns: Axis, shape: tuple[int, int], interpolation: Interpolation
) -> Tensor:
    height, width = images.shape[-2:]
    x = separable(
        images,
        weights(rows, height, shape[0], interpolation, images.device),
        weights(columns, width, shape[1], interpolation, images.device),
    )
    # The cubic filter overshoots; the triangle is an average, but for rounding.
    return x.clamp_(0.0, 1.0)
