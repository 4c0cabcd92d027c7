"""Queues, banks, states and weights: what they hold, how they begin, what writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

from sslang.diagnostics import Label, Span
from sslang.diagnostics.fix import replacement, wrapped
from sslang.ir.build import advice, families, habits, tensors, undefined
from sslang.ir.build.accept import word_of
from sslang.ir.build.context import Context, Local, Scope, Together
from sslang.ir.build.values import Builtin, Family, Initial, State, Value, View, describe
from sslang.ir.graph import Write
from sslang.model.resolve import Entry
from sslang.syntax import tree
from sslang.types import Dim, Duration, Size, TensorType
from sslang.types.dims import symbol

MAX_ROWS = 100_000_000
_ON_A_SPHERE = frozenset(("sphere", "l2_normalize", "normalize"))  # meant for `unit_rows`
_ROWS_ALONE = ("queue", "bank")  # the brackets give the number of rows, the initialiser the row


def declared(ctx: Context, entry: Entry, scope: Scope) -> Any:
    """`queue q[n] = ...`, or with `q[v in views, n]` one for each key."""
    from sslang.ir.build.expressions import evaluate

    assert entry.target is not None
    items = entry.target.items
    over = items[0] if items and isinstance(items[0], tree.Over) else None
    if over is None:
        return _state(ctx, entry.name, entry.kind, entry.target, items, entry.value, scope)
    keys = families.keys_of(ctx, evaluate(ctx, over.over, scope), over.over.span)
    members = tuple(
        _state(ctx, f"{entry.name}.{key}", entry.kind, entry.target, items[1:], entry.value,
               scope.with_(**{over.name: key}))
        for key in keys
    )  # fmt: skip
    return families.family(ctx, keys, members, entry.target.span)


def inner(ctx: Context, kind: str, target: tree.Target, local: Local) -> State:
    """A state that a function declares: each call of it has one of its own."""
    assert local.scope is not None
    name, path = f"{local.path}.{target.name}", local.path
    made = _state(ctx, name, kind, target, target.items, local.statement.value, local.scope)
    ctx.states[name] = replace(made, path=path)
    return ctx.states[name]


def _state(
    ctx: Context,
    name: str,
    kind: str,
    target: tree.Target,
    dims: Sequence[tree.Node],
    value: tree.Node,
    scope: Scope,
) -> State:
    from sslang.ir.build.expressions import evaluate

    sizes: tuple[Size, ...] = ()
    initial: Any = None
    together = Together()
    with together:
        sizes = tuple(_size(ctx, kind, d, scope) for d in dims)
        if kind in _ROWS_ALONE and len(sizes) != 1:
            _rows_alone(ctx, kind, target, dims)
    with together:
        initial = _initial(ctx, kind, evaluate(ctx, value, scope), value.span)
    together.done()
    shape = _shape(ctx, kind, sizes, initial, target, value)
    state = State(name, kind, TensorType(shape), target.span, initial)
    if isinstance(initial, Initial):
        state = replace(state, start=initial.start, every=initial.every,
                        constraint=initial.constraint)  # fmt: skip
        if initial.primitive.name == "empty":
            if kind != "queue":
                ctx.fail("E301", f"only a queue can begin as empty, not a {kind}", value.span)
            rows = replace(state.type, shape=(symbol(name), *shape[1:]))
            state = replace(state, type=rows, capacity=shape[0])
    ctx.states[name] = state
    return state


def _rows_alone(
    ctx: Context, kind: str, target: tree.Target, dims: Sequence[tree.Node]
) -> NoReturn:
    """E303 for a queue or bank whose brackets hold other than the number of its rows."""
    message = f"a {kind} is declared as `{kind} {target.name}[rows] = sphere(dim)`"
    if len(dims) < 2:
        ctx.fail("E303", message, target.span)
    first, *rest = dims
    beyond = Span(first.span.source, first.span.end, rest[-1].span.end)
    ctx.fail("E303", message, rest[0].span.to(rest[-1].span), fix=replacement(beyond, ""),
             hint="the initialiser gives the width of a row")  # fmt: skip


def _size(ctx: Context, kind: str, node: tree.Node, scope: Scope) -> Size:
    from sslang.ir.build.expressions import evaluate

    if isinstance(node, tree.Over):
        ctx.fail("E306", "`v in ...` stands first in the brackets", node.span)
    value = evaluate(ctx, node, scope)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, Dim) and {n for n, _ in value.terms} <= {"dataset", "classes"}:
        return value
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_ROWS:
        message = f"a {kind} has 1 to {MAX_ROWS} rows, not {describe(value)}"
        ctx.fail("E309", message, node.span)
    return value


def _initial(ctx: Context, kind: str, value: Any, span: Span) -> Any:
    """An initialiser, a number or a value of the first step; E301 where it is none of these."""
    from sslang.ir.build import calls

    if isinstance(value, Builtin) and value.primitive.kind == "initialiser":
        value = calls.call(ctx, value, [], {}, span)
    if isinstance(value, Initial):
        if value.constraint and kind != "weight":
            ctx.fail("E301", f"a {kind} is not trained, so `on` has no sense", span)
        return value
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "state" and (plain or isinstance(value, Value)):
        return float(value) if plain else value
    ctx.fail(
        "E301",
        f"a {kind} begins with an initialiser, not {describe(value)}",
        span,
        hint="`sphere(dim)`, `normal(dim)`, `uniform(dim)`, `zeros(dim)`",
    )


def _shape(
    ctx: Context,
    kind: str,
    sizes: tuple[Size, ...],
    initial: Any,
    target: tree.Target,
    written: tree.Node,
) -> tuple[Size, ...]:
    span = target.span
    if isinstance(initial, Value):
        if sizes and sizes != initial.type.shape:
            message = (
                f"the state is declared as {list(map(str, sizes))}, and begins as {initial.type}"
            )
            ctx.fail("E302", message, span)
        return initial.type.shape
    row = initial.row if isinstance(initial, Initial) else None
    if kind in _ROWS_ALONE:
        if row is None:
            ctx.fail("E303", f"the initialiser of a {kind} gives the size of a row", span,
                     hint="write e.g. `sphere(128)`")  # fmt: skip
        shape: tuple[Size, ...] = (*sizes, *row)
    else:
        if row is not None:
            hint, fix = advice.shape_in_brackets(kind, target, written, initial, row)
            ctx.fail("E303", f"the brackets give the shape of a {kind}, not its initialiser",
                     written.span, hint=hint, fix=fix)  # fmt: skip
        shape = sizes
    if math.prod(s for s in shape if isinstance(s, int)) > tensors.MAX_ENTRIES:
        ctx.fail("E311", f"a {kind} of the shape {list(map(str, shape))} is too large", span)
    return shape


def with_clock(ctx: Context, value: Initial, settings: Any) -> Initial:
    """`empty(dim) with (from = 15 epochs, every = 1 epochs)`: when writes happen."""
    for name, (setting, where) in settings.items():
        if name not in ("from", "every"):
            habits.unknown_keyword(ctx, "a state", name, where, ("from", "every"), "setting")
        if not isinstance(setting, Duration):
            ctx.fail("E308", f"`{name}` is a time, not {describe(setting)}", where,
                     hint="write e.g. `15 epochs`")  # fmt: skip
        value = replace(value, start=setting) if name == "from" else replace(value, every=setting)
    return value


def constrained(ctx: Context, value: Any, node: tree.On, scope: Scope) -> Initial:
    """`uniform_fan_in on unit_rows`: what the optimizer's step is followed by."""
    from sslang.ir.build import calls
    from sslang.ir.build.expressions import evaluate
    from sslang.ir.build.names import expect_word

    where = node.constraint.span
    if isinstance(node.constraint, tree.Name):
        expect_word(ctx, "on", node.constraint, ("unit_rows",), scope)
    if word_of(evaluate(ctx, node.constraint, scope)) != "unit_rows":
        fix = replacement(where, "unit_rows") if where.text in _ON_A_SPHERE else None
        ctx.fail("E301", "the one constraint is `unit_rows`: each row has length 1", where,
                 hint="write `weight w[n, d] = ... on unit_rows`", fix=fix)  # fmt: skip
    if isinstance(value, Builtin) and value.primitive.kind == "initialiser":
        value = calls.call(ctx, value, [], {}, node.span)
    if not isinstance(value, Initial):
        ctx.fail("E301", f"`on` follows an initialiser, not {describe(value)}", node.value.span,
                 hint="write `weight w[n, d] = uniform_fan_in on unit_rows`")  # fmt: skip
    return replace(value, constraint="unit_rows")


# --- writes ------------------------------------------------------------------------------


def write(
    ctx: Context, statement: tree.Write, scope: Scope, seen: dict[str, Span]
) -> list[tuple[State, Write]]:
    """The writes of a statement: one, or one for each key of `q[v in views] <- ...`."""
    from sslang.ir.build.expressions import evaluate
    from sslang.ir.build.names import lookup

    target = statement.target
    state = lookup(ctx, target.name, target.span, scope)
    items = target.items
    if items and isinstance(items[0], tree.Over):
        over = items[0]
        if len(items) != 1 or not isinstance(state, Family):
            ctx.fail("E407", f"{describe(state)} is no family of states", target.span)
        keys = families.keys_of(ctx, evaluate(ctx, over.over, scope), over.over.span)
        found = []
        for key in keys:
            inside = scope.with_(**{over.name: key})
            member = state.get(key)
            if member is None:
                ctx.fail("E310", f"the family has no member for {describe(key)}", target.span)
            value = evaluate(ctx, statement.value, inside)
            found.append(_write(ctx, member, value, None, statement, seen))
        return found
    index = None
    if items:
        item = evaluate(ctx, items[0], scope)
        if isinstance(state, Family) and isinstance(item, View | int):
            state = state.get(item)
        else:
            index = _row_index(ctx, state, item, target.span)
    return [_write(ctx, state, evaluate(ctx, statement.value, scope), index, statement, seen)]


def inner_write(ctx: Context, statement: tree.Write, scope: Scope) -> None:
    """A write in a function's body, to a state of the same call."""
    found = write(ctx, statement, scope, {})
    for state, written in found:
        if not state.path:
            ctx.fail("E407", f"a function writes its own states; `{state.name}` is not",
                     statement.target.span)  # fmt: skip
        if state.name in ctx.inner_writes:
            ctx.fail("E403", f"`{state.name}` is written twice", statement.target.span)
        ctx.inner_writes[state.name] = (state, written, statement.target.span)


def _row_index(ctx: Context, state: Any, index: Any, span: Span) -> Value:
    if not isinstance(state, State) or state.kind != "bank":
        hint, fix = "`m[index] <- ...` writes rows of a bank", None
        if isinstance(state, State) and state.kind == "queue":
            hint, fix = (
                f"a queue takes rows at its end: `{state.name} <- ...`",
                replacement(span, state.name),
            )
        ctx.fail("E407", f"rows of {describe(state)} cannot be written", span, hint=hint, fix=fix)
    if not isinstance(index, Value) or index.type.dtype != "int" or index.type.rank != 1:
        ctx.fail("E301", f"a bank is written at one integer a row, not at {describe(index)}", span,
                 hint=f"write `{state.name}[index] <- ...`")  # fmt: skip
    return index


def _write(
    ctx: Context,
    state: Any,
    value: Any,
    index: Value | None,
    statement: tree.Write,
    seen: dict[str, Span],
) -> tuple[State, Write]:
    span = statement.target.span
    if not isinstance(state, State) or state.kind == "weight":
        ctx.fail("E407", f"{describe(state)} cannot be written", span,
                 hint="`<-` writes a queue, bank or state; `=` makes a binding")  # fmt: skip
    if state.name in seen:
        ctx.fail("E403", f"`{state.name}` is written twice", span,
                 labels=[Label(seen[state.name], "first written here")])  # fmt: skip
    seen[state.name] = span
    if state.kind == "bank" and index is None:
        ctx.fail("E405", f"the bank `{state.name}` is written at an index", span,
                 hint=f"write `{state.name}[index] <- ...`")  # fmt: skip
    if isinstance(value, State):
        value = tensors.read(ctx, value, statement.value.span)
    if not isinstance(value, Value):
        place, hint, fix = statement.value.span, "", None
        if isinstance(value, Family) and state.kind == "queue":
            hint, fix = "`concat` makes rows of a family", wrapped(place, "concat(", ")")
        elif isinstance(value, Family):
            hint = "write one of them, or what they have in common: `mean(x[v] for v in views)`"
        ctx.fail("E405", f"a {state.kind} takes rows, not {describe(value)}", place, hint=hint,
                 fix=fix)  # fmt: skip
    _fits(ctx, state, value, index, statement.value.span)
    return state, Write(value.node, index.node if index is not None else None)


def _fits(ctx: Context, state: State, value: Value, index: Value | None, span: Span) -> None:
    if value.type.shown:
        undefined.refuse(ctx, f"`{state.name}` would hold tokens that no net was shown", span)
    shape, row = value.type.shape, state.type.shape[1:]
    if state.kind == "state":
        if shape != state.type.shape:
            hint, fix = advice.shape_of_state(state, shape)
            ctx.fail("E405", f"`{state.name}` is {state.type}; this is {value.type}", span,
                     hint=hint, fix=fix)  # fmt: skip
        return
    rows = shape[:1] if index is None else index.type.shape
    if value.type.rank < 1 or shape != (*rows, *row):
        where = "" if index is None else f", one for each of {index.type}"
        message = f"`{state.name}` has rows of {list(row)}{where}; this is {value.type}"
        ctx.fail("E405", message, span)
