"""Random numbers as values: a draw is a function of (seed, phase, step, site, row)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from sslang.diagnostics import Span
from sslang.diagnostics.fix import replacement
from sslang.ir.build.context import Context
from sslang.ir.build.forms import SpecialForm, word_given
from sslang.ir.build.values import Value, describe
from sslang.ir.graph import DRAW
from sslang.types import BATCH, Dim, Size, TensorType

MAX_ENTRIES = 2**31  # of one draw, the batch left out

Kind = Literal["uniform", "normal", "integers"]
_OFTEN = ("row", "step", "run")


def _bound_by_place(
    ctx: Context, given: dict[str, tuple[Any, Span]], sizes: list[tuple[Any, Span]]
) -> None:
    """E303 for `draw_integers(512, dataset)`, whose bound has its name."""
    if "below" in given or not sizes or not isinstance(sizes[-1][0], Dim):
        return
    value, where = sizes[-1]
    ctx.fail("E303", "`below` is given by name", where, hint=f"write `below = {value}`",
             fix=replacement(where, f"below = {where.text}"))  # fmt: skip


def _draw(kind: Kind) -> Callable[..., Value]:
    def build(ctx: Context, given: dict[str, tuple[Any, Span]], span: Span) -> Value:
        if ctx.mode == "evaluation":
            ctx.fail("E312", f"`features` depends on `draw_{kind}`", span,
                     hint="features are the same at every evaluation")  # fmt: skip
        per = word_given(ctx, given, "per", _OFTEN)
        listed = given.get("sizes", ([], span))[0]
        if kind == "integers":
            _bound_by_place(ctx, given, listed)
        sizes = [_size(ctx, v, s) for v, s in listed]
        if math.prod(sizes) > MAX_ENTRIES:
            ctx.fail("E311", f"a draw of the shape {sizes} is too large", span)
        settings: dict[str, Any] = {"site": ctx.site("draw"), "kind": kind, "per": per}
        if kind == "integers":
            settings["below"] = _below(ctx, given, span)
        shape: tuple[Size, ...] = (BATCH, *sizes) if per == "row" else tuple(sizes)
        type_ = TensorType(shape, "int" if kind == "integers" else "float")
        return Value(ctx.add(DRAW, (), type_, span, settings, hint="drawn").name, type_)

    return build


def _size(ctx: Context, value: Any, span: Span) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        ctx.fail("E301", f"a size of a draw is a number of 1 or more, not {describe(value)}", span)
    return value


def _below(ctx: Context, given: dict[str, tuple[Any, Span]], span: Span) -> Size:
    value, where = given.get("below", (None, span))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not whole and not isinstance(value, Dim):
        ctx.fail("E301", f"`below` is a number of 1 or more or a size, not {describe(value)}",
                 where, hint="write e.g. `draw_integers(16, below = dataset)`")  # fmt: skip
    assert isinstance(value, int | Dim)
    return value


_PER = (
    "`per` says how often: `row` (a draw for each image: the result is [batch, sizes...]),\n"
    "`step` (one for the whole batch: [sizes...]) or `run` (the same in every step). A bound\n"
    "draw is one value, wherever it stands; processes, micro-batches and resumes see the same."
)

FORMS = (
    SpecialForm(
        "draw_uniform", ("sizes", "per"),
        "Independent numbers, uniform in 0..1: `draw_uniform(16)` is [batch, 16].\n\n" + _PER,
        _draw("uniform"), variadic="sizes", words={"per": _OFTEN},
    ),
    SpecialForm(
        "draw_normal", ("sizes", "per"),
        "Independent standard normal numbers: `draw_normal(16)` is [batch, 16].\n\n" + _PER,
        _draw("normal"), variadic="sizes", words={"per": _OFTEN},
    ),
    SpecialForm(
        "draw_integers", ("sizes", "below", "per"),
        "Independent integers 0 .. below-1, with replacement: `draw_integers(16, below = n)` is\n"
        "[batch, 16].\n\n" + _PER,
        _draw("integers"), variadic="sizes", words={"per": _OFTEN},
    ),
)  # fmt: skip
