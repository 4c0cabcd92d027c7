"""What stands in brackets behind a value: keys, indices and slices."""

from __future__ import annotations

from typing import Any

from sslang.ir.build import advice, families, nets, tensors
from sslang.ir.build.context import Context, Scope
from sslang.ir.build.values import Branch, BuiltNet, Family, NetSlice, State, Value, describe
from sslang.syntax import tree
from sslang.types import Dim, Size


def index(ctx: Context, node: tree.Index, scope: Scope) -> Any:
    """`x[...]`: a member of a family, rows or entries of a tensor, a slice of a net."""
    from sslang.ir.build.expressions import evaluate

    value = evaluate(ctx, node.value, scope)
    if isinstance(value, Family):
        return families.member(ctx, value, node, scope)
    if isinstance(value, State):
        value = tensors.read(ctx, value, node.span)
    if isinstance(value, Value):
        rows = value.type.shape[0] if value.type.rank else None
        items = tuple(subscript(ctx, item, scope, rows) for item in node.items)
        if len(items) == 1 and isinstance(items[0], Value | Family):
            return tensors.mapped(ctx, "gather", [value, items[0]], {}, node.span)
        for item, at in zip(items, node.items, strict=True):
            if isinstance(item, Value | Family):
                ctx.fail("E303", "a tensor of integers stands alone in the brackets", at.span,
                         hint="`x[i]` gathers rows; `take(x, i)` picks an entry a row")  # fmt: skip
        return tensors.op(ctx, "index", [value], {"items": items}, node.span)
    if isinstance(value, BuiltNet | Branch | NetSlice):
        return nets.sliced(ctx, value, _bounds(ctx, node, scope), node.span)
    ctx.fail("E306", f"{describe(value)} cannot be indexed", node.span)


def subscript(ctx: Context, item: tree.Node, scope: Scope, rows: Size | None = None) -> object:
    """What stands in brackets: a number, a slice, integers. `rows` are those of what is indexed."""
    from sslang.ir.build.expressions import evaluate

    if isinstance(item, tree.Ellipsis_):
        return Ellipsis
    if isinstance(item, tree.Slice):
        bounds = [None if b is None else evaluate(ctx, b, scope) for b in (item.start, item.stop)]
        for bound in bounds:
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int | Dim)):
                ctx.fail(
                    "E301", f"a slice goes between whole numbers, not {describe(bound)}", item.span
                )
        return slice(*bounds)
    value = evaluate(ctx, item, scope)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, Value) and value.type.dtype == "int":
        return value
    if isinstance(value, Value | State):
        hint, fix = advice.integers(ctx, value, item.span, rows)
        ctx.fail("E301", f"{describe(value)} is no index: its entries are not whole numbers",
                 item.span, hint=hint, fix=fix)  # fmt: skip
    ctx.fail("E301", f"{describe(value)} is no index", item.span)


def _bounds(ctx: Context, node: tree.Index, scope: Scope) -> slice:
    bounds = subscript(ctx, node.items[0], scope)
    if len(node.items) != 1 or not isinstance(bounds, slice):
        ctx.fail("E306", "a net is cut by a slice, such as `g[:3]`", node.span)
    return bounds
