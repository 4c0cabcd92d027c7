"""`a | b`: descriptions joined, nets joined into a branch, or a value sent through."""

from __future__ import annotations

from typing import Any

from sslang.diagnostics import Span
from sslang.ir.build import calls, operators
from sslang.ir.build.context import Context
from sslang.ir.build.nets import apply, replace_branch
from sslang.ir.build.values import (
    NOTHING,
    Branch,
    Builtin,
    BuiltNet,
    ChainFrom,
    Description,
    Family,
    Function,
    Momentum,
    NetSlice,
    State,
    Value,
    View,
    describe,
)
from sslang.syntax import tree

MAX_STAGES = 1000

Joined = Branch | BuiltNet | NetSlice | Function | Builtin | Description


def pipe(ctx: Context, left: Any, right: Any, node: tree.Binary) -> Any:
    """What `left | right` is; a diagnostic stands at the side that does not fit."""
    span = node.span
    if isinstance(left, Value | View | State | Family):
        return _send(ctx, left, right, node)
    if isinstance(left, ChainFrom):
        right = calls.ready(ctx, right, node.right.span)
        if not isinstance(right, Description):
            ctx.fail("E304", "a view gets a name before a net is applied to it", span,
                     hint="declare it: `view x = ...`")  # fmt: skip
        return ChainFrom(left.view, _described(ctx, left.chain, right, span))
    left = calls.ready(ctx, left, node.left.span)
    right = calls.ready(ctx, right, node.right.span)
    left = NOTHING if left is None else left
    right = NOTHING if right is None else right
    if isinstance(left, Description) and isinstance(right, Description):
        return _described(ctx, left, right, span)
    if isinstance(left, Momentum) or isinstance(right, Momentum):
        ctx.fail("E304", "an `ema` needs a name before it is used", span,
                 hint="write `branch target = ema(...)`")  # fmt: skip
    return _branch(ctx, {node.left.span: left, node.right.span: right}, span)


def _branch(ctx: Context, sides: dict[Span, Any], span: Span) -> Branch:
    """The nets and functions of both sides in order, with the settings that they share."""
    for where, side in sides.items():
        if not isinstance(side, Joined):
            ctx.fail("E304", f"`|` joins nets and functions; this is {describe(side)}", where)
    stages: list[Any] = []
    for where, side in sides.items():
        if isinstance(side, Branch):
            stages.extend(side.stages)
        elif not isinstance(side, Description):
            stages.append(side)
        elif side.stages:
            ctx.fail("E304", "a built net is joined with a description, which has no parameters",
                     where, hint="give the description a name with `head`")  # fmt: skip
    branches = [s for s in sides.values() if isinstance(s, Branch)]
    if len(stages) > MAX_STAGES:
        ctx.fail("E311", f"a branch has at most {MAX_STAGES} stages", span)
    if len({(s.batch_norm, s.drop_path, s.evaluation, s.fixed) for s in branches}) > 1:
        ctx.fail("E304", "branches with different settings are joined", span,
                 hint="apply one to the result of the other: `a(x) | b`")  # fmt: skip
    if not branches:
        return Branch("", tuple(stages))
    return replace_branch(branches[0], name="", stages=tuple(stages), average=None)


def _described(ctx: Context, left: Description, right: Description, span: Span) -> Description:
    if left.stages and right.stages and left.kind != right.kind:
        ctx.fail("E301", "view operations and net layers cannot be joined by `|`", span,
                 hint="a view is declared by `view`, and a net applied to it")  # fmt: skip
    if left.origin is not None or right.origin is not None:
        ctx.fail("E304", "a net that is loaded is declared alone", span,
                 hint="give it a name with `encoder`; a `branch` joins names")  # fmt: skip
    stages = left.stages + right.stages
    if len(stages) > MAX_STAGES:
        ctx.fail("E311", f"a net or chain has at most {MAX_STAGES} stages", span)
    return Description((left if left.stages else right).kind, stages)


def _send(ctx: Context, value: Any, right: Any, node: tree.Binary) -> Any:
    span = node.span
    if isinstance(right, BuiltNet | Branch | NetSlice):
        return apply(ctx, right, value, span)
    if isinstance(right, Builtin) and right.primitive.kind in ("view", "net"):
        right = operators.as_chain(ctx, right, node.right.span)
    if isinstance(right, Description):
        if isinstance(value, View) and right.kind == "view":
            return ChainFrom(value, right)
        ctx.fail("E304", "this is a description; it has no parameters yet", node.right.span,
                 hint="give it a name with `encoder` or `head`")  # fmt: skip
    return calls.applied(ctx, right, value, span)
