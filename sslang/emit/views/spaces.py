"""Colour spaces and channels: views that are no longer three channels of RGB."""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow and kornia

# sRGB's primaries in CIE XYZ, and the white of D65 for the 2 degree observer: skimage's numbers.
_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169),
        (0.019334, 0.119193, 0.950227))  # fmt: skip
_WHITE = (0.95047, 1.0, 1.08883)

# ITU-R BT.601 for values in 0..1: Y, Cb and Cr by R, G and B, and the offsets.
_YCBCR = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
_OFFSET = (16.0, 128.0, 128.0)


def luma(x: Tensor) -> Tensor:
    """The grey value [B, H, W] of `x`, [B, 3, H, W]; a new tensor."""
    return _mix(x.unbind(1), LUMA)


def to_gray(x: Tensor) -> Tensor:
    """RGB `x`, [B, 3, H, W], as its grey value alone, [B, 1, H, W]."""
    return luma(x)[:, None]


def to_lab(x: Tensor) -> Tensor:
    """RGB `x` in 0..1, [B, 3, H, W], as CIE L*a*b*, L in 0..100.

    sRGB's gamma undone, XYZ relative to the white of D65, then CIE's cube roots with the rounded
    constants 0.008856 and 7.787: step for step and constant for constant skimage.color.rgb2lab.
    """
    curved = x.add(0.055).div_(1.055).pow_(2.4)
    linear = torch.where(x > 0.04045, curved, x / 12.92).unbind(1)
    axes = [
        _compress(_mix(linear, [weight / white for weight in row]))
        for row, white in zip(_XYZ, _WHITE, strict=True)
    ]
    lightness = axes[1].mul(116.0).sub_(16.0)
    return torch.stack([lightness, (axes[0] - axes[1]) * 500.0, (axes[1] - axes[2]) * 200.0], 1)


def to_ycbcr(x: Tensor) -> Tensor:
    """RGB `x` in 0..1, [B, 3, H, W], as Y in 16..235 and Cb, Cr in 16..240."""
    planes = x.unbind(1)
    mixed = [_mix(planes, row).add_(at) for row, at in zip(_YCBCR, _OFFSET, strict=True)]
    return torch.stack(mixed, 1)


def channels(
    x: Tensor, *, first: int, second: int | None = None, third: int | None = None
) -> Tensor:
    """Some channels of `x`, [B, C, H, W], in the order given: [B, 1 to 3, H, W]."""
    chosen = [c for c in (first, second, third) if c is not None]
    return torch.stack([x[:, c] for c in chosen], 1)


def _mix(planes: tuple[Tensor, ...], weights: tuple[float, ...] | list[float]) -> Tensor:
    total = planes[0].mul(weights[0])
    for plane, weight in zip(planes[1:], weights[1:], strict=True):
        total.add_(plane, alpha=weight)
    return total


def _compress(t: Tensor) -> Tensor:
    """CIE's cube root, which is straight near 0."""
    return torch.where(t > 0.008856, t.pow(1.0 / 3.0), t.mul(7.787).add_(16.0 / 116.0))
