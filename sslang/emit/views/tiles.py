"""Images as grids of patches, and images amid zeros."""

from __future__ import annotations

import torch
from torch import Tensor


def patches(x: Tensor, *, size: int, stride: int) -> Tensor:
    """`x`, [B, C, H, W], as overlapping patches, [B * h * w, C, size, size].

    The patches of an image stand together, row by row, each `stride` pixels from the next:
    h = (H - size) / stride + 1, and w likewise.
    """
    tiles = x.unfold(2, size, stride).unfold(3, size, stride)  # [B, C, h, w, size, size]
    return tiles.permute(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1], size, size)


def pad(x: Tensor, *, size: int) -> Tensor:
    """`x`, [B, C, H, W], in the middle of [B, C, size, size] zeros; odd pixels below and right."""
    height, width = x.shape[-2:]
    top, left = (size - height) // 2, (size - width) // 2
    edges = (left, size - width - left, top, size - height - top)
    return torch.nn.functional.pad(x, edges)
