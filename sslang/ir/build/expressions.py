"""Evaluation of expressions: each form of the tree, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from sslang.diagnostics import Diagnostic, DiagnosticError, Span, nearest
from sslang.ir.build import (
    advice,
    calls,
    chains,
    families,
    habits,
    names,
    nets,
    operators,
    pipes,
    records,
    states,
    subscripts,
    tensors,
)
from sslang.ir.build.context import MAX_LEVELS, Context, Scope, Together
from sslang.ir.build.specials import SPECIALS
from sslang.ir.build.values import (
    Arrow,
    Branch,
    Builtin,
    BuiltNet,
    Durations,
    Family,
    Initial,
    Part,
    Special,
    State,
    Value,
    View,
    ViewOp,
    describe,
)
from sslang.model.recipe import FIELDS as FIELDS_OF_RECIPES
from sslang.ops.nets import PARTS
from sslang.ops.schedules import Ramp, Schedule
from sslang.ops.schedules import Sequence as Joined
from sslang.syntax import tree
from sslang.types import Duration, Interval

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


def all_of(ctx: Context, nodes: Sequence[tree.Node], scope: Scope) -> list[Any]:
    """What expressions that stand beside each other are worth; what is wrong is raised together."""
    found: list[Any] = []
    try:
        for node in nodes:
            found.append(evaluate(ctx, node, scope))
    except DiagnosticError as error:
        together = Together(error)
        for node in nodes[len(found) + 1 :]:
            with together:
                evaluate(ctx, node, scope)
        together.done()
    return found


def number(ctx: Context, node: tree.Node, scope: Scope, what: str) -> float:
    """A plain number, or a diagnostic."""
    value = evaluate(ctx, node, scope)
    if isinstance(value, bool) or not isinstance(value, int | float):
        ctx.fail("E301", f"{what} is {describe(value)}; a number is due here", node.span)
    return value


def _name(ctx: Context, node: tree.Name, scope: Scope) -> Any:
    return names.lookup(ctx, node.name, node.span, scope)


def _list(ctx: Context, node: tree.ListOf, scope: Scope) -> Family:
    members = tuple(all_of(ctx, node.items, scope))
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
    if not isinstance(value, Family):
        return Duration(float(value), unit, node.span)
    listed = node.value.items if isinstance(node.value, tree.ListOf) else ()
    spans = [item.span for item in listed] or [node.span] * len(items)
    return Durations(tuple(Duration(float(i), unit, s) for i, s in zip(items, spans, strict=True)))


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
        hint, fix = advice.member(ctx, value, node)
        ctx.fail("E310", f"the branch has no net `{node.name}`", node.span, fix=fix,
                 hint=hint or f"its nets: {', '.join(inside)}")  # fmt: skip
    if isinstance(value, View | ViewOp):
        found = chains.part_of(ctx, value, node.name, node.span)
        if found is not None:
            return found
    if isinstance(value, Family) and all(isinstance(m, View | ViewOp) for m in value.members):
        of_each = tuple(chains.part_of(ctx, m, node.name, node.span) for m in value.members)
        if of_each and all(part is not None for part in of_each):
            return Family(value.keys, of_each)
    if node.name in FIELDS and isinstance(value, Value | Family):
        return records.field(ctx, value, node.name, node.span)
    arguments = [a.span for a in call.arguments] if call is not None else []
    fix = None
    if isinstance(value, Value | State | Family):
        whole = call.span if call is not None else node.span
        fix = habits.method_fix(node.name, whole, node.value.span, arguments)
    hint = habits.name_hint(value) if isinstance(value, str) else ""
    if isinstance(value, Family) and fix is None:
        hint, fix = advice.member(ctx, value, node)
    hint = hint or habits.method_hint(node.name)
    if not hint and isinstance(value, View):
        hint = chains.numbers_hint(ctx, value, node.name)
    if not hint and isinstance(value, Value):
        hint = f"of what a net gives there are {', '.join(f'`{name}`' for name in FIELDS)}"
    where = Span(node.span.source, node.value.span.end, node.span.end)
    ctx.fail("E310", f"{describe(value)} has no part `{node.name}`", where, hint=hint, fix=fix)


def _unary(ctx: Context, node: tree.Unary, scope: Scope) -> Any:
    return operators.unary(ctx, node.operator, evaluate(ctx, node.value, scope), node.span)


def _binary(ctx: Context, node: tree.Binary, scope: Scope) -> Any:
    left, right = all_of(ctx, (node.left, node.right), scope)
    if node.operator == "|":
        return pipes.pipe(ctx, left, right, node)
    if node.operator == "+":
        advice.expect_values(ctx, node, left, right)
    if node.operator == "@":
        advice.turned(ctx, node, left, right)
    return operators.binary(ctx, node.operator, left, right, node.span)


def _range(ctx: Context, node: tree.Range, scope: Scope) -> Interval:
    low, high = _numbers(ctx, {"the lower end": node.low, "the upper end": node.high}, scope)
    return Interval(low, high, node.span)


def _arrow(ctx: Context, node: tree.Arrow, scope: Scope) -> Arrow:
    start, end = _numbers(ctx, {"the start": node.start, "the end": node.end}, scope)
    return Arrow(start, end)


def _numbers(ctx: Context, nodes: Mapping[str, tree.Node], scope: Scope) -> list[float]:
    found, together = [], Together()
    for what, node in nodes.items():
        with together:
            found.append(number(ctx, node, scope, what))
    together.done()
    return found


def _then(ctx: Context, node: tree.Then, scope: Scope) -> Schedule:
    first, second = all_of(ctx, (node.first, node.second), scope)
    if isinstance(second, int | float) and not isinstance(second, bool):
        second = Ramp("linear", float(second), float(second))
    if not isinstance(first, Ramp) or not isinstance(second, Schedule):
        ctx.fail("E301", "`then` joins two schedules", node.span)
    if first.over is None:
        ctx.fail("E308", "the schedule before `then` needs `over`, the time it takes",
                 node.first.span, hint="write e.g. `linear(0 -> 1, over = 10 epochs)`")  # fmt: skip
    return tensors.whole(ctx, Joined(first, second), node.span)


def _conditional(ctx: Context, node: tree.Conditional, scope: Scope) -> Any:
    condition = evaluate(ctx, node.condition, scope)
    if not isinstance(condition, bool):
        ctx.fail("E301", f"the condition is {describe(condition)}, not a truth value",
                 node.condition.span, hint="for tensors: where(condition, a, b)")  # fmt: skip
    return evaluate(ctx, node.value if condition else node.otherwise, scope)


def _call(ctx: Context, node: tree.Call, scope: Scope) -> Any:
    try:
        function = _function(ctx, node, scope)
    except DiagnosticError as error:
        raise DiagnosticError(*error.diagnostics, *_unknown_in(ctx, node, scope)) from None
    if _reduces_generator(function, node):
        generator = node.arguments[0].value
        assert isinstance(generator, tree.Comprehension)
        family = families.comprehension(ctx, generator, scope)
        return tensors.fold_members(ctx, function.primitive.name, family, node.span)
    positional: list[tuple[Any, Span]] = []
    named: dict[str, tuple[Any, Span]] = {}
    given = iter(node.arguments)
    try:
        for argument in given:
            value = _argument(ctx, function, argument, scope)
            if argument.name is None:
                if named:
                    ctx.fail("E303", "arguments by place come before those by name", argument.span)
                positional.append((value, argument.value.span))
            elif argument.name in named:
                ctx.fail("E303", f"`{argument.name}` is given twice", argument.span)
            else:
                named[argument.name] = (value, argument.value.span)
    except DiagnosticError as error:
        together = Together(error)
        for argument in given:
            with together:
                _argument(ctx, function, argument, scope)
        together.done()
    return calls.call(ctx, function, positional, named, node.span)


def _function(ctx: Context, node: tree.Call, scope: Scope) -> Any:
    if isinstance(node.function, tree.Attribute):
        return _attribute(ctx, node.function, scope, node)
    if _is_form(node.function, scope):
        return Special(node.function.name)
    return evaluate(ctx, node.function, scope)


def _unknown_in(ctx: Context, node: tree.Call, scope: Scope) -> list[Diagnostic]:
    """The unknown names in the arguments of a function that is itself unknown.

    What else is wrong in the call may be right for the function that is meant; and of
    `torch.f(x)` the arguments are names of torch.
    """
    if isinstance(node.function, tree.Attribute):
        return []
    found: list[Diagnostic] = []
    for argument in node.arguments:
        try:
            _argument(ctx, None, argument, scope)
        except DiagnosticError as error:
            found.extend(
                d
                for d in error.diagnostics
                if d.code in ("E201", "E311") or d.span is None or d.span not in node.span
            )
    return found


def _argument(ctx: Context, function: Any, argument: tree.Argument, scope: Scope) -> Any:
    if isinstance(argument.value, tree.Comprehension):
        return families.comprehension(ctx, argument.value, scope)
    if isinstance(argument.value, tree.Name):
        return calls.word_or_value(ctx, function, argument, scope)
    return evaluate(ctx, argument.value, scope)


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
    value: Any = None
    settings = {}
    together = Together()
    with together:
        value = evaluate(ctx, node.value, scope)
    for setting in node.settings:
        with together:
            if setting.name is None:
                ctx.fail("E303", "a setting is written `name = value`", setting.span)
            if setting.name in settings:
                ctx.fail("E303", f"`{setting.name}` is given twice", setting.span)
            found = names.word_or_value(ctx, setting, nets.WORDS.get(setting.name, ()), scope)
            settings[setting.name] = (found, setting.value.span)
    together.done()
    if isinstance(value, Initial):
        return states.with_clock(ctx, value, settings)
    return nets.with_settings(ctx, value, settings, node.span)


def _on(ctx: Context, node: tree.On, scope: Scope) -> Any:
    value = evaluate(ctx, node.value, scope)
    return states.constrained(ctx, value, node, scope)


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
    tree.Index: subscripts.index,
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
