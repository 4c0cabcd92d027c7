"""Grayscale, solarize, clip, normalize; but for normalize `x` is float32 in [0, 1]."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sslang.emit.views.rows import Draws, apply_to_rows, drawn_rows, to_device
from sslang.emit.views.spaces import luma


def grayscale(x: Tensor, u: Draws, *, probability: float = 1.0) -> Tensor:
    """The drawn rows of `x`, [B, 3, H, W], without colour, in three channels; `u` is [B, 1]."""
    return apply_to_rows(
        x, drawn_rows(u, probability), lambda part: part.copy_(luma(part)[:, None])
    )


def solarize(x: Tensor, u: Draws, *, probability: float = 1.0, threshold: float = 0.5) -> Tensor:
    """The drawn rows with every value at or above `threshold` inverted; `u` is [B, 1]."""

    def invert(part: Tensor) -> Tensor:
        bright = torch.ge(part, threshold, out=torch.empty_like(part))
        return torch.lerp(part, 1.0 - part, bright)

    return apply_to_rows(x, drawn_rows(u, probability), invert)


def clip_values(x: Tensor) -> Tensor:
    """`x` with every value clamped to [0, 1]."""
    return x.clamp(0.0, 1.0)


def normalize(x: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(x - mean) / std for each channel of `x`, [B, C, H, W]."""
    moments = to_device(np.array([mean, std]), x.device)[:, :, None, None]
    return x.sub(moments[0]).div_(moments[1])
