"""Positions of patches: the fixed sine-cosine table, and tables at another resolution."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def sincos_positions(rows: int, columns: int, width: int) -> Tensor:
    """Fixed positions [rows * columns, width], row by row.

    Quarters of the width: sin and cos of the row, sin and cos of the column, each times
    10000^(-4i/width), i = 0 .. width/4 - 1. (For a square grid these are MoCo v3's numbers.)
    """
    assert width % 4 == 0, "sin-cos positions need a width divisible by 4"
    quarter = width // 4
    frequency = 1.0 / 10000.0 ** (torch.arange(quarter, dtype=torch.float32) / quarter)
    row = torch.arange(rows, dtype=torch.float32).repeat_interleave(columns)
    column = torch.arange(columns, dtype=torch.float32).repeat(rows)
    angles = [torch.outer(row, frequency), torch.outer(column, frequency)]
    return torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], dim=1)


def interpolated(positions: Tensor, side: int) -> Tensor:
    """A table [1, 1 + n * n, width] for a square grid of `side` patches: [1, 1 + side^2, width].

    DINO's code (Caron et al., 2021): bicubic, without antialiasing, at the scale
    (side + 0.1) / n, which is not quite side / n: the 0.1 guards the number of samples
    against rounding. The first position, the class token's, stays as it is.
    """
    built = math.isqrt(positions.shape[1] - 1)
    if side == built:
        return positions
    table = positions[:, 1:].reshape(1, built, built, -1).permute(0, 3, 1, 2)
    scale = (side + 0.1) / built
    table = F.interpolate(table, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([positions[:, :1], table.flatten(2).transpose(1, 2)], dim=1)
