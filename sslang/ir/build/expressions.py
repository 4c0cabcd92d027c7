"""Evaluation of expressions: each form of the tree, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeGuard

from sslang.diagnostics import Span, nearest
from sslang.ir.build import (
    calls,
    families,
    habits,
    names,
    nets,
    operators,
    records,
    states,
    tensors,
)
from sslang.ir.build.context import MAX_LEVELS, Context, Scope
from sslang.ir.build.specials import SPECIALS
from sslang.ir.build.values import (
    Arrow,
    Branch,
    Builtin,
    BuiltNet,
    Durations,
    Family,
    Initial,
    NetSlice,
    Part,
    Special,
    State,
    Value,
    View,
    describe,
)
from sslang.model.recipe import FIELDS as FIELDS_OF_RECIPES
from sslang.ops.nets import PARTS
from sslang.ops.schedules import Ramp, Schedule, Sequence
from sslang.syntax import tree
from sslang.types import Dim, Duration, Interval

FIELDS = ("pooled", "grid", "cls", "patches")  # of the records that nets give


def evaluate(ctx: Context, node: tree.Node, scope: Scope) -> Any:
    """What an expression is worth. Raises DiagnosticError where it makes no sense."""
    handler = _HANDLERS.get(type(node))
    if handler is None:
        ctx.fail("E101", "this cannot stand in an expression", node.span)
    ctx.step(node.span)
    if ctx.levels >= MAX_LEVELS:
        message = f"declarations and calls lead to each other more than {MAX_LEVELS} levels deep"
        ctx.fail("E311", message, node.span)
    ctx.levels += 1
    try:
        return handler(ctx, node, scope)
    finally:
        ctx.levels -= 1


def number(ctx: Context, node: tree.Node, scope: Scope, what: str) -> float:
    """A plain number, or a diagnostic."""
    value = evaluate(ctx, node, scope)
    if isinstance(value, bool) or not isinstance(value, int | float):
        ctx.fail("E301", f"{what} is {describe(value)}; a number is due here", node.span)
    return value


def _name(ctx: Context, node: tree.Name, scope: Scope) -> Any:
    return names.lookup(ctx, node.name, node.span, scope)


def _list(ctx: Context, node: tree.ListOf, scope: Scope) -> Family:
    members = tuple(evaluate(ctx, item, scope) for item in node.items)
    if not members or not all(isinstance(m, View) for m in members):
        return families.family(ctx, tuple(range(len(members))), members, node.span)
    twice = next((m for i, m in enumerate(members) if m in members[:i]), None)
    if twice is not None:
        ctx.fail("E306", f"the view `{twice.key}` stands twice in this family", node.span)
    return Family(members, members)


def _quantity(ctx: Context, node: tree.Quantity, scope: Scope) -> Duration | Durations:
    value = evaluate(ctx, node.value, scope)
    items = value.members if isinstance(value, Family) else (value,)
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | float) or item < 0:
            ctx.fail("E301", f"a time is a number of {node.unit}, not {describe(item)}", node.span)
    unit: Any = node.unit
    durations = tuple(Duration(float(item), unit) for item in items)
    return Durations(durations) if isinstance(value, Family) else durations[0]


def _attribute(
    ctx: Context, node: tree.Attribute, scope: Scope, call: tree.Call | None = None
) -> Any:
    """A part of a net; `call` is the call whose function it is, if it is one."""
    value = evaluate(ctx, node.value, scope)
    if node.name == "T":
        return tensors.mapped(ctx, "transpose", [value], {}, node.span)
    if isinstance(value, BuiltNet):
        stages = value.description.stages
        parts = PARTS.get(stages[0].primitive.name, {}) if stages else {}
        if node.name not in parts:
            hint = nearest(node.name, parts) or "its parts: " + (", ".join(parts) or "none")
            ctx.fail(
                "E310", f"the net `{value.name}` has no part `{node.name}`", node.span, hint=hint
            )
        return Part(value, node.name)
    if isinstance(value, Branch):
        for stage in value.stages:
            if isinstance(stage, BuiltNet) and stage.name.split(".")[-1] == node.name:
                alike = replace(value, name="", stages=(stage,), average=None, applications=0)
                return alike if value.evaluation or value.fixed else stage
        inside = [s.name.split(".")[-1] for s in value.stages if isinstance(s, BuiltNet)]
        hint = f"its nets: {', '.join(inside)}"
        ctx.fail("E310", f"the branch has no net `{node.name}`", node.span, hint=hint)
    if node.name in FIELDS and isinstance(value, Value | Family):
        return records.field(ctx, value, node.name, node.span)
    arguments = [a.span for a in call.arguments] if call is not None else []
    fix = None
    if isinstance(value, Value | State | Family):
        whole = call.span if call is not None else node.span
        fix = habits.method_fix(node.name, whole, node.value.span, arguments)
    hint = habits.name_hint(value) if isinstance(value, str) else ""
    hint = hint or habits.method_hint(node.name)
    where = Span(node.span.source, node.value.span.end, node.span.end)
    ctx.fail("E310", f"{describe(value)} has no part `{node.name}`", where, hint=hint, fix=fix)


def _index(ctx: Context, node: tree.Index, scope: Scope) -> Any:
    value = evaluate(ctx, node.value, scope)
    if isinstance(value, Family):
        return families.member(ctx, value, node, scope)
    if isinstance(value, State):
        value = tensors.read(ctx, value, node.span)
    if isinstance(value, Value):
        items = tuple(subscript(ctx, item, scope) for item in node.items)
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


def subscript(ctx: Context, item: tree.Node, scope: Scope) -> object:
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
        ctx.fail("E301", f"{describe(value)} is no index: its entries are not whole numbers",
                 item.span)  # fmt: skip
    ctx.fail("E301", f"{describe(value)} is no index", item.span)


def _bounds(ctx: Context, node: tree.Index, scope: Scope) -> slice:
    bounds = subscript(ctx, node.items[0], scope)
    if len(node.items) != 1 or not isinstance(bounds, slice):
        ctx.fail("E306", "a net is cut by a slice, such as `g[:3]`", node.span)
    return bounds


def _unary(ctx: Context, node: tree.Unary, scope: Scope) -> Any:
    return operators.unary(ctx, node.operator, evaluate(ctx, node.value, scope), node.span)


def _binary(ctx: Context, node: tree.Binary, scope: Scope) -> Any:
    left = evaluate(ctx, node.left, scope)
    right = evaluate(ctx, node.right, scope)
    if node.operator == "|":
        return nets.pipe(ctx, left, right, node.span)
    return operators.binary(ctx, node.operator, left, right, node.span)


def _range(ctx: Context, node: tree.Range, scope: Scope) -> Interval:
    low = number(ctx, node.low, scope, "the lower end")
    high = number(ctx, node.high, scope, "the upper end")
    return Interval(low, high)


def _arrow(ctx: Context, node: tree.Arrow, scope: Scope) -> Arrow:
    return Arrow(
        number(ctx, node.start, scope, "the start"), number(ctx, node.end, scope, "the end")
    )


def _then(ctx: Context, node: tree.Then, scope: Scope) -> Schedule:
    first = evaluate(ctx, node.first, scope)
    second = evaluate(ctx, node.second, scope)
    if isinstance(second, int | float) and not isinstance(second, bool):
        second = Ramp("linear", float(second), float(second))
    if not isinstance(first, Ramp) or not isinstance(second, Schedule):
        ctx.fail("E301", "`then` joins two schedules", node.span)
    if first.over is None:
        ctx.fail("E308", "the schedule before `then` needs `over`, the time it takes",
                 node.first.span, hint="write e.g. `linear(0 -> 1, over = 10 epochs)`")  # fmt: skip
    return tensors.whole(ctx, Sequence(first, second), node.span)


def _conditional(ctx: Context, node: tree.Conditional, scope: Scope) -> Any:
    condition = evaluate(ctx, node.condition, scope)
    if not isinstance(condition, bool):
        ctx.fail("E301", f"the condition is {describe(condition)}, not a truth value",
                 node.condition.span, hint="for tensors: where(condition, a, b)")  # fmt: skip
    return evaluate(ctx, node.value if condition else node.otherwise, scope)


def _call(ctx: Context, node: tree.Call, scope: Scope) -> Any:
    if isinstance(node.function, tree.Attribute):
        function = _attribute(ctx, node.function, scope, node)
    elif _is_form(node.function, scope):
        function = Special(node.function.name)
    else:
        function = evaluate(ctx, node.function, scope)
    if _reduces_generator(function, node):
        generator = node.arguments[0].value
        assert isinstance(generator, tree.Comprehension)
        family = families.comprehension(ctx, generator, scope)
        return tensors.fold_members(ctx, function.primitive.name, family, node.span)
    positional: list[tuple[Any, Span]] = []
    named: dict[str, tuple[Any, Span]] = {}
    for argument in node.arguments:
        if isinstance(argument.value, tree.Comprehension):
            value: Any = families.comprehension(ctx, argument.value, scope)
        elif isinstance(argument.value, tree.Name):
            value = calls.word_or_value(ctx, function, argument, scope)
        else:
            value = evaluate(ctx, argument.value, scope)
        if argument.name is None:
            if named:
                ctx.fail("E303", "arguments by place come before those by name", argument.span)
            positional.append((value, argument.value.span))
        elif argument.name in named:
            ctx.fail("E303", f"`{argument.name}` is given twice", argument.span)
        else:
            named[argument.name] = (value, argument.value.span)
    return calls.call(ctx, function, positional, named, node.span)


def _is_form(function: tree.Node, scope: Scope) -> TypeGuard[tree.Name]:
    """Whether a form is called that a field of recipes is also named after: `groups(32)`."""
    return (
        isinstance(function, tree.Name)
        and function.name in FIELDS_OF_RECIPES
        and function.name in SPECIALS
        and function.name not in scope.local
    )


def _reduces_generator(function: Any, node: tree.Call) -> bool:
    return (
        isinstance(function, Builtin)
        and function.primitive.name in tensors.REDUCTIONS
        and len(node.arguments) == 1
        and isinstance(node.arguments[0].value, tree.Comprehension)
    )


def _comprehension(ctx: Context, node: tree.Comprehension, scope: Scope) -> Family:
    return families.comprehension(ctx, node, scope)


def _with(ctx: Context, node: tree.With, scope: Scope) -> Any:
    value = evaluate(ctx, node.value, scope)
    settings = {}
    for setting in node.settings:
        if setting.name is None:
            ctx.fail("E303", "a setting is written `name = value`", setting.span)
        settings[setting.name] = (evaluate(ctx, setting.value, scope), setting.span)
    if isinstance(value, Initial):
        return states.with_clock(ctx, value, settings, node.span)
    return nets.with_settings(ctx, value, settings, node.span)


def _on(ctx: Context, node: tree.On, scope: Scope) -> Any:
    value = evaluate(ctx, node.value, scope)
    return states.constrained(ctx, value, evaluate(ctx, node.constraint, scope), node.span)


def _text(ctx: Context, node: tree.Text, scope: Scope) -> str:
    return node.value


def _number(ctx: Context, node: tree.Number, scope: Scope) -> float:
    return node.value


_HANDLERS: dict[type, Callable[..., Any]] = {
    tree.Number: _number,
    tree.Text: _text,
    tree.Name: _name,
    tree.ListOf: _list,
    tree.Quantity: _quantity,
    tree.Attribute: _attribute,
    tree.Index: _index,
    tree.Unary: _unary,
    tree.Binary: _binary,
    tree.Range: _range,
    tree.Arrow: _arrow,
    tree.Then: _then,
    tree.Conditional: _conditional,
    tree.Call: _call,
    tree.Comprehension: _comprehension,
    tree.With: _with,
    tree.On: _on,
}
