"""Builders of single layers. Each takes keyword arguments only and returns a module."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

from sslang.emit.nets.norms import GroupedBatchNorm1d


def _fan_in_truncated(weight: Tensor) -> None:
    std = 1.0 / math.sqrt(weight.shape[1])
    nn.init.trunc_normal_(weight, std=std, a=-2.0 * std, b=2.0 * std)


# Under every name but "torch" the bias starts at zero.
INITS: dict[str, Callable[[Tensor], object]] = {
    "torch": lambda weight: None,  # as nn.Linear draws: U(-1/sqrt(in), 1/sqrt(in)), bias too
    "normal_0.01": lambda weight: nn.init.normal_(weight, std=0.01),  # SimCLR's heads
    "truncated_0.02": lambda weight: nn.init.trunc_normal_(weight, std=0.02),  # DINO's head
    "truncated_fan_in": _fan_in_truncated,  # Haiku's default: BYOL's heads
    "xavier": lambda weight: nn.init.xavier_uniform_(weight),
    "zeros": lambda weight: nn.init.zeros_(weight),
}


def linear(*, in_width: int, width: int, bias: bool = True, init: str = "torch") -> nn.Module:
    """[..., in_width] to [..., width]; `init` is a name in `INITS`."""
    layer = nn.Linear(in_width, width, bias=bias)
    if init == "torch":
        return layer
    INITS[init](layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def batch_norm(
    *,
    in_width: int,
    scale: bool = True,
    shift: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> nn.Module:
    """Batch norm over the rows of [rows, in_width]; `momentum` weighs the new statistics."""
    return GroupedBatchNorm1d(in_width, eps, momentum, scale=scale, shift=shift)


def layer_norm(
    *, in_width: int, scale: bool = True, shift: bool = True, eps: float = 1e-5
) -> nn.Module:
    """Layer norm over the last axis of [..., in_width]. Without `scale` there is no shift."""
    assert scale or not shift, "torch has no layer norm with a shift alone"
    return nn.LayerNorm(in_width, eps=eps, elementwise_affine=scale, bias=shift)


def relu() -> nn.Module:
    """max(x, 0), any shape."""
    return nn.ReLU(inplace=True)


def gelu() -> nn.Module:
    """Exact GELU, x * Phi(x), any shape."""
    return nn.GELU()


def flatten() -> nn.Module:
    """[rows, ...] to [rows, product of the rest]."""
    return nn.Flatten()
