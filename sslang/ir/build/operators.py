"""Operators: what `+`, `@`, `++`, `!=` mean on each kind of value."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sslang.diagnostics import Span
from sslang.ir.build import families, tensors
from sslang.ir.build.context import Context
from sslang.ir.build.values import (
    Builtin,
    BuiltNet,
    Choice,
    Description,
    Family,
    Part,
    Selector,
    Stage,
    State,
    Value,
    View,
    Word,
    describe,
)
from sslang.ops.schedules import Schedule
from sslang.ops.signs import PRIMITIVE
from sslang.types import Dim
from sslang.types.dims import add, divide, largest, multiply, scale

MAX_SIZE = 10**12
MAX_WORDS = 100

_PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "%": operator.mod, "**": operator.pow, "==": operator.eq, "!=": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def unary(ctx: Context, sign: str, value: Any, span: Span) -> Any:
    selector = as_selector(value, span)
    if sign == "not" and selector is not None:
        return _selector(ctx, "not", (selector,), span)
    if sign == "not":
        if isinstance(value, bool):
            return not value
        return tensors.mapped(ctx, "logical_not", [value], {}, span)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return -value
    if isinstance(value, Dim):
        return scale(value, -1)
    if isinstance(value, Schedule):
        return tensors.combine(ctx, "*", -1.0, value, span)
    return tensors.mapped(ctx, "negative", [value], {}, span)


def binary(ctx: Context, sign: str, left: Any, right: Any, span: Span) -> Any:
    if sign == "++":
        return families.join(ctx, left, right, span)
    if sign == "@" and not isinstance(left, Value | Family) and _is_chain_part(left):
        return _sometimes(ctx, left, right, span)
    if sign in ("and", "or"):
        return _logic(ctx, sign, left, right, span)
    if sign in ("==", "!=") and (isinstance(left, View) or isinstance(right, View)):
        same = isinstance(left, View) and isinstance(right, View) and left.key == right.key
        return same == (sign == "==")
    if _is_number(left) and _is_number(right) and sign in _PLAIN:
        return _fold(ctx, sign, left, right, span)
    if isinstance(left, Dim | int) and isinstance(right, Dim | int) and not _is_bool(left, right):
        size = _sizes(sign, left, right)
        if size is not None:
            if not isinstance(size, bool) and largest(size) > MAX_SIZE:
                ctx.fail("E309", "this size is out of range", span)
            return size
    if isinstance(left, Schedule) and (isinstance(right, Schedule) or _is_number(right)):
        return tensors.combine(ctx, sign, left, right, span)
    if isinstance(right, Schedule) and _is_number(left):
        return tensors.combine(ctx, sign, left, right, span)
    return tensors.mapped(ctx, PRIMITIVE[sign], [left, right], {}, span)


def _is_bool(*values: Any) -> bool:
    return any(isinstance(v, bool) for v in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fold(ctx: Context, sign: str, left: Any, right: Any, span: Span) -> Any:
    if sign == "**" and abs(right) > 64:
        ctx.fail("E309", "the exponent is too large", span)
    if sign == "/" and isinstance(left, int) and isinstance(right, int) and right:
        return left // right if left % right == 0 else left / right
    return tensors.fold(ctx, _PLAIN[sign], [left, right], {}, span)


def _sizes(sign: str, left: Dim | int, right: Dim | int) -> Any:
    """Arithmetic of sizes that stays a size; else None, and it becomes a tensor."""
    match sign:
        case "+":
            return add(left, right)
        case "-":
            return add(left, scale(right, -1))
        case "*":
            return multiply(left, right)
        case "/" if isinstance(right, int):
            return divide(left, right)
        case "==":
            return True if left == right else None
        case "!=":
            return False if left == right else None
    return None


def _is_chain_part(value: Any) -> bool:
    if isinstance(value, Description):
        return value.kind == "view"
    return isinstance(value, Builtin) and value.primitive.kind == "view"


def _sometimes(ctx: Context, left: Any, right: Any, span: Span) -> Description:
    """`op @ p`: the op on each image with probability p."""
    if not _is_number(right) or not 0 <= right <= 1:
        ctx.fail("E309", f"a probability lies in 0..1; this is {describe(right)}", span)
    chain = as_chain(ctx, left, span)
    if len(chain.stages) != 1:
        ctx.fail("E301", "`@` gives a probability to one operation, not to a chain", span)
    stage: Stage | Choice = chain.stages[0]
    if isinstance(stage, Stage) and stage.primitive.evaluation not in ("drop", "sure"):
        ctx.fail(
            "E301", f"`{stage.primitive.name}` changes what follows, so it cannot be random", span
        )
    return Description("view", (replace(stage, probability=stage.probability * float(right)),))


def as_chain(ctx: Context, value: Any, span: Span) -> Description:
    """A view operation without arguments, as the chain of itself."""
    if isinstance(value, Description):
        return value
    assert isinstance(value, Builtin)
    if value.primitive.needs_arguments:
        missing = [p.name for p in value.primitive.settings if p.default is p.empty]
        name = value.primitive.name
        ctx.fail("E303", f"`{name}` needs {', '.join(missing)}", span, hint=f"write `{name}(...)`")
    return Description(value.primitive.kind, (Stage(value.primitive, (), span),))


def _logic(ctx: Context, sign: str, left: Any, right: Any, span: Span) -> Any:
    if isinstance(left, bool) and isinstance(right, bool):
        return (left and right) if sign == "and" else (left or right)
    a, b = as_selector(left, span), as_selector(right, span)
    if a is not None and b is not None:
        return _selector(ctx, sign, (a, b), span)
    return tensors.mapped(ctx, PRIMITIVE[sign], [left, right], {}, span)


def _selector(ctx: Context, sign: str, operands: tuple[Selector, ...], span: Span) -> Selector:
    made = Selector(sign, operands, span)
    if made.words > MAX_WORDS:
        ctx.fail("E311", f"a selector has at most {MAX_WORDS} words", span)
    return made


def as_selector(value: Any, span: Span) -> Selector | None:
    """A net, a part or a word such as `bias` as a set of parameters; else None."""
    if isinstance(value, Selector):
        return value
    if isinstance(value, BuiltNet):
        return Selector("net", (value.name,), span)
    if isinstance(value, Part):
        return Selector("part", (value.net.name, value.name), span)
    if isinstance(value, State) and value.kind == "weight":
        return Selector("net", (value.name,), span)
    if isinstance(value, Family) and value.members:
        parts = [as_selector(m, span) for m in value.members]
        if None not in parts:
            made = parts[0]
            for part in parts[1:]:
                made = Selector("or", (made, part), span)
            return made
    if isinstance(value, Word) and value in ("bias", "norm"):
        return Selector("word", (str(value),), span)
    return None
