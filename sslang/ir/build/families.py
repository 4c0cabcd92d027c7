"""Families: maps from views or integers to values, and what runs over them."""

from __future__ import annotations

import math
from typing import Any

from sslang.diagnostics import Span
from sslang.ir.build.context import Context, Scope
from sslang.ir.build.values import Family, Key, View, describe
from sslang.syntax import tree
from sslang.types import Dim, Interval

MAX_MEMBERS = 1024


def family(ctx: Context, keys: tuple[Key, ...], members: tuple[Any, ...], span: Span) -> Family:
    """The family of these members; E311 where, with the members of members, it is too large."""
    made = Family(keys, members)
    if made.leaves > MAX_MEMBERS:
        ctx.fail("E311", f"a family has at most {MAX_MEMBERS} members", span)
    return made


def join(ctx: Context, left: Any, right: Any, span: Span) -> Family:
    """`a ++ b`: integers are counted on, views stay what they are."""
    if not isinstance(left, Family) or not isinstance(right, Family):
        ctx.fail("E306", "`++` joins two families", span, hint="one value is a family as `[x]`")
    keys = (*left.keys, *right.keys)
    if all(isinstance(k, int) for k in keys):
        keys = tuple(range(len(keys)))
    elif len({str(k) for k in keys}) != len(keys):
        ctx.fail("E306", "the two families share a key", span)
    return family(ctx, keys, (*left.members, *right.members), span)


def member(ctx: Context, whole: Family, node: tree.Index, scope: Scope) -> Any:
    """`family[key]`, by view or by place, and `family[a:b]`."""
    from sslang.ir.build.expressions import evaluate, subscript

    if len(node.items) != 1:
        ctx.fail("E306", "a family takes one index", node.span)
    item = node.items[0]
    if isinstance(item, tree.Slice):
        bounds = subscript(ctx, item, scope)
        assert isinstance(bounds, slice)
        if any(isinstance(bound, Dim) for bound in (bounds.start, bounds.stop)):
            ctx.fail("E301", "a family is cut between plain numbers", item.span)
        chosen = range(*bounds.indices(len(whole)))
        keys = tuple(whole.keys[i] for i in chosen)
        return Family(keys, tuple(whole.members[i] for i in chosen))
    key = evaluate(ctx, item, scope)
    found = whole.get(key)
    by_place = isinstance(key, int) and not isinstance(key, bool)
    if found is None and by_place and all(isinstance(k, View) for k in whole.keys):
        found = whole.members[key] if -len(whole) <= key < len(whole) else None
    if found is None:
        known = [str(k) for k in whole.keys]
        shown = ", ".join(known if len(known) <= 8 else [*known[:3], "...", known[-1]])
        ctx.fail("E310", f"the family has no member for {describe(key)}", item.span,
                 hint=f"its keys: {shown or 'none'}")  # fmt: skip
    return found


def comprehension(ctx: Context, node: tree.Comprehension, scope: Scope) -> Family:
    """The members `value for v in S for w in T if condition`, as a family 0, 1, ..."""
    from sslang.ir.build.expressions import evaluate

    members: list[Any] = []

    def run(depth: int, inner: Scope) -> None:
        if depth == len(node.generators):
            if node.condition is not None:
                holds = evaluate(ctx, node.condition, inner)
                if not isinstance(holds, bool):
                    ctx.fail(
                        "E301", "the condition of a generator compares keys", node.condition.span
                    )
                if not holds:
                    return
            if len(members) >= MAX_MEMBERS:
                ctx.fail("E311", f"a generator makes at most {MAX_MEMBERS} values", node.span)
            members.append(evaluate(ctx, node.value, inner))
            return
        generator = node.generators[depth]
        for key in keys_of(ctx, evaluate(ctx, generator.over, inner), generator.over.span):
            run(depth + 1, inner.with_(**{generator.name: key}))

    run(0, scope)
    return family(ctx, tuple(range(len(members))), tuple(members), node.span)


def keys_of(ctx: Context, value: Any, span: Span) -> tuple[Key, ...]:
    """What a generator runs over: the keys of a family, or the integers of a range."""
    if isinstance(value, Family):
        return value.keys
    if isinstance(value, Interval):
        low, high = value.low, value.high
        if math.floor(low) != low or math.floor(high) != high:
            ctx.fail("E301", "a range to run over has whole ends", span)
        if high - low >= MAX_MEMBERS:
            ctx.fail("E311", f"a family has at most {MAX_MEMBERS} members", span)
        return tuple(range(int(low), int(high) + 1))
    ctx.fail("E306", f"a generator runs over a family or a range, not {describe(value)}", span)
