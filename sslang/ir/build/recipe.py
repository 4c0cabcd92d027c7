"""The recipe of a spec: its fields evaluated and validated, and where each number of it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sslang.diagnostics import Diagnostic, Fix, Span
from sslang.diagnostics.fix import replacement
from sslang.ir.build import advice, configure, ends, operators
from sslang.ir.build.accept import choices_of
from sslang.ir.build.configure import as_field, ready
from sslang.ir.build.context import Context, Scope
from sslang.ir.build.names import expect_word, lookup
from sslang.ir.build.values import Arrow, Branch, Family, Selector, describe
from sslang.model.recipe import FIELDS, REQUIRED, WORDS, Recipe
from sslang.model.resolve import Resolved
from sslang.model.validate import problems, validated
from sslang.syntax import tree


def recipe_of(ctx: Context) -> Recipe | None:
    """The recipe's fields, evaluated; None where it lacks some or they do not fit."""
    entries = ctx.resolved.namespace.entries
    present = [name for name in FIELDS if name in entries]
    if not present and ctx.resolved.recipe is None:
        return None
    values: dict[str, Any] = {}
    given: dict[str, str] = {}
    for name in present:
        written = entries[name].value
        with ctx.collecting():
            if isinstance(written, tree.Name):
                expect_word(ctx, name, written, choices_of(Recipe).get(name, ()), Scope())
            value = lookup(ctx, name, entries[name].span, Scope())
            given[name] = describe(value)
            values[name] = _field(ctx, name, value, written)
    missing = [name for name in REQUIRED if name not in entries]
    unknown = any(d.code in ("E203", "E204") for d in ctx.resolved.diagnostics)
    if missing and not unknown:
        module, chosen = ctx.resolved.module, ctx.resolved.recipe
        place = module.recipes.get(chosen or "", module.method)
        span = None if place is None else place.span.first_line
        who = "the spec" if chosen is None else f"recipe `{chosen}`"
        message = f"{who} lacks {', '.join(f'`{m}`' for m in missing)}"
        ctx.diagnostics.append(Diagnostic("E501", message, span))
    for problem in problems(Recipe, values):
        if problem.field in values:
            name = problem.field
            message = f"`{name}`: {problem.text}; this is {given[name]}"
            span = entries[name].value.span
            hint, fix = _instead(name, values[name], span)
            ctx.diagnostics.append(Diagnostic("E502", message, span, hint=hint, fix=fix))
    return validated(Recipe, values)


def _instead(name: str, value: Any, span: Span) -> tuple[str, Fix | None]:
    """What was meant by a value that a field does not take."""
    words = {*choices_of(Recipe).get(name, ()), *(w for w, m in WORDS.items() if m.role == name)}
    hint, fix = advice.unquoted(value, span, words)
    if name == "data" and isinstance(value, str) and not fix and span.text == f'"{value}"':
        text = f"image_folder({span.text})"
        return f"images in a folder are `{text}`", replacement(span, text)
    return hint, fix


def _field(ctx: Context, name: str, value: Any, written: tree.Node) -> Any:
    span = written.span
    value = ready(ctx, value, span)
    if isinstance(value, Arrow):
        ends.bare_arrow(ctx, value, span)
    if name in ("freeze", "groups", "evaluate"):
        items = value.members if isinstance(value, Family) else () if value is None else (value,)
        if name != "freeze":
            return tuple(as_field(item) for item in items)
        listed = written.items if isinstance(written, tree.ListOf) else ()
        spans = [node.span for node in listed] or [span] * len(items)
        return tuple(_frozen(ctx, i, s) for i, s in zip(items, spans, strict=True))
    if name == "length" and isinstance(value, int | float) and not isinstance(value, bool):
        ctx.fail("E308", f"`length` is a time, and {value:g} has no unit", span,
                 hint=f"write `{value:g} epochs` or `{value:g} steps`")  # fmt: skip
    return as_field(value)


def _frozen(ctx: Context, value: Any, span: Span) -> Selector:
    selector = operators.as_selector(value, span)
    if selector is None:
        reason, hint = advice.not_selected(value, ", ")
        unquoted, taken_out = advice.unquoted(value, span, configure.selectors(ctx))
        message = "`freeze` lists nets, parts, `bias` or `norm`"
        plain = isinstance(value, Branch) and value.average is None and advice.nets_in(value)
        fix = replacement(span, ", ".join(plain)) if plain else taken_out
        ctx.fail("E502", f"{message}; {reason}" if reason else message, span, fix=fix,
                 hint=hint or unquoted)  # fmt: skip
    return selector


def places(
    resolved: Resolved, recipe: Recipe | None, contexts: Iterable[Context]
) -> Iterator[tuple[str, Span]]:
    """Where every right side stands, and what stands in it: `optimizer.lr`, `target.momentum`.

    `batch_norm.32` is where groups of 32 images are set.
    """
    for name, entry in resolved.namespace.entries.items():
        yield name, entry.value.span
    words: dict[int, str] = {}
    if recipe is not None:
        words = {id(recipe.optimizer): "optimizer", id(recipe.clip): "clip"}
        for name in ("groups", "evaluate"):
            given = getattr(recipe, name)
            words |= {id(word): f"{name}.{at}" for at, word in enumerate(given)}
    for context in contexts:
        yield from context.places.items()
        for word, spans in context.written:
            if id(word) in words:
                yield from ((f"{words[id(word)]}.{key}", span) for key, span in spans.items())
        for name, branch in context.branches.items():
            if branch.average is not None and branch.average.span is not None:
                yield f"{name}.momentum", branch.average.span
