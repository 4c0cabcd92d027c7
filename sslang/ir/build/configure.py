"""Words of recipes (`sgd(...)`, `knn(...)`) and the recipe itself, validated by their models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sslang.diagnostics import Diagnostic, DiagnosticError, Span
from sslang.ir.build import habits
from sslang.ir.build.accept import word_of
from sslang.ir.build.context import Context
from sslang.ir.build.operators import as_selector
from sslang.ir.build.values import Arrow, Family, describe
from sslang.model.recipe import Word as Configuration
from sslang.model.validate import problems, validated

Given = Sequence[tuple[Any, Span]]
Named = Mapping[str, tuple[Any, Span]]


def configuration(
    ctx: Context, model: type[Configuration], positional: Given, named: Named, span: Span
) -> Configuration:
    """`sgd(lr = 0.1)` as an object; E303 or E502 where the arguments do not fit."""
    fields = list(model.model_fields)
    if len(positional) > len(fields):
        ctx.fail("E303", f"`{model.word}` takes at most {len(fields)} arguments",
                 positional[len(fields)][1])  # fmt: skip
    given = dict(zip(fields, positional, strict=False))
    for key, value in named.items():
        if key not in fields:
            habits.unknown_keyword(ctx, f"`{model.word}`", key, value[1], fields)
        if key in given:
            ctx.fail("E303", f"`{key}` is given twice", value[1])
        given[key] = value
    plain = {}
    for key, (value, where) in given.items():
        if isinstance(value, Arrow):
            ctx.fail("E307", "`a -> b` does not say how to go there", where,
                     hint="write `cosine(a -> b)` or `linear(a -> b)`")  # fmt: skip
        plain[key] = _selector(ctx, value, where) if key == "selector" else as_field(value)
    result = validated(model, plain)
    if result is not None:
        return result
    found = []
    for problem in problems(model, plain):
        value, where = given.get(problem.field, (None, span))
        if problem.field not in given:
            ctx.fail("E303", f"`{model.word}` needs `{problem.field}`", span)
        message = f"`{problem.field}` of `{model.word}`: {problem.text}; this is {describe(value)}"
        found.append(Diagnostic("E502", message, where))
    raise DiagnosticError(*found)


def _selector(ctx: Context, value: Any, span: Span) -> Any:
    selector = as_selector(value, span)
    if selector is None:
        ctx.fail(
            "E301", f"a selector names nets, parts, `bias` or `norm`, not {describe(value)}", span
        )
    return selector


def as_field(value: Any) -> Any:
    """A value of the language as a model takes it."""
    if isinstance(value, Family):
        return tuple(as_field(m) for m in value.members)
    word = word_of(value)
    if word is not None and not isinstance(value, type):
        return word
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return value
