"""What a name means: local names, declarations, inputs of a step, primitives, words."""

from __future__ import annotations

import math
import typing
from functools import cache
from typing import Any

from sslang.diagnostics import DiagnosticError, Fix, Label, Span
from sslang.diagnostics.fix import insert
from sslang.ir.build import declarations, habits, states
from sslang.ir.build.accept import choices, choices_of, hints, one_of
from sslang.ir.build.context import LOCAL, Context, Local, Poisoned, Scope
from sslang.ir.build.specials import SPECIALS
from sslang.ir.build.values import Builtin, Function, Special, Value, Word
from sslang.ir.graph import INPUT
from sslang.model.recipe import WORDS, Recipe
from sslang.model.resolve import Entry
from sslang.ops import PRIMITIVES
from sslang.ops.schedules import Piecewise, Ramp
from sslang.ops.signs import UNNAMED
from sslang.syntax import tree
from sslang.types import BATCH, Size, TensorType
from sslang.types.dims import symbol

_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "none": None, "pi": math.pi}
_INPUTS = ("image", "index", "label", "batch", "dataset", "classes")
# Names of the language that a later version gives a meaning to.
LATER = frozenset((
    "top_k", "einsum", "split", "tile", "eigh", "chain", "conv", "positions",
))  # fmt: skip


@cache
def words() -> frozenset[str]:
    """Every word that some parameter of the vocabulary gives a sense to."""
    found = {"bias", "norm"}
    for primitive in PRIMITIVES.values():
        for hint in hints(primitive).values():
            found.update(choices(hint))
    for model in (*WORDS.values(), Recipe):
        for given in choices_of(model).values():
            found.update(given)
    for schedule in (Ramp, Piecewise):
        for hint in typing.get_type_hints(schedule).values():
            found.update(choices(hint))
    return frozenset(found | {"epoch", "step", "run", "row", "whole", "fresh", "copy", "unit_rows",
                      "training", "evaluation"})  # fmt: skip


def lookup(ctx: Context, name: str, span: Span, scope: Scope) -> Any:
    """The value of a name where it stands. Raises E201, E203 or what its own value raises."""
    if name in scope.local:
        value = scope.local[name]
        return _local(ctx, name, value, span) if isinstance(value, Local) else value
    namespace = scope.home or ctx.resolved.namespace
    entry = namespace.find(name)
    if name == "batch" and ctx.mode != "recipe" and (entry is None or entry.kind == "binding"):
        return BATCH  # the recipe's `batch` is the nominal number; a step has its own
    if scope.home is None:
        ctx.asked.add(name)
    if entry is not None:
        return _declared(ctx, entry, span)
    return _prelude(ctx, name, span, scope)


def word_or_value(
    ctx: Context, argument: tree.Argument, allowed: tuple[str, ...], scope: Scope
) -> Any:
    """A bare name as an argument: the word, where the parameter knows it, else its value."""
    from sslang.ir.build.expressions import evaluate

    node = argument.value
    if not isinstance(node, tree.Name):
        return evaluate(ctx, node, scope)
    if argument.name is not None and node.name not in scope.local:
        if node.name in allowed:
            return Word(node.name)
        if allowed or not _is_known(ctx, node.name, scope):
            expect_word(ctx, argument.name, node, allowed, scope)
    return lookup(ctx, node.name, node.span, scope)


def expect_word(
    ctx: Context, what: str, node: tree.Name, allowed: tuple[str, ...], scope: Scope
) -> None:
    """E201 for a name that nothing has, where one of some words, or any word, is due."""
    name = node.name
    if name in allowed or _is_known(ctx, name, scope):
        return
    if not allowed and not habits.name_hint(name):
        hint, fix = ctx.guess(name, lambda: visible(ctx, scope) | words(), node.span)
        ctx.fail("E201", f"nothing is called `{name}`", node.span, hint=hint, fix=fix)
    if not allowed:
        return
    hint = habits.SETTING_HINTS.get(what, "") or f"`{what}` takes {one_of(allowed)}"
    fix = habits.word_fix(name, allowed, node.span)
    ctx.fail("E201", f"nothing is called `{name}`", node.span, hint=hint, fix=fix)


def _is_known(ctx: Context, name: str, scope: Scope) -> bool:
    namespace = scope.home or ctx.resolved.namespace
    return (
        name in scope.local
        or namespace.find(name) is not None
        or (name in PRIMITIVES and name not in UNNAMED)
        or any(name in names for names in (_CONSTANTS, _INPUTS, LATER, SPECIALS, WORDS))
        or name in words()  # last, for it goes through the signatures of all primitives
    )


def _local(ctx: Context, name: str, local: Local, span: Span) -> Any:
    if local.state == "busy":
        ctx.fail("E203", f"`{name}` needs itself", span)
    if local.state == "new":
        local.state = "busy"
        assert local.scope is not None
        try:
            with ctx.at(f"{local.path}.{name}"):
                local.value = _valued(ctx, name, local)
        finally:
            local.state = "new"
        local.state = "done"
    return local.value


def _valued(ctx: Context, name: str, local: Local) -> Any:
    from sslang.ir.build.expressions import evaluate

    assert local.scope is not None
    if isinstance(local.statement, tree.Declaration):
        target = next(t for t in local.statement.targets if t.name == name)
        return states.inner(ctx, local.statement.kind, target, local)
    return ctx.named(evaluate(ctx, local.statement.value, local.scope), name, LOCAL)


_UNKNOWN = object()


def _declared(ctx: Context, entry: Entry, span: Span) -> Any:
    key = (id(entry.home), entry.name)
    known = ctx.memo.get(key, _UNKNOWN)
    if isinstance(known, Poisoned):
        raise known
    if known is not _UNKNOWN:
        return known
    at = next((i for i, busy in enumerate(ctx.busy) if busy is entry), None)
    if at is not None:
        cycle = [busy.name for busy in ctx.busy[at:]]
        message = f"`{entry.name}` needs itself"
        if len(cycle) > 1:
            message = f"these declarations need each other: {' -> '.join([*cycle, entry.name])}"
        ctx.fail("E203", message, span, labels=[Label(entry.span, "declared here")],
                 hint=_way_out(entry))  # fmt: skip
    if entry.kind == "fn":
        assert isinstance(entry.value, tree.Function)
        ctx.touched[key] = entry
        return Function(entry.value, entry.home)
    before, ctx.path = ctx.path, entry.name
    ctx.busy.append(entry)
    try:
        value = declarations.declare(ctx, entry)
    except DiagnosticError:
        ctx.memo[key] = Poisoned()
        raise
    finally:
        ctx.path = before
        ctx.busy.pop()
        ctx.touched[key] = entry
    ctx.memo[key] = value
    return value


def _way_out(entry: Entry) -> str:
    if entry.name in words():
        return f"`{entry.name}` is a word of the language, too: choose another name"
    if entry.name == "data":
        return 'a path stands in quotes: `image_folder("data/images")`'
    if entry.kind == "binding":
        return "what the step before left is a state: `state x[32] = zeros`, written by `x <- ...`"
    return ""


def _prelude(ctx: Context, name: str, span: Span, scope: Scope) -> Any:
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if name in _INPUTS:
        return _input(ctx, name, span)
    primitive = PRIMITIVES.get(name)
    if primitive is not None and name not in UNNAMED:
        return Builtin(primitive)
    if name in SPECIALS:
        return Special(name)
    if name in WORDS:
        return WORDS[name]
    if name in words():
        return Word(name)
    if name in LATER:
        ctx.fail("E210", f"`{name}` is not compiled by this version", span)
    if habits.name_hint(name):
        hint, fix = habits.name_hint(name), habits.name_fix(name, span)
    else:
        hint, fix = ctx.guess(name, lambda: visible(ctx, scope), span)
    ctx.fail("E201", f"nothing is called `{name}`", span, hint=hint, fix=fix)


def _input(ctx: Context, name: str, span: Span) -> Any:
    if name == "batch":
        if ctx.mode == "recipe":
            raise Poisoned  # the recipe lacks its `batch`: E501
        return BATCH
    if name == "image":
        ctx.fail("E301", "`image` begins every chain of its own accord", span,
                 hint="nets are applied to views: `view x = random_crop(32)`, `f(x)`")  # fmt: skip
    if name in ("label", "classes") and not _has_labels(ctx):
        ctx.fail("E212", f"`{name}` needs a method that says it is trained with labels", span,
                 hint='write `method "..." (labels = true)`', fix=_declare_labels(ctx))  # fmt: skip
    if name in ("dataset", "classes"):
        size: Size = symbol(name)
        return size
    type_ = TensorType((BATCH,), "int")
    return Value(ctx.add(INPUT, (), type_, None, {"name": name}, hint=name).name, type_)


def _has_labels(ctx: Context) -> bool:
    method = ctx.resolved.module.method
    given = {a.name: a.value for a in method.arguments} if method is not None else {}
    return given.get("labels") == tree.Name("true", span=method.span) if method else False


def _declare_labels(ctx: Context) -> Fix | None:
    method = ctx.resolved.module.method
    if method is None or any(a.name == "labels" for a in method.arguments):
        return None
    source, end = method.span.source, method.span.end
    if method.arguments:
        return Fix((insert(source, end - 1, ", labels = true"),))
    return Fix((insert(source, end, " (labels = true)"),))


def visible(ctx: Context, scope: Scope) -> set[str]:
    """Every name that could stand here."""
    namespace = scope.home or ctx.resolved.namespace
    builtin = (set(PRIMITIVES) - UNNAMED) | set(SPECIALS) | set(WORDS) | set(_CONSTANTS)
    return set(scope.local) | namespace.names() | builtin | set(_INPUTS) - {"image"}
