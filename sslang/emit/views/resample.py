"""Resampling as two batched matrix products: out = R @ image @ C^T, one R and C per image.

Crops, resizes, shifts and blurs are all linear in the image and separable in its two axes, so
they differ only in their matrices. A matrix's row holds the weights with which the source
pixels enter one output pixel: half-pixel centres, and a filter that widens when the image
shrinks (antialiasing), as in Pillow and in torchvision's `resize(antialias=True)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from sslang.emit.views.rows import Indices, to_device

Interpolation = Literal["bilinear", "bicubic"]
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}
_CACHED_VALUES = 1 << 18


@dataclass(frozen=True)
class Axis:
    """Where the output pixels of each image lie on one axis of its source; each field is [B].

    Output pixel i is centred at `origin + (i + 0.5) * scale`, in source pixels. Only source
    pixels in [low, high) are read; an output pixel that reaches none of them is 0. With
    `antialias` the filter widens where the image shrinks.
    """

    low: Indices
    high: Indices
    origin: NDArray[np.float64]
    scale: NDArray[np.float64]
    antialias: bool = True

    @staticmethod
    def stretch(low: Indices, extent: Indices, size: int | Indices, antialias: bool = True) -> Axis:
        """`extent` source pixels from `low` on, stretched to `size` output pixels."""
        return Axis(low, low + extent, low.astype(np.float64), extent / size, antialias)

    @staticmethod
    def shift(extent: Indices, origin: NDArray[np.float64]) -> Axis:
        """An image of `extent` pixels read from `origin` on, pixel by pixel."""
        return Axis(np.zeros_like(extent), extent, origin, np.ones(len(extent)))


def weights(
    axis: Axis, length: int, size: int, interpolation: Interpolation, device: torch.device
) -> Tensor:
    """The matrices [B, size, length] that read `size` output pixels from `length` source pixels.

    Source: Pillow's `Resample.c`; the bicubic filter is Keys' with a = -0.5.
    """
    reach = np.maximum(axis.scale, 1.0) if axis.antialias else np.ones_like(axis.scale)
    table = to_device(np.stack([axis.low, axis.high, axis.origin, axis.scale, reach]), device)
    low, high, origin, scale, width = table[:, :, None].unbind(0)
    pixel = torch.arange(length, device=device, dtype=torch.float32)
    output = torch.arange(size, device=device, dtype=torch.float32)
    source = pixel + 0.5 - origin
    centre = (output + 0.5) * scale
    distance = (source[:, None, :] - centre[:, :, None]).abs_().div_(width[:, :, None])
    inside = (pixel >= low).logical_and_(pixel < high)
    weight = _filter(distance, interpolation).mul_(inside[:, None, :])
    total = weight.sum(-1, keepdim=True)
    return weight.div_(total + (total == 0))


def _filter(distance: Tensor, interpolation: Interpolation) -> Tensor:
    """The filter's value at `distance` >= 0; `distance` is overwritten."""
    distance = distance.clamp_(max=_SUPPORT[interpolation])
    if interpolation == "bilinear":
        return distance.neg_().add_(1.0)
    near, far = distance.clamp(max=1.0), distance.clamp(min=1.0)
    # Each polynomial is 0 at distance 1, so that the sum is the filter on both of its pieces.
    return (
        near.square()
        .mul_(near.mul(1.5).sub_(2.5))
        .add_(1.0)
        .add_(far.mul(-0.5).add_(2.5).mul_(far).sub_(4.0).mul_(far).add_(2.0))
    )


def sampled(x: Tensor, size: int, interpolation: Interpolation) -> Tensor:
    """An image `x`, [C, H, W], resized to [C, size, size] without antialiasing.

    The same as by the matrices of `weights`, but only the pixels under the filter are read: a
    bag of a few weighted lines is an output line, first down the image, then across it.
    """
    for _ in range(2):
        channels, length, other = x.shape
        at, weight = _taps(length, size, interpolation)
        lines = x.transpose(0, 1).reshape(length, channels * other)
        lines = embedding_bag(at, lines, per_sample_weights=weight, mode="sum")
        x = lines.view(size, channels, other).permute(1, 2, 0)  # and its axes change places
    return x


@lru_cache(maxsize=2048)
def _taps(length: int, size: int, interpolation: Interpolation) -> tuple[Tensor, Tensor]:
    """Which of `length` pixels each of `size` reads, and with what weights: both [size, taps]."""
    reach = int(_SUPPORT[interpolation])
    centre = (torch.arange(size, dtype=torch.float64) + 0.5) * (length / size) - 0.5
    at = (centre.floor().long() - reach + 1)[:, None] + torch.arange(2 * reach)
    weight = _filter((at - centre[:, None]).abs_(), interpolation)
    weight.mul_(at.ge(0).logical_and_(at < length))
    weight.div_(weight.sum(1, keepdim=True))
    return at.clamp_(0, length - 1), weight.to(torch.float32)


def cached_parts(x: Tensor) -> list[slice]:
    """Slices of the rows of `x`: on a CPU few enough that what is computed stays in its cache."""
    count = len(x)
    step = max(count, 1)
    if x.device.type == "cpu":
        step = max(1, _CACHED_VALUES * count // max(x.numel(), 1))
    return [slice(first, first + step) for first in range(0, count, step)]


def separable(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """`rows` @ x @ `columns`^T for each image and channel, in float32.

    `x` is [B, C, H, W], `rows` [B, h, H], `columns` [B, w, W]; the result is [B, C, h, w].
    uint8 images are read as [0, 1]. Autocast is off here, whatever surrounds it.
    """
    count, channels, height, width = x.shape
    if x.dtype == torch.uint8:
        columns = columns / 255.0
    out = torch.empty(count, channels, rows.shape[1], columns.shape[1], device=x.device)
    with torch.autocast(device_type=x.device.type, enabled=False):
        for part in cached_parts(x):
            lines = x[part].to(torch.float32).reshape(-1, channels * height, width)
            across = torch.bmm(lines, columns[part].transpose(1, 2))
            across = across.view(-1, channels, height, columns.shape[1])
            torch.matmul(rows[part, None], across, out=out[part])
    return out
