"""Gaussian blur with one sigma per image."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from sslang.emit.views.resample import cached_parts, separable
from sslang.emit.views.rows import Draws, apply_to_rows, drawn_rows, to_device

Border = Literal["reflect", "zeros"]


def gaussian_blur(
    x: Tensor,
    u: Draws,
    *,
    probability: float = 1.0,
    sigma: tuple[float, float] = (0.1, 2.0),
    kernel: int | None = None,
    border: Border = "reflect",
) -> Tensor:
    """Return `x`, [B, C, H, W], with the drawn rows blurred, sigma uniform in `sigma`.

    `u` is [B, 1 + 1], `sigma` is in pixels. The kernel has `kernel` taps, by default a tenth of
    the image's width made odd (SimCLR: 23 at 224 pixels) and at least 3. At its border the image is
    reflected without repeating the outermost pixel, or `zeros` follow (TensorFlow's and JAX's
    "SAME"). Raises ValueError for a kernel that is even or needs more of the reflection than there
    is.
    """
    taps = blur_taps(x, kernel)
    rows = drawn_rows(u, probability)
    sigmas = drawn_sigmas(u[rows], sigma)
    offsets = np.arange(taps) - taps // 2
    profile = np.exp(-0.5 * (offsets / sigmas[:, None]) ** 2)
    profile /= profile.sum(1, keepdims=True)

    blur = _by_taps if x.device.type == "cpu" else _by_matrices
    return apply_to_rows(x, rows, lambda part: blur(part, to_device(profile, part.device), border))


def drawn_sigmas(u: Draws, sigma: tuple[float, float]) -> NDArray[np.float64]:
    """Return the sigmas [n], uniform in `sigma`, that the rows `u`, [n, 1 + 1], draw."""
    return sigma[0] + (sigma[1] - sigma[0]) * u[:, 1]


def blur_taps(x: Tensor, kernel: int | None) -> int:
    """Return how many taps blur `x`, [B, C, H, W]: `kernel`, or the default for its width.

    Raises ValueError if they are even or reach further beyond the border than the image does.
    """
    height, width = x.shape[-2:]
    taps = default_kernel(width) if kernel is None else kernel
    if taps % 2 == 0 or taps // 2 >= min(height, width):
        raise ValueError(f"a blur kernel of {taps} taps does not suit {height} x {width} pixels")
    return taps


def default_kernel(width: int) -> int:
    """A tenth of `width`, rounded down, made odd, and at least 3."""
    return max(3, int(0.1 * width) // 2 * 2 + 1)


def _by_taps(x: Tensor, profile: Tensor, border: Border = "reflect") -> Tensor:
    """`x` [n, C, H, W] blurred by `profile` [n, taps], as a weighted sum of shifted images.

    On a CPU twice as fast as matrices; a convolution with one group a row is faster still, but
    compiled anew for each number of rows, which is another at every step.
    """
    out = torch.empty_like(x)
    for part in cached_parts(x):
        across = _sum_of_shifts(x[part], profile[part], 3, border)
        out[part] = _sum_of_shifts(across, profile[part], 2, border)
    return out


def _sum_of_shifts(x: Tensor, profile: Tensor, axis: int, border: Border) -> Tensor:
    margin, length = profile.shape[1] // 2, x.shape[axis]
    edges = (margin, margin, 0, 0) if axis == 3 else (0, 0, margin, margin)
    wider = pad(x, edges, "reflect" if border == "reflect" else "constant")
    taps = profile[:, :, None, None, None].unbind(1)
    total = x * taps[margin]
    for shift in range(1, margin + 1):
        before = wider.narrow(axis, margin - shift, length)
        after = wider.narrow(axis, margin + shift, length)
        total.addcmul_(before + after, taps[margin + shift])
    return total


def _by_matrices(x: Tensor, profile: Tensor, border: Border = "reflect") -> Tensor:
    """The same as two batched matrix products, whose cost hardly depends on the taps."""
    height, width = x.shape[-2:]
    down = _blur_matrices(profile, height, border)
    return separable(x, down, down if width == height else _blur_matrices(profile, width, border))


def _blur_matrices(profile: Tensor, length: int, border: Border) -> Tensor:
    """Profiles [n, taps] as matrices [n, length, length] that blur one axis."""
    placed = _placement(length, profile.shape[1], border, profile.device)
    return torch.matmul(profile, placed).view(-1, length, length)


@lru_cache(maxsize=16)
def _placement(length: int, taps: int, border: Border, device: torch.device) -> Tensor:
    """[taps, length * length]: 1 where that tap of output pixel i reads source pixel j."""
    source = np.arange(length) + np.arange(taps)[:, None] - taps // 2
    if border == "reflect":
        source = np.abs(source)  # at 0
        source = length - 1 - np.abs(length - 1 - source)  # and at the end
    one_hot = (source[..., None] == np.arange(length)).astype(np.float64)
    return to_device(one_hot.reshape(taps, -1), device)
