"""Words of recipes (`sgd(...)`, `knn(...)`) and the recipe itself, validated by their models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sslang.diagnostics import Diagnostic, DiagnosticError, Span, keyword
from sslang.diagnostics.fix import replacement
from sslang.ir.build import advice, ends, habits
from sslang.ir.build.accept import choices_of, word_of
from sslang.ir.build.context import Context, Together
from sslang.ir.build.operators import as_selector
from sslang.ir.build.values import Arrow, Family, describe
from sslang.model.habits import field_hint
from sslang.model.recipe import FIELDS
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
    together = Together()
    for key, value in named.items():
        with together:
            if key not in fields and key in FIELDS:
                ctx.fail("E303", f"`{model.word}` has no parameter `{key}`", keyword(key, value[1]),
                         hint=f"it is a field of the recipe itself: `{key} = ...`")  # fmt: skip
            if key not in fields and model.role == "optimizer" and "schedule" in field_hint(key):
                ctx.fail("E303", f"`{model.word}` has no parameter `{key}`", keyword(key, value[1]),
                         hint=field_hint(key))  # fmt: skip
            if key not in fields:
                habits.unknown_keyword(ctx, f"`{model.word}`", key, value[1], fields)
            if key in given:
                ctx.fail("E303", f"`{key}` is given twice", value[1])
            given[key] = value
    plain = {}
    for key, (value, where) in given.items():
        with together:
            if isinstance(value, Arrow):
                ends.bare_arrow(ctx, value, where)
            plain[key] = _selector(ctx, value, where) if key == "selector" else as_field(value)
    together.done()
    result = validated(model, plain)
    if result is not None:
        ctx.written.append((result, {key: where for key, (_, where) in given.items()}))
        return result
    found = []
    for problem in problems(model, plain):
        value, where = given.get(problem.field, (None, span))
        if problem.field not in given:
            ctx.fail("E303", f"`{model.word}` needs `{problem.field}`", span)
        message = f"`{problem.field}` of `{model.word}`: {problem.text}; this is {describe(value)}"
        hint, fix = advice.unquoted(value, where, choices_of(model).get(problem.field, ()))
        if "time with a unit" in problem.text and ends.is_number(value):
            hint = f"write `{value:g} epochs` or `{value:g} steps`"
        if problem.field == "lr" and as_selector(value, where) is not None and positional:
            several = positional[0][1].to(where)
            joined = " or ".join(span.text for _, span in positional[:2])
            hint, fix = f"selectors are joined: `{joined}`", replacement(several, joined)
        hint = hint or ends.scheduled(value)
        found.append(Diagnostic("E502", message, where, hint=hint, fix=fix))
    raise DiagnosticError(*found)


def ready(ctx: Context, value: Any, span: Span) -> Any:
    """A word of recipes may stand without its `()`, as `knn`; so may those of a list."""
    if isinstance(value, type) and issubclass(value, Configuration):
        return configuration(ctx, value, [], {}, span)
    if isinstance(value, Family):
        return Family(value.keys, tuple(ready(ctx, m, span) for m in value.members))
    return value


def _selector(ctx: Context, value: Any, span: Span) -> Any:
    selector = as_selector(value, span)
    if selector is None:
        reason, hint = advice.not_selected(value)
        unquoted, fix = advice.unquoted(value, span, selectors(ctx))
        message = "a selector names nets, parts, `bias` or `norm`"
        message += f"; {reason}" if reason else f", not {describe(value)}"
        ctx.fail("E301", message, span, hint=hint or unquoted, fix=fix)
    return selector


def selectors(ctx: Context) -> set[str]:
    """The names that select parameters."""
    entries = ctx.resolved.namespace.entries.items()
    return {"bias", "norm"} | {n for n, e in entries if e.kind in ("encoder", "head", "weight")}


def as_field(value: Any) -> Any:
    """A value of the language as a model takes it."""
    if isinstance(value, Family):
        return tuple(as_field(m) for m in value.members)
    word = word_of(value)
    if word is not None and not isinstance(value, type):
        return word
    if isinstance(value, float) and value.is_integer():
        return int(value)  # `256 * 2.5` is a number of images as much as 640
    return value
