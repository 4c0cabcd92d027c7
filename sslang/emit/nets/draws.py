"""Initial draws of weights that torch has no function for."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_CUT = 0.87962566103423978  # the standard deviation of a normal variable cut at +-2


@torch.no_grad()
def fan_in_truncated(weight: Tensor) -> None:
    """Haiku's default: normal of deviation 1 / sqrt(fan-in), cut at two deviations."""
    std = 1.0 / math.sqrt(weight[0].numel())
    nn.init.trunc_normal_(weight, std=std, a=-2.0 * std, b=2.0 * std)


@torch.no_grad()
def variance_scaling(weight: Tensor) -> None:
    """Keras' variance scaling: the same, but of variance 1 / fan-in after the cut."""
    std = 1.0 / math.sqrt(weight[0].numel()) / _CUT
    nn.init.trunc_normal_(weight, std=std, a=-2.0 * std, b=2.0 * std)
