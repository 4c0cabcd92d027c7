"""What each kind of declaration makes of its right side."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from sslang.diagnostics import DiagnosticError, Label, Span
from sslang.ir.build import calls, chains, families, nets, tensors
from sslang.ir.build.context import Context, Scope
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
    State,
    Value,
    View,
    Word,
    describe,
)
from sslang.model.resolve import Entry
from sslang.ops.schedules import Schedule
from sslang.syntax import tree
from sslang.types import Dim, TensorType

MAX_ROWS = 100_000_000


def declare(ctx: Context, entry: Entry) -> Any:
    """The value of a declared name."""
    scope = Scope(entry.home)
    handler = _KINDS.get(entry.kind)
    if handler is None:
        ctx.fail("E210", f"a `{entry.kind}` is not compiled by this version", entry.span)
    return handler(ctx, entry, scope)


def _evaluate(ctx: Context, entry: Entry, scope: Scope) -> Any:
    from sslang.ir.build.expressions import evaluate

    return evaluate(ctx, entry.value, scope)


def _parameter(ctx: Context, entry: Entry, scope: Scope) -> Any:
    value = _evaluate(ctx, entry, scope)
    if isinstance(value, Value | View | State):
        ctx.fail("E301", f"a param is a number, a description or a word, not {describe(value)}",
                 entry.value.span, hint="write a binding: leave out `param`")  # fmt: skip
    if isinstance(value, Arrow):
        ctx.fail("E307", "`a -> b` does not say how to go there", entry.value.span,
                 hint="write `cosine(a -> b)` or `linear(a -> b)`")  # fmt: skip
    if entry.declared is not None:
        _keeps_type(ctx, entry, value, scope)
    return value


def _keeps_type(ctx: Context, entry: Entry, value: Any, scope: Scope) -> None:
    """E211 where an overlay gives a param a value of another type than the spec does."""
    from sslang.ir.build.expressions import evaluate

    assert entry.declared is not None
    touched, memo = dict(ctx.touched), dict(ctx.memo)
    try:
        before = evaluate(ctx, entry.declared, scope)
    except DiagnosticError:
        return  # replaced, so what is wrong with it does not matter
    finally:
        ctx.touched, ctx.memo = touched, memo  # as if it had not been looked at
    if _type(value) != _type(before) and None not in (value, before):
        label = Label(entry.declared.span, f"declared as {describe(before)}")
        ctx.fail("E211", f"`{entry.name}` is set to {describe(value)}", entry.value.span,
                 labels=[label], hint="an overlay keeps the type of what it replaces")  # fmt: skip


def _type(value: Any) -> str:
    """What an overlay must keep; numbers and schedules are one type."""
    match value:
        case bool():
            return "truth value"
        case int() | float() | Schedule() | Dim():
            return "number"
        case Word():
            return "word"
        case str():
            return "text"
        case Builtin() | Function() | Description():
            return "description"
    return type(value).__name__


def _binding(ctx: Context, entry: Entry, scope: Scope) -> Any:
    from sslang.ir.build.expressions import evaluate

    assert entry.target is not None
    if not entry.target.items:
        value = _evaluate(ctx, entry, scope)
        return ctx.named(value, entry.name)
    over = _over(ctx, entry.target, "a binding for each member is written `x[v in views] = ...`")
    keys = families.keys_of(ctx, evaluate(ctx, over.over, scope), over.over.span)
    members = []
    for key in keys:
        value = evaluate(ctx, entry.value, scope.with_(**{over.name: key}))
        members.append(ctx.named(value, f"{entry.name}_{key}"))
    return families.family(ctx, keys, tuple(members), entry.target.span)


def _over(ctx: Context, target: tree.Target, hint: str) -> tree.Over:
    item = target.items[0]
    if len(target.items) != 1 or not isinstance(item, tree.Over):
        ctx.fail("E210", "this kind of target", target.span, hint=hint)
    return item


def _view(ctx: Context, entry: Entry, scope: Scope) -> Any:
    value = _evaluate(ctx, entry, scope)
    value = calls.ready(ctx, value, entry.value.span)
    if not isinstance(value, Description) or value.kind != "view":
        ctx.fail("E301", f"a view is a chain of view operations, not {describe(value)}",
                 entry.value.span)  # fmt: skip
    number = _count(ctx, entry, scope)
    if number is None:
        return chains.view(ctx, entry.name, value, entry.span)
    views = tuple(chains.view(ctx, f"{entry.name}_{i}", value, entry.span) for i in range(number))
    return Family(views, views)


def _count(ctx: Context, entry: Entry, scope: Scope) -> int | None:
    """The `n` of `view local[n]`; None without one."""
    from sslang.ir.build.expressions import evaluate

    assert entry.target is not None
    if not entry.target.items:
        return None
    value = evaluate(ctx, entry.target.items[0], scope)
    if len(entry.target.items) != 1 or not isinstance(value, int) or not 1 <= value <= 64:
        ctx.fail("E309", "a family of views has 1 to 64 members", entry.target.span)
    return value


def _net(ctx: Context, entry: Entry, scope: Scope) -> BuiltNet:
    assert entry.target is not None
    if entry.target.items:
        ctx.fail("E210", "families of nets", entry.target.span)
    value = calls.ready(ctx, _evaluate(ctx, entry, scope), entry.value.span)
    if value is None:
        value = Description("net", ())
    if not isinstance(value, Description) or value.kind != "net":
        hint = "an average is declared by `branch`" if isinstance(value, Momentum) else ""
        ctx.fail("E304", f"`{entry.kind} {entry.name}` takes the description of a net, not "
                 f"{describe(value)}", entry.value.span, hint=hint)  # fmt: skip
    return BuiltNet(entry.name, entry.kind, value, entry.span)


def _branch(ctx: Context, entry: Entry, scope: Scope) -> Branch:
    value = _evaluate(ctx, entry, scope)
    if isinstance(value, BuiltNet | Function | Builtin):
        value = Branch("", (value,))
    if isinstance(value, Momentum):
        value = _average(ctx, entry, value)
    elif isinstance(value, Branch):
        value = nets.replace_branch(value, name=entry.name)
    else:
        hint = ""
        if isinstance(value, Description):
            hint = "descriptions get parameters by `encoder` or `head`"
        ctx.fail("E304", f"a branch joins built nets, not {describe(value)}", entry.value.span,
                 hint=hint)  # fmt: skip
    ctx.branches[entry.name] = value
    return value


def _average(ctx: Context, entry: Entry, momentum: Momentum) -> Branch:
    """Copies of the nets of a branch, named after the branch that averages them."""
    of = momentum.of if isinstance(momentum.of, Branch) else Branch("", (momentum.of,))
    if of.average is not None or any(isinstance(s, BuiltNet) and s.source for s in of.stages):
        ctx.fail("E210", "an average of an average", entry.value.span)
    stages = []
    for stage in of.stages:
        if not isinstance(stage, BuiltNet):
            stages.append(stage)
            continue
        name = f"{entry.name}.{stage.name}"
        stages.append(BuiltNet(name, "average", stage.description, entry.span, source=stage))
    return Branch(entry.name, tuple(stages), of.batch_norm, momentum.average)


def _queue(ctx: Context, entry: Entry, scope: Scope) -> State:
    from sslang.ir.build.expressions import evaluate

    assert entry.target is not None
    items = entry.target.items
    if len(items) != 1 or isinstance(items[0], tree.Over):
        ctx.fail(
            "E210" if items else "E303",
            "a queue is declared as `queue q[rows] = sphere(dim)`",
            entry.target.span,
        )
    rows = evaluate(ctx, items[0], scope)
    if isinstance(rows, float) and rows.is_integer():
        rows = int(rows)
    if not isinstance(rows, int) or isinstance(rows, bool) or not 1 <= rows <= MAX_ROWS:
        message = f"a queue has 1 to {MAX_ROWS} rows, not {describe(rows)}"
        ctx.fail("E309", message, items[0].span)
    initial = _evaluate(ctx, entry, scope)
    if not isinstance(initial, Initial):
        ctx.fail(
            "E301",
            f"a queue begins with an initialiser, not {describe(initial)}",
            entry.value.span,
            hint="`sphere(dim)`, `normal(dim)`, `uniform(dim)`, `zeros(dim)`",
        )
    if rows * math.prod(initial.row) > tensors.MAX_ENTRIES:
        ctx.fail(
            "E311", f"a queue of {rows} rows of {math.prod(initial.row)} is too large", entry.span
        )
    state = State(entry.name, TensorType((rows, *initial.row)), entry.span)
    ctx.states[entry.name] = (state, initial)
    return state


def write_target(ctx: Context, state: Any, span: Span, seen: dict[str, Span]) -> State:
    """The state that `<-` writes; E407 or E403 where it cannot."""
    if not isinstance(state, State):
        ctx.fail("E407", f"{describe(state)} cannot be written", span,
                 hint="`<-` writes a queue; a binding is written with `=`")  # fmt: skip
    if state.name in seen:
        ctx.fail("E403", f"`{state.name}` is written twice", span,
                 labels=[Label(seen[state.name], "first written here")])  # fmt: skip
    seen[state.name] = span
    return state


_KINDS: dict[str, Callable[[Context, Entry, Scope], Any]] = {
    "param": _parameter,
    "binding": _binding,
    "view": _view,
    "encoder": _net,
    "head": _net,
    "branch": _branch,
    "queue": _queue,
}
