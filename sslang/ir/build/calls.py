"""Calls: arguments to parameters, functions inlined with their shape patterns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sslang.diagnostics import Label, Span
from sslang.ir.build import configure, habits, nets, patterns, specials, states, tensors
from sslang.ir.build.accept import Unfit, accept, choices, hints
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
    Special,
    Stage,
    State,
    Value,
    Word,
    describe,
)
from sslang.model.recipe import Word as Configuration
from sslang.ops import Primitive
from sslang.syntax import tree

_ARGUMENTS = {
    "net": "the width of the input follows from the use; `linear(64)` has its output's alone",
    "view": "the probability of an operation is written after it: `horizontal_flip @ 0.5`",
}

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
        if len(positional) != 1 or named.keys() - {"keep"}:
            hint = "beside it, a vit takes the mask of what it is shown: `keep`"
            ctx.fail("E303", "a net takes one argument: a view, a tensor or a family", span,
                     hint=hint)  # fmt: skip
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
    elif function in ("norm", "normal"):
        hint = "`l2_normalize(x)` makes rows of length 1; it divides by `sqrt(sum(x * x))`"
    ctx.fail("E304", f"{describe(function)} cannot be called", span, hint=hint)


def word_or_value(ctx: Context, function: Any, argument: tree.Argument, scope: Scope) -> Any:
    """A bare name as an argument: the word, where the parameter knows it, else its value."""
    from sslang.ir.build.names import lookup

    node = argument.value
    assert isinstance(node, tree.Name)
    if argument.name is not None and node.name not in scope.local:
        allowed: tuple[str, ...] = ()
        if isinstance(function, Builtin) and argument.name in hints(function.primitive):
            allowed = choices(hints(function.primitive)[argument.name])
        if node.name in allowed:
            return Word(node.name)
    return lookup(ctx, node.name, node.span, scope)


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


def _is_tensor(value: Any) -> bool:
    members = value.members if isinstance(value, Family) else (value,)
    return bool(members) and all(isinstance(m, Value | State) for m in members)


def _variadic(
    ctx: Context, primitive: Primitive, positional: Given, named: Named, span: Span
) -> Any:
    family = positional[0][0] if positional else None
    if not isinstance(family, Family) or not family.members:
        ctx.fail("E306", f"`{primitive.name}` takes a family or a list of tensors", span)
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
        ctx.fail("E303", message, positional[most][1], hint=hint)
    given = dict(zip(order, positional, strict=False))
    for key, value in named.items():
        if key not in order:
            habits.unknown_keyword(ctx, f"`{name}`", key, value[1], order)
        if key in given:
            ctx.fail("E303", f"`{key}` is given twice", value[1])
        given[key] = value
    settings: dict[str, Any] = {}
    for key in order:
        parameter = primitive.signature.parameters[key]
        if key not in given:
            if parameter.default is parameter.empty:
                ctx.fail("E303", f"`{name}` needs `{key}`", span)
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
            ctx.fail("E301", message, where)
    return settings


def inline(ctx: Context, function: Function, positional: Given, named: Named, span: Span) -> Any:
    """A call of a function of the language: its body with the arguments in place."""
    from sslang.ir.build.expressions import evaluate

    node = function.node
    given = _arguments(ctx, node, positional, named, span)
    if node.name == "cross_entropy" and function.home is not None:
        habits.expect_distribution(ctx, given.get("target"), span)
    with ctx.calling(node.name, span):
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
                         hint=_signature(node))  # fmt: skip
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
        ctx.fail("E303", f"`{node.name}` takes at most {len(order)} arguments",
                 positional[len(order)][1], hint=_signature(node),
                 labels=[Label(node.span.first_line, "declared here")])  # fmt: skip
    given = dict(zip(order, positional, strict=False))
    for key, value in named.items():
        if key not in order:
            habits.unknown_keyword(ctx, f"`{node.name}`", key, value[1], order)
        if key in given:
            ctx.fail("E303", f"`{key}` is given twice", value[1])
        given[key] = value
    return given


def _signature(node: tree.Function) -> str:
    shown = ", ".join(p.span.text for p in node.parameters)
    family = any(re.search(r"\]\s*\[", p.span.text) for p in node.parameters)
    more = "; tensors of a family stand in brackets: `[x, y]`" if family else ""
    return f"it is `{node.name}({shown})`{more}"


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
