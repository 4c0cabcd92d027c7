"""What a name means: local names, declarations, inputs of a step, primitives, words."""

from __future__ import annotations

import math
import typing
from functools import cache
from typing import Any

from sslang.diagnostics import DiagnosticError, Label, Span, nearest
from sslang.ir.build import declarations
from sslang.ir.build.accept import choices, hints
from sslang.ir.build.context import Context, Local, Poisoned, Scope
from sslang.ir.build.operators import UNNAMED
from sslang.ir.build.specials import SPECIALS
from sslang.ir.build.values import Builtin, Function, Special, Word
from sslang.model.recipe import WORDS, Recipe
from sslang.model.resolve import Entry
from sslang.ops import PRIMITIVES
from sslang.ops.schedules import Piecewise, Ramp
from sslang.syntax import tree
from sslang.types import BATCH

_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "none": None, "pi": math.pi}
_INPUTS = ("image", "index", "label", "batch", "dataset", "classes")
# Names of the language that a later version gives a meaning to.
LATER = frozenset((
    "rank", "top_k", "einsum", "split", "unflatten", "tile", "linspace", "cholesky",
    "solve_triangular", "singular_values", "eigh", "repeat", "draw_uniform", "draw_normal",
    "draw_integers", "fixed", "pretrained", "weight_norm", "transformer", "chain", "conv",
    "pixel_cnn", "to_lab", "channels", "patches", "rotate", "pad", "positions", "empty",
    "unit_rows", "until", "nce", "sinkhorn", "koleo", "whiten", "covariance",
    "uniform_fan_in",
))  # fmt: skip


@cache
def words() -> frozenset[str]:
    """Every word that some parameter of the vocabulary gives a sense to."""
    found = {"bias", "norm"}
    for primitive in PRIMITIVES.values():
        for hint in hints(primitive).values():
            found.update(choices(hint))
    for model in (*WORDS.values(), Recipe):
        for hint in typing.get_type_hints(model, include_extras=False).values():
            found.update(choices(hint))
    for schedule in (Ramp, Piecewise):
        for hint in typing.get_type_hints(schedule).values():
            found.update(choices(hint))
    return frozenset(found | {"epoch", "whole", "fresh", "copy"})


def lookup(ctx: Context, name: str, span: Span, scope: Scope) -> Any:
    """The value of a name where it stands. Raises E201, E203 or what its own value raises."""
    if name in scope.local:
        value = scope.local[name]
        return _local(ctx, name, value, span) if isinstance(value, Local) else value
    namespace = scope.home or ctx.resolved.namespace
    entry = namespace.find(name)
    if name == "batch" and ctx.mode != "recipe" and (entry is None or entry.kind == "binding"):
        return BATCH  # the recipe's `batch` is the nominal number; a step has its own
    if entry is not None:
        return _declared(ctx, entry, span)
    return _prelude(ctx, name, span, scope)


def _local(ctx: Context, name: str, local: Local, span: Span) -> Any:
    from sslang.ir.build.expressions import evaluate

    if local.state == "busy":
        ctx.fail("E203", f"`{name}` needs itself", span)
    if local.state == "new":
        local.state = "busy"
        assert local.scope is not None
        try:
            local.value = ctx.named(evaluate(ctx, local.statement.value, local.scope), name)
        finally:
            local.state = "new"
        local.state = "done"
    return local.value


def _declared(ctx: Context, entry: Entry, span: Span) -> Any:
    key = (id(entry.home), entry.name)
    if key in ctx.memo:
        if isinstance(ctx.memo[key], Poisoned):
            raise ctx.memo[key]
        return ctx.memo[key]
    at = next((i for i, busy in enumerate(ctx.busy) if busy is entry), None)
    if at is not None:
        cycle = [busy.name for busy in ctx.busy[at:]]
        message = f"`{entry.name}` needs itself"
        if len(cycle) > 1:
            message = f"these declarations need each other: {' -> '.join([*cycle, entry.name])}"
        ctx.fail("E203", message, span, labels=[Label(entry.span, "declared here")])
    if entry.kind == "fn":
        assert isinstance(entry.value, tree.Function)
        ctx.touched[key] = entry
        return Function(entry.value, entry.home)
    ctx.busy.append(entry)
    try:
        value = declarations.declare(ctx, entry)
    except DiagnosticError:
        ctx.memo[key] = Poisoned()
        raise
    finally:
        ctx.busy.pop()
        ctx.touched[key] = entry
    ctx.memo[key] = value
    return value


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
    ctx.fail("E201", f"nothing is called `{name}`", span, hint=nearest(name, visible(ctx, scope)))


def _input(ctx: Context, name: str, span: Span) -> Any:
    if name == "batch":
        if ctx.mode == "recipe":
            if ctx.batch is None:
                ctx.fail("E203", "`batch` needs itself", span)
            return ctx.batch
        return BATCH
    if name == "image":
        ctx.fail("E301", "`image` begins every chain of its own accord", span,
                 hint="write the operations alone: `random_resized_crop(224) | ...`")  # fmt: skip
    ctx.fail("E210", f"the input `{name}` is not compiled by this version", span)


def visible(ctx: Context, scope: Scope) -> set[str]:
    """Every name that could stand here."""
    namespace = scope.home or ctx.resolved.namespace
    builtin = (set(PRIMITIVES) - UNNAMED) | set(SPECIALS) | set(WORDS) | set(_CONSTANTS)
    return set(scope.local) | namespace.names() | builtin | {"batch"}
