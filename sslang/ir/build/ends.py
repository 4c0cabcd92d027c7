"""Ranges, arrows and schedules, which have two ends: what was meant by one written otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from sslang.diagnostics import Fix, Span
from sslang.diagnostics.fix import replacement
from sslang.ir.build.context import Context
from sslang.ir.build.values import Arrow, Family
from sslang.types import Interval

_LONGEST = 60  # characters of a text that a hint repeats

Given = Sequence[tuple[Any, Span]]


def short(text: str) -> str:
    """A text of the spec as a hint repeats it: `...` where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else "..."


def backwards(ctx: Context, range_: Interval, what: str, where: Span) -> NoReturn:
    """E309 for a range whose lower end stands last."""
    place = range_.span or where
    low, dots, high = place.text.partition("..")
    fix = None
    if dots and ".." not in high:
        fix = replacement(place, f"{high.strip()}..{low.strip()}")
    ctx.fail("E309", f"{what} goes from {range_.low:g} down to {range_.high:g}", place, fix=fix,
             hint=f"the lower end comes first: `{range_.high:g}..{range_.low:g}`")  # fmt: skip


def expect_range(ctx: Context, positional: Given) -> None:
    """E303 for `uniform(dim, -0.1, 0.1)`, whose two numbers are the ends of one range."""
    if not 2 <= len(positional) <= 3 or not all(is_number(v) for v, _ in positional):
        return
    first = positional[0][0]
    if len(positional) == 2 and float(first).is_integer() and first >= 1:
        return  # a width, and no range
    (_, low), (_, high) = positional[-2:]
    range_ = f"{low.text}..{high.text}"
    hint = f"write `uniform(dim, {range_})`, and of a weight or state `uniform(range = {range_})`"
    fix = None
    if len(positional) == 3:
        hint, fix = f"a range is written `{range_}`", replacement(low.to(high), range_)
    ctx.fail("E303", "`uniform` draws from a range, and this is two numbers", low.to(high),
             hint=hint, fix=fix)  # fmt: skip


def range_of_list(value: Any, where: Span) -> tuple[str, Fix | None]:
    """For `[0.2, 1]` where a range is due: `0.2..1`; ``""`` for another value."""
    members = value.members if isinstance(value, Family) else ()
    text = where.text
    ends = [end.strip() for end in text[1:-1].split(",")]
    if len(members) != 2 or len(ends) != 2 or not all(map(is_number, members)):
        return "", None
    range_ = f"{ends[0]}..{ends[1]}"
    return f"a range is written `{range_}`", replacement(where, range_)


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def ramp(shape: str, given: Mapping[str, tuple[Any, Span]], where: Span) -> tuple[str, Fix | None]:
    """For `cosine(0.99, 1)`, `cosine(0.99..1)` and `cosine([0.99, 1])`: `cosine(0.99 -> 1)`."""
    value, _ = given.get("ramp", (None, where))
    ends: Sequence[str] = ()
    place = where
    if isinstance(value, Interval) and where.text.count("..") == 1:
        ends = where.text.split("..")
    elif range_of_list(value, where)[0]:
        ends = where.text[1:-1].split(",")
    elif is_number(value) and "warmup" in given and is_number(given["warmup"][0]):
        second = given["warmup"][1]
        if where.source.text[where.end : second.start].strip() == ",":
            ends, place = (where.text, second.text), where.to(second)
    if not ends:
        first = where.text if is_number(value) else "0.1"
        return f"it goes from one number to another: `{shape}({short(first)} -> 0)`", None
    arrow = f"{ends[0].strip()} -> {ends[1].strip()}"
    return f"write `{shape}({arrow})`", replacement(place, arrow)


def scheduled(value: Any) -> str:
    """For a range where a number or a schedule is due: the schedule that it may mean."""
    if not isinstance(value, Interval):
        return ""
    return f"a schedule says how it goes there: `cosine({value.low:g} -> {value.high:g})`"


def bare_arrow(ctx: Context, arrow: Arrow, where: Span) -> NoReturn:
    """E307 for `a -> b` without its shape."""
    shapes = [f"`{shape}({arrow.start:g} -> {arrow.end:g})`" for shape in ("cosine", "linear")]
    ctx.fail("E307", "`a -> b` does not say how to go there", where,
             hint=f"write {' or '.join(shapes)}")  # fmt: skip
