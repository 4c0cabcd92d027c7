"""Lowerings of the tensor primitives that torch does not have under the language's own terms.

Where precision matters, a value of reduced precision is widened to float32 first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

Axis = int | Sequence[int] | None


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _float(x: Tensor) -> Tensor:
    """The values as numbers that have a mean: integers as float32."""
    return _wide(x) if x.is_floating_point() else x.float()


def rows(x: Tensor, *, of: int = 1) -> int:
    """The number of rows: of a view it is what the language calls `batch`, `of` patches a row."""
    return x.shape[0] // of


def number(value: float, *, like: Tensor) -> Tensor:
    """A scalar on the device of `like`."""
    return torch.full((), value, device=like.device, dtype=like.dtype)


def by_view(draws: Tensor, *, views: int) -> Tensor:
    """Draws [B, views * n] of each image as [views * B, n], the rows of joined views."""
    count = draws.shape[1] // views
    return draws.view(len(draws), views, count).transpose(0, 1).flatten(0, 1)


def exp(x: Tensor) -> Tensor:
    return torch.exp(_wide(x))


def log(x: Tensor) -> Tensor:
    return torch.log(_wide(x))


def sqrt(x: Tensor) -> Tensor:
    return torch.sqrt(_wide(x))


def maximum(a: Tensor | float, b: Tensor | float) -> Tensor:
    """The larger of two; a number bounds the tensor from below."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.maximum(a, b)
    if isinstance(a, Tensor):
        return a.clamp_min(b)
    assert isinstance(b, Tensor)
    return b.clamp_min(a)


def minimum(a: Tensor | float, b: Tensor | float) -> Tensor:
    """The smaller of two; a number bounds the tensor from above."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.minimum(a, b)
    if isinstance(a, Tensor):
        return a.clamp_max(b)
    assert isinstance(b, Tensor)
    return b.clamp_max(a)


def where(condition: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    return torch.where(condition.bool(), a, b)


def stop_grad(x: Tensor) -> Tensor:
    """The same values, cut from what made them."""
    return x.detach()


def scale_grad(x: Tensor, factor: float) -> Tensor:
    """The same values; gradients are multiplied by `factor`."""
    return x.detach() + factor * (x - x.detach())


def _axes(x: Tensor, axis: Axis) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.dim()))
    return (axis,) if isinstance(axis, int) else tuple(axis)


def sum(  # noqa: A001
    x: Tensor, where: Tensor | None = None, *, axis: Axis = None, keep: bool = False
) -> Tensor:
    x = _wide(x)
    if where is not None:
        x = torch.where(where.bool(), x, 0.0)
    return x.sum(_axes(x, axis), keepdim=keep) if x.dim() else x


def mean(
    x: Tensor, where: Tensor | None = None, *, axis: Axis = None, keep: bool = False
) -> Tensor:
    """The mean; over the entries that `where` names, it is 0 where there are none."""
    x = _float(x)
    if where is None:
        return x.mean(_axes(x, axis), keepdim=keep) if x.dim() else x
    mask = where.bool().expand_as(x)
    count = mask.sum(_axes(x, axis), keepdim=keep).clamp_min(1)
    return sum(x, mask, axis=axis, keep=keep) / count


def variance(x: Tensor, *, axis: Axis = None, keep: bool = False, unbiased: bool = False) -> Tensor:
    return _float(x).var(_axes(x, axis), correction=int(unbiased), keepdim=keep)


def max(x: Tensor, *, axis: Axis = None, keep: bool = False) -> Tensor:  # noqa: A001
    return x.amax(_axes(x, axis), keepdim=keep)


def min(x: Tensor, *, axis: Axis = None, keep: bool = False) -> Tensor:  # noqa: A001
    return x.amin(_axes(x, axis), keepdim=keep)


def argmax(x: Tensor, *, axis: int = -1) -> Tensor:
    return x.argmax(axis)


def rank(x: Tensor, *, axis: int = -1) -> Tensor:
    return x.argsort(stable=True, dim=axis).argsort(axis)


def log_softmax(x: Tensor, where: Tensor | None = None, *, axis: int = -1) -> Tensor:
    """log softmax; an entry that `where` excludes has no weight and no gradient, and is 0."""
    x = _wide(x)
    if where is None:
        return functional.log_softmax(x, axis)
    mask = where.bool()
    scores = functional.log_softmax(x.masked_fill(~mask, -torch.inf), axis)
    return scores.masked_fill(~mask, 0.0)


def log_sum_exp(
    x: Tensor, where: Tensor | None = None, *, axis: Axis = None, keep: bool = False
) -> Tensor:
    x = _wide(x)
    if where is not None:
        x = x.masked_fill(~where.bool(), -torch.inf)
    return x.logsumexp(_axes(x, axis), keepdim=keep)


def cumulative_sum(x: Tensor, *, axis: int = -1) -> Tensor:
    return _wide(x).cumsum(axis)


def transpose(x: Tensor) -> Tensor:
    return x.transpose(-2, -1)


def concat(*xs: Tensor, axis: int = 0) -> Tensor:
    return torch.cat(xs, axis)


def stack(*xs: Tensor, axis: int = 0) -> Tensor:
    return torch.stack(xs, axis)


def flatten(x: Tensor, *, axis: int = 1, last: int = -1) -> Tensor:
    return x.flatten(axis, last)


def unflatten(x: Tensor, *, axis: int, first: int) -> Tensor:
    shape = list(x.shape)
    at = axis % x.dim()
    return x.reshape(*shape[:at], first, shape[at] // first, *shape[at + 1 :])


def pixels(x: Tensor, *, grid: tuple[int, int] | None = None) -> Tensor:
    """Images as they are; patches [B * h * w, C, s, s] as [B, h, w, s * s * C]."""
    return x if grid is None else x.permute(0, 2, 3, 1).reshape(-1, *grid, x[0].numel())


def cholesky(x: Tensor) -> Tensor:
    lower: Tensor = torch.linalg.cholesky(_wide(x))
    return lower


def solve_triangular(a: Tensor, b: Tensor, *, upper: bool = False) -> Tensor:
    x: Tensor = torch.linalg.solve_triangular(_wide(a), _wide(b), upper=upper)
    return x


def singular_values(x: Tensor) -> Tensor:
    values: Tensor = torch.linalg.svdvals(_wide(x))
    return values


def roll(x: Tensor, *, by: int, axis: int = 0) -> Tensor:
    return x.roll(by, axis)


def take(x: Tensor, index: Tensor) -> Tensor:
    """The entry of the last axis that `index` names, for each row: [R, N], [R] -> [R]."""
    return x.gather(-1, index[..., None]).squeeze(-1)


def gather(x: Tensor, index: Tensor) -> Tensor:
    """The rows of `x` [N, ...] that `index` [...] names: [index..., ...]."""
    return x[index]


def one_hot(index: Tensor, *, n: int, like: Tensor) -> Tensor:
    """1.0 at the place that each integer names: [..., n]."""
    return functional.one_hot(index, n).to(like.dtype)


def index(x: Tensor, *, items: tuple[object, ...]) -> Tensor:
    return x[items]  # type: ignore[index]


def arange(*, n: int, like: Tensor) -> Tensor:
    return torch.arange(n, device=like.device)


def linspace(*, low: float, high: float, n: int, like: Tensor) -> Tensor:
    return torch.linspace(low, high, n, device=like.device, dtype=like.dtype)


def eye(*, n: int, like: Tensor) -> Tensor:
    return torch.eye(n, device=like.device, dtype=like.dtype)


def permute_rows(x: Tensor, permutation: Tensor) -> Tensor:
    """The rows of `x` in the order of `permutation`, [images]; those of an image stay together."""
    if len(x) == len(permutation):
        return x[permutation]
    images = x.view(len(permutation), -1, *x.shape[1:])
    return images[permutation].flatten(0, 1)


def unpermute_rows(x: Tensor, permutation: Tensor) -> Tensor:
    """The inverse of `permute_rows`."""
    return x[torch.argsort(permutation)]


def member(x: Tensor, *, at: int, of: int) -> Tensor:
    """The rows of one of `of` members that are joined along rows."""
    return x.chunk(of)[at]
