"""`one_of([...])` and `some_of(n, [...])`: chains of view operations, drawn for each image."""

from __future__ import annotations

from typing import Any

from sslang.diagnostics import Span
from sslang.ir.build.context import Context
from sslang.ir.build.forms import SpecialForm, flag_of, word_given
from sslang.ir.build.values import Choice, Description, Family, describe
from sslang.types import Interval

Given = dict[str, tuple[Any, Span]]
MAX_PLACES = 400  # alternatives times slots, each an operation of the graph
_ORDERS = ("drawn", "listed")


def _one_of(ctx: Context, given: Given, span: Span) -> Description:
    return Description("view", (_choice(ctx, given, span, 1, 1, False, False),))


def _some_of(ctx: Context, given: Given, span: Span) -> Description:
    value, where = given.get("n", (None, span))
    low, high = (value.low, value.high) if isinstance(value, Interval) else (value, value)
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, int | float) or end != int(end) or end < 0:
            ctx.fail("E301", f"`n` is a number of alternatives or a range, not {describe(value)}",
                     where, hint="write e.g. `some_of(2, [...])` or `some_of(0..3, [...])`",
                     )  # fmt: skip
    listed = word_given(ctx, given, "order", _ORDERS) == "listed"
    replaced = flag_of(ctx, given, "replace")
    if listed and replaced:
        ctx.fail("E303", "with `order = listed` each alternative is applied once at the most", span,
                 hint="leave out `replace`, or the order")  # fmt: skip
    return Description("view", (_choice(ctx, given, span, int(low), int(high), replaced, listed),))


def _choice(
    ctx: Context, given: Given, span: Span, low: int, high: int, replace: bool, listed: bool
) -> Choice:
    from sslang.ir.build.calls import ready

    value, where = given.get("chains", (None, span))
    if not isinstance(value, Family) or not value.members:
        ctx.fail("E301", f"the alternatives are a list of chains, not {describe(value)}", where,
                 hint="write e.g. `one_of([horizontal_flip, rotation(30)])`")  # fmt: skip
    alternatives = []
    for member in value.members:
        chain = ready(ctx, member, where)
        if not isinstance(chain, Description) or chain.kind != "view" or not chain.stages:
            ctx.fail("E301", f"an alternative is a chain of view operations, not {describe(chain)}",
                     where)  # fmt: skip
        alternatives.append(chain.stages)
    count = len(alternatives)
    if low > high or (high > count and not replace) or high < 1:
        hint = "with `replace = true` one is drawn again and again"
        if low > high:
            hint = f"the lower end comes first: {high}..{low}"
        elif high < 1:
            hint = "draw at least one at the most, such as 0..1; `@` says how often any is"
        ctx.fail("E309", f"of {count} alternatives {low}..{high} cannot be drawn", span, hint=hint)
    if count * high > MAX_PLACES:
        ctx.fail("E311", f"{count} alternatives in {high} places are too many", span)
    return Choice(tuple(alternatives), low, high, replace, listed, span)


FORMS = (
    SpecialForm(
        "one_of", ("chains",),
        "One of several chains of view operations, drawn for each image:\n"
        "`one_of([gaussian_blur, motion_blur, median_blur(5)]) @ 0.5`.\n\n"
        "Each alternative is a chain of operations that keep the size and the channels; all are\n"
        "equally likely, and `@` gives the probability that one is applied at all. Each patch\n"
        "draws after `patches`. `@` within an alternative is no weight: it says how often the\n"
        "operation is applied once the alternative is drawn. Operations that mix images may be\n"
        "among them.\n\n"
        "In evaluation the choice is left out, whatever stands in it: what every image needs\n"
        "there, such as `normalize`, stands outside of it.\n\n"
        "A loss can read what an alternative drew, and whether it was applied:\n"
        "`view a = ... | one_of([rotation(30), equalize])` has `a.rotation.degrees` and\n"
        "`a.equalize.applied`.",
        _one_of,
    ),
    SpecialForm(
        "some_of", ("n", "chains", "order", "replace"),
        "n different ones of several chains of view operations, drawn for each image:\n"
        "`some_of(2, [rotation(30), equalize, posterize(4)])`; of a range such as `0..3` the\n"
        "number is drawn, too.\n\n"
        "They are applied in the order in which they are drawn, or with `order = listed` in\n"
        "that of the list. With `replace = true` one may be drawn again, as in RandAugment. In\n"
        "evaluation it is left out, as `one_of` is.",
        _some_of, words={"order": _ORDERS},
    ),
)  # fmt: skip
