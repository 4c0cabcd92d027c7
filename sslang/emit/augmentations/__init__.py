"""Ops of views that a class of kornia computes: their numbers, and what is done with them.

An op's numbers are drawn by kornia's own generator, on the host, for the whole batch, under a seed
that is made of (seed, phase, step, site); each part of a batch takes those of its rows. Noise and
other fields are drawn row by row. So a view is the same however the batch is split (rule 9).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sslang.emit.augmentations.form import Drawn, Form, Source, form_of, seeded
from sslang.emit.views.rows import to_device

__all__ = ["Drawn", "Form", "Source", "augment", "form_of", "transform"]


@torch.no_grad()
def augment(x: Tensor, drawn: Drawn, *, op: str, **settings: Any) -> Tensor:
    """Return `x`, [B, C, H, W], with the op applied to its drawn rows, by their numbers."""
    form = form_of(op, settings, x.shape[-1])
    if len(drawn.rows) == 0:
        return x
    if drawn.partners is not None:
        taken = torch.cat([x.index_select(0, to_device(at, x.device)) for at in
                           (drawn.rows, *drawn.partners.T)])  # fmt: skip
    elif len(drawn.rows) == len(x):
        taken = x
    else:
        taken = x.index_select(0, to_device(drawn.rows, x.device))
    changed = form.apply(taken, drawn.numbers)
    if len(drawn.rows) == len(x):
        return changed
    return x.index_copy(0, to_device(drawn.rows, x.device), changed)


@torch.no_grad()
def transform(x: Tensor, *, op: str, **settings: Any) -> Tensor:
    """Return `x`, [B, C, H, W], under an op that draws nothing."""
    form = form_of(op, settings, x.shape[-1])
    with seeded(0):
        return form.call(x, form.module.generate_parameters(x.shape))  # type: ignore[operator]
