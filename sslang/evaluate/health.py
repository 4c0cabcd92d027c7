"""Cheap figures that show a collapse of the embeddings while a run goes on."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def embedding_std(embeddings: Tensor) -> Tensor:
    """How far the directions of `embeddings` [B, D] spread: 1 over the sphere, 0 collapsed.

    Rows are l2-normalised; the standard deviation over the batch of each dimension is averaged
    over dimensions and multiplied by sqrt(D), since a uniform direction has deviation
    1 / sqrt(D) a dimension. A batch of one spreads 0. Source: Chen and He, "Exploring Simple
    Siamese Representation Learning", 2021, section 4.1. Returns a float32 scalar on the
    embeddings' device.
    """
    assert embeddings.ndim == 2
    unit = functional.normalize(embeddings.detach().float(), dim=1)
    spread: Tensor = unit.std(dim=0, correction=0).mean() * embeddings.shape[1] ** 0.5
    return spread


def effective_rank(embeddings: Tensor) -> Tensor:
    """How many directions `embeddings` [B, D] take up, from 1 to min(B, D).

    exp of the entropy of the singular values divided by their sum, without centring. Source:
    Roy and Vetterli, "The effective rank", 2007; Garrido et al., "RankMe", 2023. A measure of
    at most B directions: compare only batches of the same size. NaN where the embeddings are
    not finite. Returns a float32 scalar on the embeddings' device.
    """
    assert embeddings.ndim == 2
    values = embeddings.detach().float()
    if not bool(values.isfinite().all()):
        return values.new_full((), torch.nan)
    singular = torch.linalg.svdvals(values)
    share = singular / singular.sum().clamp(min=torch.finfo(torch.float32).tiny)
    rank: Tensor = torch.special.entr(share).sum().exp()
    return rank
