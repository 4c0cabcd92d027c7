"""Transformers."""

import math
from typing import Literal

from sslang.ops.declare import Misfit, as_tensor, net_op
from sslang.ops.nets.built import Built, check_width, images, pooled
from sslang.types import BATCH, TensorType, ViewType


@net_op("sslang.emit.nets.vit.vit")
def vit(
    x: ViewType,
    patch: int,
    width: int,
    depth: int,
    heads: int,
    mlp_ratio: float = 4.0,
    position: Literal["sincos", "learned"] = "sincos",
    init: Literal["mocov3", "dino", "timm", "mae"] = "mocov3",
) -> Built:
    """A vision transformer (Dosovitskiy et al., 2021), timm's; returns the class token.

    [batch, width]. `position = sincos` is MoCo v3's fixed 2-D embedding, and `init` names the
    initial draw: MoCo v3's, DINO's, timm's or MAE's. Views may differ in size: the positions are
    built for the largest, and interpolated for the others as DINO does. The setting `drop_path` of
    a branch is the rate of its stochastic depth at the last block; it rises from 0 at the first.
    Its parts are `embed` (the patch projection), `cls`, `blocks`, `last_norm`. Its result is a
    record: `f(x).cls`, which `f(x)` stands for; `f(x).patches`, the tokens [batch, h * w, width]
    in rows of the image; `f(x).grid`, the same as [batch, h, w, width]; `f(x).pooled`, their mean.
    All are taken after the last norm.

    `f(x, keep = mask)` is shown the patches of which the mask [batch, h * w] is true, and computes
    no others (He et al., 2022): those of `f(x, keep = mask).patches` are undefined until `where`
    replaces them.
    """
    view, size = images(x, "vit")
    if patch < 1 or size % patch:
        hint = f"patches of {_nearest_divisors(size, patch)} pixels do"
        raise Misfit(f"patches of {patch} pixels do not tile a view of {size}", hint, "E309")
    check_width(width)
    if not 0 < mlp_ratio <= 64:
        raise Misfit(f"mlp_ratio is {mlp_ratio}; it must lie in 0..64", code="E309")
    _check_heads(width, heads, position)
    if not 1 <= depth <= 200:
        raise Misfit(f"the depth is {depth}; it must lie in 1..200", code="E309")
    arguments = {
        "resolution": size, "patch": patch, "width": width, "depth": depth, "heads": heads,
        "mlp_ratio": mlp_ratio, "position": position, "init": init, "channels": view.channels,
    }  # fmt: skip
    return Built(
        pooled(view, width),
        arguments,
        drops_of_blocks(depth),
        "resolution",
        _record(view, size // patch, width),
    )


def drops_of_blocks(depth: int) -> int:
    """How many uniform numbers a row stochastic depth takes: of every block attention and MLP.

    Rates rise from 0 at the first block, so one alone drops nothing.
    """
    return 2 * depth if depth > 1 else 0


def _check_heads(width: int, heads: int, position: str | None) -> None:
    if heads < 1 or width % heads:
        hint = f"take {_nearest_divisors(width, heads)} heads"
        raise Misfit(f"a width of {width} cannot be split over {heads} heads", hint, "E309")
    if position == "sincos" and width % 4:
        hint = "take a multiple of 4, or `position = learned`"
        raise Misfit(f"`sincos` has four parts, and the width is {width}", hint, "E309")


def _nearest_divisors(number: int, near: int) -> str:
    """`4 or 8`: the divisors of `number` below and above another number."""
    found = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    found = sorted({*found, *(number // d for d in found)})
    below, above = [d for d in found if d < near][-1:], [d for d in found if d > near][:1]
    return " or ".join(map(str, (*below, *above)))


@net_op("sslang.emit.nets.vit.transformer")
def transformer(
    x: TensorType,
    depth: int,
    heads: int,
    mlp_ratio: float = 4.0,
    position: Literal["sincos", "learned"] | None = "sincos",
    init: Literal["mae", "dino"] = "mae",
) -> Built:
    """Blocks of a transformer on tokens, [batch, tokens, width] -> the same, and a last norm.

    `position` is added first: the fixed 2-D table for tokens that are a square grid in rows, a
    trained one, or none. `init` names the initial draw of the linear layers: Xavier's, uniform
    (MAE, He et al., 2022), or normal with a deviation of 0.02, cut at 2 (DINO). MAE's decoder is
    `transformer(depth = 8, heads = 16)` with linear layers before and after it. The setting
    `drop_path` of a branch is the rate of its stochastic depth at the last block; it rises from 0
    at the first.
    """
    tensor = as_tensor(x, "the input of `transformer`")
    if tensor.rank != 3 or not all(isinstance(s, int) for s in tensor.shape[1:]):
        raise Misfit(f"`transformer` acts on [batch, tokens, width]; this is {tensor}")
    tokens, width = (int(str(s)) for s in tensor.shape[1:])
    check_width(width)
    _check_heads(width, heads, position)
    if position == "sincos" and math.isqrt(tokens) ** 2 != tokens:
        hint = "take `position = learned` or `position = none`"
        raise Misfit(f"{tokens} tokens are no square grid, as `sincos` has it", hint, "E309")
    if not 1 <= depth <= 200:
        raise Misfit(f"the depth is {depth}; it must lie in 1..200", code="E309")
    if not 0 < mlp_ratio <= 64:
        raise Misfit(f"mlp_ratio is {mlp_ratio}; it must lie in 0..64", code="E309")
    arguments = {
        "tokens": tokens, "width": width, "depth": depth, "heads": heads, "mlp_ratio": mlp_ratio,
        "position": position, "init": init,
    }  # fmt: skip
    return Built(tensor, arguments, drops_of_blocks(depth))


def _record(view: ViewType, side: int, width: int) -> dict[str, TensorType]:
    if view.grid is not None:
        return {}
    row = TensorType((BATCH, width))
    return {
        "cls": row,
        "patches": TensorType((BATCH, side * side, width)),
        "grid": TensorType((BATCH, side, side, width)),
        "pooled": row,
    }
