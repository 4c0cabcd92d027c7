"""Which rows of a batch an op is applied to, and how its result gets back to them.

The draws are on the host, so the drawn rows are known there: an op touches those rows alone
and nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Draws = NDArray[np.float64]
Indices = NDArray[np.int64]


def drawn_rows(u: Draws, probability: float) -> Indices:
    """The rows whose first number in `u`, [B, 1+K], falls below `probability`."""
    return np.flatnonzero(u[:, 0] < probability)


def to_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """`values` on `device`, without waiting for it; numbers other than integers as float32."""
    if values.dtype.kind == "f":
        values = values.astype(np.float32)
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def apply_to_rows(x: Tensor, rows: Indices, op: Callable[[Tensor], Tensor]) -> Tensor:
    """`x`, [B, ...], with `op` applied to its `rows`, taken in the order given.

    `op` gets a copy that it may change in place; `x` itself is never changed.
    """
    if len(rows) == 0:
        return x
    index = to_device(rows, x.device)
    changed = op(x.index_select(0, index))
    if len(rows) == len(x):
        return torch.empty_like(x).index_copy_(0, index, changed)
    return x.index_copy(0, index, changed)


def to_drawn_rows(
    x: Tensor, u: Draws, *, function: str, probability: float = 1.0, **settings: Any
) -> Tensor:
    """Return `x`, [B, C, H, W], with its drawn rows changed by an op that draws nothing itself.

    `function` is the dotted path of its code, and `u`, [B, 1], says which rows are drawn.
    """
    module, _, name = function.rpartition(".")
    changed = getattr(import_module(module), name)
    return apply_to_rows(x, drawn_rows(u, probability), lambda part: changed(part, **settings))
