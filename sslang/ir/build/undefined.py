"""Tokens that a net was not shown are undefined until `where` with their mask replaces them.

Every operation that goes token by token hands the mark on. One that mixes tokens would let what is
undefined into what is not: E313.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from sslang.diagnostics import Span
from sslang.ir.build.context import Context
from sslang.ir.graph import Operand
from sslang.types import TensorType, Type

_BY_ENTRY = frozenset((
    "add", "subtract", "multiply", "divide", "modulo", "power", "negative", "exp", "log", "sqrt",
    "cos", "sin", "abs", "maximum", "minimum", "where", "stop_grad", "scale_grad", "equal",
    "not_equal", "less", "less_equal", "greater", "greater_equal",
))  # fmt: skip
_ALONG_AN_AXIS = frozenset((
    "sum", "mean", "variance", "max", "min", "argmax", "log_softmax", "log_sum_exp", "rank",
    "cumulative_sum",
))  # fmt: skip
BY_TOKEN = frozenset(("linear", "layer_norm", "group_norm", "relu", "gelu"))  # layers


def after(
    ctx: Context,
    op: str,
    operands: Sequence[Operand],
    types: Sequence[TensorType | None],
    settings: Mapping[str, Any],
    span: Span,
) -> str:
    """The mask of the result of an op, ``""`` where it is defined; E313 where it cannot be."""
    masks = [t.shown if t is not None else "" for t in types]
    marked = set(masks) - {""}
    if not marked:
        return ""
    if op == "where" and masks[1] and _is_mask(ctx, operands[0], masks[1]):
        masks[1] = ""
        marked = set(masks) - {""}
    excludes = op in ("sum", "mean", "log_sum_exp", "log_softmax") and len(masks) > 1
    if excludes and not masks[1] and _is_mask(ctx, operands[1], masks[0]):
        return ""
    if len(marked) > 1:
        refuse(ctx, "two masks meet here", span)
    first = types[0]
    if op in _BY_ENTRY and all(t is None or not t.shown or t.rank == _rank(types) for t in types):
        return next(iter(marked), "")
    if op in _ALONG_AN_AXIS and first is not None and _axes(first, settings) >= 2:
        return next(iter(marked))
    refuse(ctx, f"`{op}` mixes tokens, and some of these were not shown to the net", span)


def refuse(ctx: Context, message: str, span: Span) -> NoReturn:
    """E313 with what to do."""
    ctx.fail("E313", message, span,
             hint="replace the others first: `where(mask[..., none], x, other)`")  # fmt: skip


def _rank(types: Sequence[TensorType | None]) -> int:
    return max(t.rank for t in types if t is not None)


def _axes(x: TensorType, settings: Mapping[str, Any]) -> int:
    """The first axis that is reduced."""
    axis = settings.get("axis")
    axes: tuple[int, ...] = (axis,) if isinstance(axis, int) else tuple(axis or range(x.rank))
    return min(a % x.rank for a in axes)


def _is_mask(ctx: Context, operand: Operand, mask: str) -> bool:
    """Whether a value is the mask, with new axes at its end."""
    name = operand
    while isinstance(name, str) and name != mask:
        node = ctx.node(name)
        if node.op != "index":
            return False
        before = ctx.node(str(node.inputs[0]))
        if not _only_new_axes(node.setting("items"), before.type):
            return False
        name = before.name
    return name == mask


def _only_new_axes(items: tuple[object, ...], type_: Type) -> bool:
    """Whether a subscript adds axes after all that the value has, and does nothing else."""
    whole = [i for i in items if i is Ellipsis or i == slice(None)]
    rank = type_.rank if isinstance(type_, TensorType) else 0
    reaches = Ellipsis in whole or len(whole) == rank
    return reaches and items == (*whole, *[None] * (len(items) - len(whole)))
