"""Stochastic depth (Huang et al., 2016) by numbers that are given, not drawn."""

from __future__ import annotations

from torch import Tensor, nn


def drops_of(part: nn.Module) -> int:
    """How many uniform numbers a row `part` takes: 0 unless it has an attribute `drops`.

    A part that takes some has the signature `forward(x, drop_path, drops)`.
    """
    drops = getattr(part, "drops", 0)
    assert isinstance(drops, int)
    return drops


def rate_at(depth: int, of: int, drop_path: float) -> float:
    """The rate of block `depth` of `of`: linear from 0 at the first to `drop_path` at the last."""
    return drop_path * depth / (of - 1) if of > 1 else 0.0


def dropped(branch: Tensor, rate: float, uniform: Tensor) -> Tensor:
    """A residual branch [rows, ...]: 0 in rows where `uniform` [rows] is below `rate`.

    What is kept is divided by 1 - rate, so that the expectation is that of the branch.
    """
    if not rate:
        return branch
    kept = (uniform >= rate).to(branch.dtype) / (1.0 - rate)
    return branch * kept.view(-1, *(1,) * (branch.dim() - 1))
