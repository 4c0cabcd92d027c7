"""Gaussian blur with one sigma per image."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from sslang.emit.views.resample import cached_parts, separable
from sslang.emit.views.rows import Draws, apply_to_rows, drawn_rows, to_device


def gaussian_blur(
    x: Tensor,
    u: Draws,
    *,
    probability: float = 1.0,
    sigma: tuple[float, float] = (0.1, 2.0),
    kernel: int | None = None,
) -> Tensor:
    """The drawn rows of `x`, [B, C, H, W], blurred; sigma, in pixels, is uniform in `sigma`.

    `u` is [B, 1 + 1]. The kernel has `kernel` taps, by default a tenth of the image's width
    made odd (SimCLR: 23 at 224 pixels) and at least 3; the image is reflected at its border,
    without repeating the outermost pixel. Raises ValueError for a kernel that is even or needs
    more of the reflection than there is.
    """
    height, width = x.shape[-2:]
    taps = default_kernel(width) if kernel is None else kernel
    if taps % 2 == 0 or taps // 2 >= min(height, width):
        raise ValueError(f"a blur kernel of {taps} taps does not suit {height} x {width} pixels")
    rows = drawn_rows(u, probability)
    sigmas = sigma[0] + (sigma[1] - sigma[0]) * u[rows, 1]
    offsets = np.arange(taps) - taps // 2
    profile = np.exp(-0.5 * (offsets / sigmas[:, None]) ** 2)
    profile /= profile.sum(1, keepdims=True)

    blur = _by_taps if x.device.type == "cpu" else _by_matrices
    return apply_to_rows(x, rows, lambda part: blur(part, to_device(profile, part.device)))


def default_kernel(width: int) -> int:
    """A tenth of `width`, rounded down, made odd, and at least 3."""
    return max(3, int(0.1 * width) // 2 * 2 + 1)


def _by_taps(x: Tensor, profile: Tensor) -> Tensor:
    """`x` [n, C, H, W] blurred by `profile` [n, taps], as a weighted sum of shifted images.

    On a CPU twice as fast as matrices; a convolution with one group a row is faster still, but
    compiled anew for each number of rows, which is another at every step.
    """
    out = torch.empty_like(x)
    for part in cached_parts(x):
        out[part] = _sum_of_shifts(_sum_of_shifts(x[part], profile[part], 3), profile[part], 2)
    return out


def _sum_of_shifts(x: Tensor, profile: Tensor, axis: int) -> Tensor:
    margin, length = profile.shape[1] // 2, x.shape[axis]
    reflected = pad(x, (margin, margin, 0, 0) if axis == 3 else (0, 0, margin, margin), "reflect")
    taps = profile[:, :, None, None, None].unbind(1)
    total = x * taps[margin]
    for shift in range(1, margin + 1):
        before = reflected.narrow(axis, margin - shift, length)
        after = reflected.narrow(axis, margin + shift, length)
        total.addcmul_(before + after, taps[margin + shift])
    return total


def _by_matrices(x: Tensor, profile: Tensor) -> Tensor:
    """The same as two batched matrix products, whose cost hardly depends on the taps."""
    height, width = x.shape[-2:]
    down = _blur_matrices(profile, height)
    return separable(x, down, down if width == height else _blur_matrices(profile, width))


def _blur_matrices(profile: Tensor, length: int) -> Tensor:
    """Profiles [n, taps] as matrices [n, length, length] that blur one axis."""
    placed = _placement(length, profile.shape[1], profile.device)
    return torch.matmul(profile, placed).view(-1, length, length)


@lru_cache(maxsize=16)
def _placement(length: int, taps: int, device: torch.device) -> Tensor:
    """[taps, length * length]: 1 where that tap of output pixel i reads source pixel j."""
    source = np.abs(np.arange(length) + np.arange(taps)[:, None] - taps // 2)  # reflected at 0
    source = length - 1 - np.abs(length - 1 - source)  # and at the end
    one_hot = (source[..., None] == np.arange(length)).astype(np.float64)
    return to_device(one_hot.reshape(taps, -1), device)
