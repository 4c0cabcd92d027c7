"""Builders of single layers. Each takes keyword arguments only and returns a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslang.emit.nets.draws import fan_in_truncated
from sslang.emit.nets.norms import GroupedBatchNorm1d

# Under every name but "torch" the bias starts at zero.
INITS: dict[str, Callable[[Tensor], object]] = {
    "torch": lambda weight: None,  # as nn.Linear draws: U(-1/sqrt(in), 1/sqrt(in)), bias too
    "normal_0.01": lambda weight: nn.init.normal_(weight, std=0.01),  # SimCLR's heads
    "truncated_0.02": lambda weight: nn.init.trunc_normal_(weight, std=0.02),  # DINO's head
    "truncated_fan_in": fan_in_truncated,  # Haiku's default: BYOL's heads
    "xavier": lambda weight: nn.init.xavier_uniform_(weight),
    "zeros": lambda weight: nn.init.zeros_(weight),
}


class WeightNormLinear(nn.Module):
    """A linear layer of weights g * v / ||v||, row by row (Salimans and Kingma, 2016).

    `weight_v` [width, in_width] is as `nn.Linear` draws it; `weight_g` [width, 1] is 1 at
    first, a parameter if `trained` and else a buffer. The keys are those of torch's
    `weight_norm`, and so of DINO's last layer.
    """

    weight_g: Tensor
    bias: Tensor | None

    def __init__(self, in_width: int, width: int, *, bias: bool, trained: bool) -> None:
        super().__init__()
        plain = nn.Linear(in_width, width, bias=bias)
        self.weight_v = plain.weight
        self.register_parameter("bias", plain.bias if bias else None)
        gain = torch.ones(width, 1)
        if trained:
            self.weight_g = nn.Parameter(gain)
        else:
            self.register_buffer("weight_g", gain)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_width] to [..., width]."""
        length = torch.linalg.vector_norm(self.weight_v, dim=1, keepdim=True)
        return F.linear(x, self.weight_v * (self.weight_g / length), self.bias)


def linear(
    *,
    in_width: int,
    width: int,
    bias: bool = True,
    init: str = "torch",
    weight_norm: Literal["trained", "frozen"] | None = None,
) -> nn.Module:
    """[..., in_width] to [..., width]; `init` is a name in `INITS`, and draws the directions
    where the weights are normalised."""
    layer: nn.Linear | WeightNormLinear
    if weight_norm is None:
        layer = nn.Linear(in_width, width, bias=bias)
        weight = layer.weight
    else:
        layer = WeightNormLinear(in_width, width, bias=bias, trained=weight_norm == "trained")
        weight = layer.weight_v
    if init == "torch":
        return layer
    INITS[init](weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class FeatureBatchNorm(GroupedBatchNorm1d):
    """Batch norm of the last axis of [rows, ..., D], over rows and all places between."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape; the plan's groups are of rows."""
        if x.dim() == 2:
            return super().forward(x)
        return super().forward(x.movedim(-1, 1)).movedim(1, -1)


def batch_norm(
    *,
    in_width: int,
    scale: bool = True,
    shift: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> nn.Module:
    """Batch norm of [rows, ..., in_width]; `momentum` weighs the new statistics."""
    return FeatureBatchNorm(in_width, eps, momentum, scale=scale, shift=shift)


def layer_norm(
    *, in_width: int, scale: bool = True, shift: bool = True, eps: float = 1e-5
) -> nn.Module:
    """Layer norm over the last axis of [..., in_width]. Without `scale` there is no shift."""
    assert scale or not shift, "torch has no layer norm with a shift alone"
    return nn.LayerNorm(in_width, eps=eps, elementwise_affine=scale, bias=shift)


class FeatureGroupNorm(nn.GroupNorm):
    """Group norm of the last axis of [..., D], each row alone."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return super().forward(x.reshape(-1, x.shape[-1])).view_as(x)


def group_norm(*, in_width: int, groups: int = 16, eps: float = 1e-5) -> nn.Module:
    """Group norm (Wu and He, 2018) of [..., in_width] with trained scale and shift."""
    return FeatureGroupNorm(groups, in_width, eps)


def relu() -> nn.Module:
    """max(x, 0), any shape."""
    return nn.ReLU(inplace=True)


def gelu() -> nn.Module:
    """Exact GELU, x * Phi(x), any shape."""
    return nn.GELU()


def flatten() -> nn.Module:
    """[rows, ...] to [rows, product of the rest]."""
    return nn.Flatten()
