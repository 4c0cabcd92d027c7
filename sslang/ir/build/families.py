"""Families: maps from views or integers to values, and what runs over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sslang.diagnostics import Label, Span
from sslang.diagnostics.fix import replacement
from sslang.ir.build import advice
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
    from sslang.ir.build.expressions import evaluate
    from sslang.ir.build.subscripts import subscript

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
    if found is None and isinstance(key, int) and not isinstance(key, bool):
        found = _by_place(ctx, whole, key, item.span)
    if found is None:
        known = [str(k) for k in whole.keys]
        shown = ", ".join(known if len(known) <= 8 else [*known[:3], "...", known[-1]])
        ctx.fail("E310", f"the family has no member for {describe(key)}", item.span,
                 hint=f"its keys: {shown or 'none'}",
                 fix=advice.key_in_quotes(ctx, key, whole, item.span))  # fmt: skip
    return found


def _by_place(ctx: Context, whole: Family, place: int, span: Span) -> Any:
    """The member at a place of a family of views, or in a function, which knows no view's name.

    E310 for other families over views, whose members are named by the view.
    """
    views = [k for k in whole.keys if isinstance(k, View)]
    if len(views) != len(whole) or not -len(views) <= place < len(views):
        return None
    if ctx.called or whole.keys == whole.members:
        return whole.members[place]
    names = [advice.spelled(ctx, view) for view in views]
    shown = ", ".join(names if len(names) <= 8 else [*names[:3], "...", names[-1]])
    ctx.fail("E310", f"the keys of this family are views: {shown}", span,
             hint=f"write `[{names[place]}]`", fix=replacement(span, names[place]))  # fmt: skip


def comprehension(ctx: Context, node: tree.Comprehension, scope: Scope) -> Family:
    """The members `value for v in S for w in T if condition`, as a family 0, 1, ..."""
    from sslang.ir.build.expressions import evaluate

    members: list[Any] = []
    _expect_names_of_their_own(ctx, node.generators)

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


def _expect_names_of_their_own(ctx: Context, generators: Sequence[tree.Generator]) -> None:
    """E216 for `for v in x for v in y`, whose second `v` would be read in both places."""
    for at, generator in enumerate(generators):
        first = next((g for g in generators[:at] if g.name == generator.name), None)
        if first is not None:
            ctx.fail("E216", f"two variables of this generator are called `{generator.name}`",
                     generator.span, labels=[Label(first.span, "the first of them")],
                     hint=f"give the second a name of its own, and use both: `for {first.name} in "
                     f"{first.over.span.text} for w in {generator.over.span.text}`")  # fmt: skip


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
