"""Moving averages of parameters (rule 11): one fused pass over all tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def average_(targets: Sequence[Tensor], sources: Sequence[Tensor], momentum: float) -> None:
    """targets <- momentum * targets + (1 - momentum) * sources, tensor by tensor, in place.

    Exact at momentum 0 and 1, and where both are equal. Parameters only: buffers have
    statistics of their own.
    """
    assert len(targets) == len(sources), "an average has the parameters of its net"
    assert 0.0 <= momentum <= 1.0, f"momentum {momentum} is not in 0..1"
    if targets:
        torch._foreach_lerp_(list(targets), list(sources), 1.0 - momentum)
