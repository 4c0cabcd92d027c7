"""A transformer on a part of the tokens: the rest is not computed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def scattered(
    blocks: Callable[[Tensor, Tensor | None], Tensor], tokens: Tensor, keep: Tensor
) -> Tensor:
    """`blocks` on the class token and the patches that `keep` [B, N] names; 0 for the others.

    tokens [B, 1 + N, D] to the same. Rows that keep fewer than the fullest are filled up, and
    the second argument of `blocks` is then a mask [B, 1, 1, n] of what attention may see.
    """
    keep = torch.cat([keep.new_ones(len(keep), 1), keep], dim=1)
    counts = keep.sum(1)
    most = int(counts.max()) if len(counts) else 1
    places = keep.logical_not().to(torch.uint8).argsort(stable=True, dim=1)[:, :most]
    index = places.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
    shown = keep.gather(1, places)
    mask = None if bool((counts == most).all()) else shown[:, None, None, :]
    out = blocks(tokens.gather(1, index), mask) * shown.unsqueeze(-1)
    return torch.zeros_like(tokens, dtype=out.dtype).scatter(1, index, out)
