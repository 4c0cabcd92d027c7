"""Primitives on tensors: constants folded, families mapped over, shapes checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sslang.diagnostics import Label, Span
from sslang.ir.build import undefined
from sslang.ir.build.context import Context
from sslang.ir.build.values import Branch, BuiltNet, Family, NetSlice, State, Value, View, describe
from sslang.ir.graph import LATCH, READ, SCHEDULE, SIZE, WEIGHT, Operand
from sslang.ops import PRIMITIVES, Misfit, Primitive
from sslang.ops.schedules import Combined, Schedule
from sslang.types import SCALAR, Dim, TensorType

# What primitives are on plain numbers, so that `sqrt(3 / dim)` is a number.
_FOLDED: dict[str, Callable[..., float]] = {
    "exp": math.exp, "log": math.log, "sqrt": math.sqrt, "cos": math.cos, "sin": math.sin,
    "abs": abs, "maximum": max, "minimum": min,
    "where": lambda condition, a, b: a if condition else b,
    "add": lambda a, b: a + b, "divide": lambda a, b: a / b,
    "stop_grad": lambda x: x, "scale_grad": lambda x, factor: x,
}  # fmt: skip

_NUMBERS = (int, float)  # a tuple: unions are slow, and every op asks
MAX_PARTS = 100
MAX_ENTRIES = 2**33  # of one tensor, axes of the batch's length left out

# What reduces the values of a generator, pair by pair.
_BINARY = {"sum": "add", "mean": "add", "max": "maximum", "min": "minimum"}
REDUCTIONS = frozenset(_BINARY)


def read(ctx: Context, state: State, span: Span) -> Value:
    """The rows of a state as of t; a weight as the optimizer left it."""
    if state.kind == "weight":
        node = ctx.add(WEIGHT, (), state.type, span, {"net": state.name}, hint=state.name)
    elif isinstance(state.initial, Value):
        settings = {"state": state.name}
        node = ctx.add(
            LATCH, [state.initial.node], state.type, span, settings, hint=state.name.lower()
        )
    else:
        node = ctx.add(READ, (), state.type, span, {"state": state.name}, hint=state.name.lower())
    return Value(node.name, state.type)


def as_operand(ctx: Context, value: Any, span: Span) -> tuple[Operand, TensorType]:
    """A value as the input of a node; DiagnosticError where it is no tensor or number."""
    if isinstance(value, State):
        value = read(ctx, value, span)
    if isinstance(value, Value):
        return value.node, value.type
    if isinstance(value, bool):
        return value, TensorType((), "bool")
    if isinstance(value, int):
        return value, TensorType((), "int")
    if isinstance(value, float):
        return value, SCALAR
    if isinstance(value, Dim):
        node = ctx.add(SIZE, (), SCALAR, span, {"size": value}, hint="size")
        return node.name, SCALAR
    if isinstance(value, Schedule):
        node = ctx.add(SCHEDULE, (), SCALAR, span, {"schedule": value}, hint="scheduled")
        return node.name, SCALAR
    if isinstance(value, View):
        ctx.fail("E301", f"`{value.key}` is a view; a tensor is due here", span,
                 hint="apply a net to the view first")  # fmt: skip
    hint = ""
    if value in ("epoch", "step"):
        hint = "what changes with time is a schedule: `linear(0 -> 1, over = 10 epochs)`"
    if isinstance(value, BuiltNet | Branch | NetSlice):
        name = value.net.name if isinstance(value, NetSlice) else value.name
        hint = f"apply it to a view or a tensor: `{name or 'f'}(x)`"
    ctx.fail("E301", f"{describe(value)} stands where a tensor or a number is due", span, hint=hint)


def op(
    ctx: Context, name: str, inputs: Sequence[Any], settings: Mapping[str, Any], span: Span
) -> Any:
    """One primitive on tensors; on plain numbers it is computed at once."""
    primitive = PRIMITIVES[name]
    ctx.step(span)
    if inputs and all(isinstance(i, _NUMBERS) for i in inputs):
        if name in _FOLDED and not any(isinstance(i, bool) for i in inputs[-2:]):
            return fold(ctx, _FOLDED[name], inputs, settings, span)
        ctx.fail("E301", f"{describe(inputs[0])} stands where a tensor is due", span)
    operands: list[Operand] = []
    types: list[TensorType | None] = []
    for at, value in enumerate(inputs):
        if value is None and is_optional(primitive, at):
            operands.append(None)
            types.append(None)
            continue
        operand, type_ = as_operand(ctx, value, span)
        operands.append(operand)
        types.append(type_)
    variadic = name in ("concat", "stack")
    try:
        if variadic:
            result = primitive.rule(types, **settings)
        else:
            by_name = dict(zip(primitive.inputs, types, strict=False))
            result = primitive.rule(**by_name, **settings)
    except Misfit as misfit:
        ctx.fail(misfit.code, misfit.message, span, hint=misfit.hint,
                 labels=_origins(ctx, operands, span))  # fmt: skip
    shown = undefined.after(ctx, name, operands, types, settings, span)
    if shown != result.shown:
        result = replace(result, shown=shown)
    entries = math.prod([size for size in result.shape if isinstance(size, int)])
    if entries > MAX_ENTRIES:
        ctx.fail("E311", f"the result {result} is too large", span)
    node = ctx.add(name, operands, result, span, settings)
    return Value(node.name, result)


def _origins(ctx: Context, operands: Sequence[Operand], span: Span) -> list[Label]:
    """Where the tensors come from that do not fit, if not from the place itself."""
    by_name = {node.name: node for node in ctx.nodes}
    labels: dict[Span, Label] = {}
    for operand in operands:
        node = by_name.get(operand) if isinstance(operand, str) else None
        while node is not None and node.op not in (READ, WEIGHT) and not _before(node.span, span):
            node = by_name.get(next(iter(node.references), ""))
        place = None if node is None else node.span
        if node is not None and node.op in (READ, WEIGHT):
            name = str(node.setting("state" if node.op == READ else "net")).split(".")[0]
            entry = ctx.resolved.namespace.entries.get(name)
            place = entry.span if entry is not None else None
        if node is not None and place is not None and _before(place, span):
            labels.setdefault(place, Label(place, f"this is {node.type}"))
    return list(labels.values())


def _before(place: Span | None, span: Span) -> bool:
    """Whether a place lies in the same file, and not within `span`."""
    if place is None or place.source is not span.source:
        return False
    return place.start < span.start or span.end < place.end


def is_optional(primitive: Primitive, at: int) -> bool:
    """Whether an input, by its place, may be left out."""
    names = primitive.inputs
    return at < len(names) and primitive.signature.parameters[names[at]].default is None


def fold(
    ctx: Context,
    compute: Callable[..., float],
    inputs: Sequence[float],
    settings: Mapping[str, Any],
    span: Span,
) -> float:
    try:
        value = compute(*inputs, **settings)
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        ctx.fail("E309", f"this has no value: {error}", span)
    if isinstance(value, complex) or (isinstance(value, int | float) and abs(value) > 1e30):
        ctx.fail("E309", "this number is out of range", span)
    return value


def pixels(ctx: Context, value: Any, place: Span, span: Span) -> Any:
    """`pixels(view)`, of each member of a family."""
    if isinstance(value, Family):
        return Family(value.keys, tuple(pixels(ctx, m, place, span) for m in value.members))
    if not isinstance(value, View):
        ctx.fail("E301", f"`pixels` is of a view, not of {describe(value)}", place)
    try:
        result = PRIMITIVES["pixels"].rule(value.type)
    except Misfit as misfit:
        ctx.fail(misfit.code, misfit.message, span, hint=misfit.hint)
    settings = {} if value.type.grid is None else {"grid": value.type.grid}
    return Value(ctx.add("pixels", [value.node], result, span, settings).name, result)


def mapped(
    ctx: Context, name: str, inputs: Sequence[Any], settings: Mapping[str, Any], span: Span
) -> Any:
    """`op`, member by member where an input is a family."""
    families = [i for i in inputs if isinstance(i, Family)]
    if not families:
        return op(ctx, name, inputs, settings, span)
    keys = common_keys(ctx, families, span)
    members = tuple(
        mapped(ctx, name, [i.members[at] if isinstance(i, Family) else i for i in inputs],
               settings, span)
        for at in range(len(keys))
    )  # fmt: skip
    return Family(keys, members)


def common_keys(ctx: Context, families: Sequence[Family], span: Span) -> tuple[Any, ...]:
    keys = families[0].keys
    for other in families[1:]:
        if [str(k) for k in other.keys] != [str(k) for k in keys]:
            ctx.fail("E306", f"these families have different keys: {_told(families[0])} and "
                     f"{_told(other)}", span,
                     hint="values are taken together key by key; `++` joins families")  # fmt: skip
    return keys


def _told(family: Family) -> str:
    keys = ", ".join(map(str, family.keys)) or "none"
    return keys if len(keys) <= 40 else f"{len(family)} of them"


def fold_members(ctx: Context, name: str, family: Family, span: Span) -> Any:
    """`sum`, `mean`, `max` or `min` over the values of a generator."""
    if not family.members:
        ctx.fail("E306", "the generator makes no value to reduce", span)
    total = family.members[0]
    for member in family.members[1:]:
        total = mapped(ctx, _BINARY[name], [total, member], {}, span)
    return mapped(ctx, "divide", [total, len(family)], {}, span) if name == "mean" else total


def combine(ctx: Context, sign: str, left: Any, right: Any, span: Span) -> Schedule:
    """Arithmetic with a schedule and plain numbers is a schedule."""
    if sign not in ("+", "-", "*", "/"):
        ctx.fail("E301", f"`{sign}` is not defined on schedules", span)
    if sign == "/" and not isinstance(right, Schedule) and right == 0:
        ctx.fail("E309", "division by zero", span)
    return whole(ctx, Combined(sign, left, right), span)


def whole(ctx: Context, schedule: Schedule, span: Span) -> Schedule:
    """The schedule, or E311 where it has too many parts."""
    if schedule.parts > MAX_PARTS:
        ctx.fail("E311", f"a schedule has at most {MAX_PARTS} parts", span)
    return schedule
