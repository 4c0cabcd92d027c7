"""Calls: arguments to parameters, functions inlined with their shape patterns."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from sslang.diagnostics import Fix, Label, Span, keyword
from sslang.diagnostics.fix import replacement, wrapped
from sslang.ir.build import (
    advice,
    configure,
    ends,
    habits,
    nets,
    patterns,
    specials,
    states,
    tensors,
)
from sslang.ir.build.accept import Unfit, accept, choices, choices_of, hints
from sslang.ir.build.context import CALLED, Context, Local, Scope
from sslang.ir.build.values import (
    Arrow,
    Branch,
    Builtin,
    BuiltNet,
    Description,
    Family,
    Function,
    Initial,
    Momentum,
    NetSlice,
    Part,
    Special,
    Stage,
    State,
    Value,
    describe,
)
from sslang.model.recipe import Word as Configuration
from sslang.ops import Primitive
from sslang.syntax import tree
from sslang.types import Interval

_ARGUMENTS = {
    "net": "the width of the input follows from the use; `linear(64)` has its output's alone",
    "view": "the probability of an operation is written after it: `horizontal_flip @ 0.5`",
}

_EMPTY = inspect.Parameter.empty

Given = Sequence[tuple[Any, Span]]
Named = Mapping[str, tuple[Any, Span]]


def call(ctx: Context, function: Any, positional: Given, named: Named, span: Span) -> Any:
    """The result of a call."""
    if isinstance(function, Function):
        return inline(ctx, function, positional, named, span)
    if isinstance(function, Builtin):
        if (
            function.primitive.name == "linear"
            and positional
            and isinstance(positional[0][0], Arrow)
        ):
            return specials.SPECIALS["linear"].call(ctx, positional, named, span)
        return _primitive(ctx, function.primitive, positional, named, span)
    if isinstance(function, Special):
        return specials.SPECIALS[function.name].call(ctx, positional, named, span)
    if isinstance(function, type) and issubclass(function, Configuration):
        return configure.configuration(ctx, function, positional, named, span)
    if isinstance(function, BuiltNet | Branch | NetSlice):
        _expect_one(ctx, positional, named, span)
        return nets.apply(ctx, function, positional[0][0], span, named.get("keep"))
    if isinstance(function, Description):
        ctx.fail(
            "E304",
            "this is a description; it has no parameters yet",
            span,
            hint="give it a name with `encoder`, `head` or `branch`, and apply that",
        )
    hint = ""
    if isinstance(function, Momentum):
        hint = "an average is built where it is declared: `branch target = ema(...)`"
    elif isinstance(function, Part):
        hint = "parts are named in `freeze` and `groups`; a net is applied whole, or by layers"
    elif function == "step":
        hint = "what falls in steps is `piecewise([0.1, 0.01], at = [30] epochs)`"
    elif function in ("norm", "normal"):
        hint = "`l2_normalize(x)` makes rows of length 1; it divides by `sqrt(sum(x * x))`"
    ctx.fail("E304", f"{describe(function)} cannot be called", span, hint=hint)


def _expect_one(ctx: Context, positional: Given, named: Named, span: Span) -> None:
    """E303 where a net is given other than one input, and the mask of what it is shown."""
    if len(positional) == 1 and not named.keys() - {"keep"}:
        return
    settings = [key for key in named if key in nets.SETTINGS]
    if settings and len(settings) == len(named):
        message = f"`{settings[0]}` is a setting of a branch, not an argument of a net"
        hint, fix = advice.settings(span, named[settings[0]][1])
        ctx.fail("E303", message, keyword(settings[0], named[settings[0]][1]), hint=hint,
                 fix=None if positional else fix)  # fmt: skip
    hint, fix = "beside it, a vit takes the mask of what it is shown: `keep`", None
    if len(positional) > 1 and not named:
        several = positional[0][1].to(positional[-1][1])
        hint = f"several go through it as a family: `[{ends.short(several.text)}]`"
        fix = wrapped(several, "[", "]")
    ctx.fail("E303", "a net takes one argument: a view, a tensor or a family", span, hint=hint,
             fix=fix)  # fmt: skip


def word_or_value(ctx: Context, function: Any, argument: tree.Argument, scope: Scope) -> Any:
    """A bare name as an argument: the word, where the parameter knows it, else its value."""
    from sslang.ir.build.names import word_or_value

    allowed = _words(function, argument.name) if argument.name is not None else ()
    return word_or_value(ctx, argument, allowed, scope)


def _words(function: Any, parameter: str) -> tuple[str, ...]:
    """The words that a parameter of a primitive, form or word of recipes gives a sense to."""
    if isinstance(function, Builtin):
        known: Mapping[str, Any] = hints(function.primitive)
        return choices(known[parameter]) if parameter in known else ()
    if isinstance(function, Special):
        return specials.SPECIALS[function.name].words.get(parameter, ())
    if isinstance(function, type) and issubclass(function, Configuration):
        return choices_of(function).get(parameter, ())
    return ()


def _primitive(
    ctx: Context, primitive: Primitive, positional: Given, named: Named, span: Span
) -> Any:
    if primitive.name in ("concat", "stack"):
        return _variadic(ctx, primitive, positional, named, span)
    if primitive.name == "relu" and len(positional) == 1 and _is_tensor(positional[0][0]):
        return tensors.mapped(ctx, "maximum", [positional[0][0], 0], {}, span)
    if primitive.kind in ("net", "view") and positional and _is_tensor(positional[0][0]):
        ctx.fail("E304", f"`{primitive.name}` describes a layer; it has no value of a tensor", span,
                 hint="declare it as a `head`, and apply that")  # fmt: skip
    if primitive.kind in ("net", "view"):
        settings = bind(
            ctx, primitive, [p.name for p in primitive.settings], positional, named, span
        )
        stage = Stage(primitive, tuple(settings.items()), span)
        return Description(primitive.kind, (stage,))
    if primitive.name == "pixels" and len(positional) == 1 and not named:
        return tensors.pixels(ctx, positional[0][0], positional[0][1], span)
    if primitive.name in ("max", "min") and len(positional) > 1 and _is_tensor(positional[1][0]):
        ctx.fail("E303", f"`{primitive.name}` reduces one tensor", span,
                 hint="the larger of two values is `maximum(a, b)`")  # fmt: skip
    if primitive.name == "uniform":
        ends.expect_range(ctx, positional)
    if primitive.name == "stop_grad" and positional:
        _expect_value(ctx, *positional[0])
    order = list(primitive.signature.parameters)
    given = bind(ctx, primitive, order, positional, named, span)
    if primitive.kind == "initialiser":
        row = primitive.rule(**given)
        if row is not None and (min(row) < 1 or max(row) > 1_000_000):
            ctx.fail("E309", "a row has 1 to 1000000 entries", span)
        return Initial(primitive, tuple(given.items()), row)
    inputs = [given.pop(name, None) for name in primitive.inputs]
    if primitive.name in tensors.REDUCTIONS | {"variance"} and isinstance(inputs[0], Family):
        ctx.fail(
            "E306",
            f"`{primitive.name}` reduces a tensor; this is {describe(inputs[0])}",
            span,
            hint=f"write `{primitive.name}(x[v] for v in ...)`, or `concat` makes one tensor",
        )
    while inputs and inputs[-1] is None and tensors.is_optional(primitive, len(inputs) - 1):
        inputs.pop()
    return tensors.mapped(ctx, primitive.name, inputs, given, span)


def _expect_value(ctx: Context, value: Any, where: Span) -> None:
    """E301 for `stop_grad(target)`: what is cut is what a net gives."""
    if isinstance(value, BuiltNet | Branch | NetSlice):
        shown = ends.short(where.text)
        ctx.fail("E301", f"`stop_grad` cuts a value, and this is {describe(value)}", where,
                 hint=f"cut what it gives: `stop_grad({shown}(x))`")  # fmt: skip


def _is_tensor(value: Any) -> bool:
    members = value.members if isinstance(value, Family) else (value,)
    return bool(members) and all(isinstance(m, Value | State) for m in members)


def _variadic(
    ctx: Context, primitive: Primitive, positional: Given, named: Named, span: Span
) -> Any:
    family = positional[0][0] if positional else None
    if not isinstance(family, Family) or not family.members:
        own = [v for v, _ in positional if _is_tensor(v)]
        several = positional[0][1].to(positional[-1][1]) if positional else span
        whole = len(own) == len(positional) > 1
        ctx.fail("E306", f"`{primitive.name}` takes a family or a list of tensors", span,
                 hint=f"write `{primitive.name}([x, y])`",
                 fix=wrapped(several, "[", "]") if whole else None)  # fmt: skip
    rest = bind(ctx, primitive, ["axis"], positional[1:], named, span)
    return tensors.op(ctx, primitive.name, list(family.members), rest, span)


def bind(
    ctx: Context,
    primitive: Primitive,
    order: Sequence[str],
    positional: Given,
    named: Named,
    span: Span,
) -> dict[str, Any]:
    """Arguments by parameter, each accepted by its annotation; E303, E301 where they do not fit."""
    name = primitive.name
    if len(positional) > len(order) or (name == "linear" and len(positional) > 1):
        most = 1 if name == "linear" else len(order)
        hint = _ARGUMENTS.get(primitive.kind, "")
        message = f"`{name}` takes at most {most} argument{'s' if most != 1 else ''} by place"
        ctx.fail("E303", message, positional[most][1], hint=hint,
                 fix=advice.width_alone(name, positional))  # fmt: skip
    given = dict(zip(order, positional, strict=False))
    for key, value in named.items():
        if key not in order and primitive.kind == "view":
            advice.expect_no_probability(ctx, name, key, value, span)
        if key not in order:
            habits.unknown_keyword(ctx, f"`{name}`", key, value[1], order)
        if key in given:
            ctx.fail("E303", f"`{key}` is given twice", value[1])
        given[key] = value
    settings: dict[str, Any] = {}
    parameters = primitive.signature.parameters
    missing = [f"`{k}`" for k in order if k not in given and parameters[k].default is _EMPTY]
    if missing:
        ctx.fail("E303", f"`{name}` needs {' and '.join(missing)}", span)
    for key in order:
        parameter = parameters[key]
        if key not in given:
            if key not in primitive.inputs and primitive.kind == "tensor":
                settings[key] = parameter.default
            continue
        value, where = given[key]
        if key in primitive.inputs:
            settings[key] = value
            continue
        try:
            settings[key] = accept(value, hints(primitive)[key])
        except Unfit as unfit:
            message = f"`{key}` of `{name}` is {unfit}; this is {describe(value)}"
            hint, fix = _instead(primitive, key, value, where)
            ctx.fail("E301", message, where, hint=hint, fix=fix)
        if isinstance(settings[key], Interval) and settings[key].low > settings[key].high:
            ends.backwards(ctx, settings[key], f"`{key}` of `{name}`", where)
    return settings


def _instead(primitive: Primitive, key: str, value: Any, where: Span) -> tuple[str, Fix | None]:
    """What was meant by a value that does not fit a parameter."""
    ranges = [k for k, hint in hints(primitive).items() if hint == Interval]
    if key in ranges:
        return ends.range_of_list(value, where)
    if isinstance(value, Interval) and len(ranges) == 1:
        named = f"{ranges[0]} = {where.text}"
        return f"write `{named}`", replacement(where, named)
    return "", None


def inline(ctx: Context, function: Function, positional: Given, named: Named, span: Span) -> Any:
    """A call of a function of the language: its body with the arguments in place."""
    from sslang.ir.build.expressions import evaluate

    node = function.node
    given = _arguments(ctx, node, positional, named, span)
    if node.name == "cross_entropy" and function.home is not None:
        habits.expect_distribution(ctx, given.get("target"), span)
    with ctx.calling(node.name, span, given):
        local: dict[str, Any] = {}
        scope = Scope(function.home, local)
        for parameter in node.parameters:
            if parameter.name in given:
                local[parameter.name] = given[parameter.name][0]
            elif parameter.default is not None:
                local[parameter.name] = evaluate(
                    ctx, parameter.default, Scope(function.home, dict(local))
                )
            else:
                ctx.fail("E303", f"`{node.name}` needs `{parameter.name}`", span,
                         labels=[Label(parameter.span, "declared here")],
                         hint=patterns.signature(node))  # fmt: skip
        family = patterns.mapped_over(node, local)
        if family is not None:
            return _map_family(ctx, function, given, family, span)
        patterns.match_all(ctx, node, local, given, span)
        return ctx.named(_body(ctx, node, scope, span), node.name, CALLED)


def _map_family(
    ctx: Context,
    function: Function,
    given: Mapping[str, tuple[Any, Span]],
    names: Sequence[str],
    span: Span,
) -> Family:
    """A parameter with a tensor's pattern maps over the members of a family."""
    families = [given[n][0] for n in names]
    keys = tensors.common_keys(ctx, families, span)
    members = []
    for at in range(len(keys)):
        each = {n: ((v.members[at], s) if n in names else (v, s)) for n, (v, s) in given.items()}
        members.append(inline(ctx, function, [], each, span))
    return Family(keys, tuple(members))


def _arguments(
    ctx: Context, node: tree.Function, positional: Given, named: Named, span: Span
) -> dict[str, tuple[Any, Span]]:
    order = [p.name for p in node.parameters]
    if len(positional) > len(order):
        fix = advice.as_family(node, positional) or advice.decimal_comma(positional)
        most = f"at most {len(order)}" if order else "no"
        ctx.fail("E303", f"`{node.name}` takes {most} arguments",
                 positional[len(order)][1], hint=patterns.signature(node),
                 labels=[Label(node.name_span, "declared here")], fix=fix)  # fmt: skip
    given = dict(zip(order, positional, strict=False))
    for key, value in named.items():
        if key not in order:
            habits.unknown_keyword(ctx, f"`{node.name}`", key, value[1], order)
        if key in given:
            ctx.fail("E303", f"`{key}` is given twice", value[1])
        given[key] = value
    return given


def _body(ctx: Context, node: tree.Function, scope: Scope, span: Span) -> Any:
    from sslang.ir.build.expressions import evaluate

    if not isinstance(node.body, tree.Block):
        return evaluate(ctx, node.body, scope)
    local = scope.local
    assert isinstance(local, dict)
    result: tree.Return | None = None
    writes: list[tree.Write] = []
    for statement in node.body.statements:
        if isinstance(statement, tree.Return):
            result = statement
        elif isinstance(statement, tree.Binding) and not statement.target.items:
            local[statement.target.name] = Local(statement, scope, path=ctx.path)
        elif isinstance(statement, tree.Declaration) and statement.kind == "state":
            for target in statement.targets:
                local[target.name] = Local(statement, scope, path=ctx.path)
        elif isinstance(statement, tree.Write):
            writes.append(statement)
        else:
            kind = statement.kind if isinstance(statement, tree.Declaration) else "such a statement"
            ctx.fail("E303", f"a function holds bindings, states and writes; no {kind}",
                     statement.span.first_line)  # fmt: skip
    if result is None:
        ctx.fail(
            "E303", f"`{node.name}` returns nothing", node.span, hint="end it with `return ...`"
        )
    value = evaluate(ctx, result.value, scope)
    for write in writes:
        states.inner_write(ctx, write, scope)
    return value


def ready(ctx: Context, value: Any, span: Span) -> Any:
    """A function or primitive that needs no arguments may stand without its `()`."""
    if isinstance(value, Function) and all(p.default is not None for p in value.node.parameters):
        return inline(ctx, value, [], {}, span)
    if isinstance(value, Builtin) and value.primitive.kind in ("net", "view"):
        missing = [p.name for p in value.primitive.settings if p.default is p.empty]
        if missing:
            name = value.primitive.name
            ctx.fail("E303", f"`{name}` needs {', '.join(missing)}", span)
        return Description(value.primitive.kind, (Stage(value.primitive, (), span),))
    return value


def applied(ctx: Context, function: Any, value: Any, span: Span) -> Any:
    """`value | function`: a call with the value as its first argument."""
    if isinstance(function, Function | Builtin):
        return call(ctx, function, [(value, span)], {}, span)
    ctx.fail("E304", f"{describe(function)} cannot be applied", span)
