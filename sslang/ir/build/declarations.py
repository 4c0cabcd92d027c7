"""What each kind of declaration makes of its right side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sslang.diagnostics import DiagnosticError, Label
from sslang.ir.build import advice, calls, chains, ends, families, nets, patterns, states
from sslang.ir.build.context import Context, Scope
from sslang.ir.build.values import (
    Arrow,
    Branch,
    Builtin,
    BuiltNet,
    ChainFrom,
    Description,
    Family,
    Function,
    Momentum,
    NetSlice,
    State,
    Value,
    View,
    Word,
    describe,
)
from sslang.model.resolve import Entry
from sslang.ops.schedules import Schedule
from sslang.syntax import tree
from sslang.types import Dim, Interval

MAX_FAMILY = 64


def declare(ctx: Context, entry: Entry) -> Any:
    """The value of a declared name."""
    scope = Scope(entry.home)
    return _KINDS[entry.kind](ctx, entry, scope)


def _evaluate(ctx: Context, entry: Entry, scope: Scope) -> Any:
    from sslang.ir.build.expressions import evaluate

    return evaluate(ctx, entry.value, scope)


def _parameter(ctx: Context, entry: Entry, scope: Scope) -> Any:
    value = _evaluate(ctx, entry, scope)
    if isinstance(value, Value | View | State):
        ctx.fail("E301", f"a param is a number, a description or a word, not {describe(value)}",
                 entry.value.span, hint="write a binding: leave out `param`")  # fmt: skip
    if isinstance(value, Arrow):
        ends.bare_arrow(ctx, value, entry.value.span)
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
        with ctx.at(f"{entry.name}.{key}"):
            value = evaluate(ctx, entry.value, scope.with_(**{over.name: key}))
        members.append(ctx.named(value, f"{entry.name}_{key}"))
    return families.family(ctx, keys, tuple(members), entry.target.span)


def _over(ctx: Context, target: tree.Target, hint: str) -> tree.Over:
    item = target.items[0]
    if len(target.items) != 1 or not isinstance(item, tree.Over):
        inside = ", ".join(i.span.text for i in target.items)
        message = f"`{target.span.text}` does not say what `{inside}` runs over"
        ctx.fail("E303", message, target.span, hint=hint)
    return item


def _view(ctx: Context, entry: Entry, scope: Scope) -> Any:
    value = _evaluate(ctx, entry, scope)
    value = calls.ready(ctx, value, entry.value.span)
    start = None
    if isinstance(value, ChainFrom):
        start, value = value.view, value.chain
    if not isinstance(value, Description) or value.kind != "view":
        if isinstance(value, View):
            advice.second_name(ctx, entry, value)
        hint, fix = advice.pipeline(value, entry.value)
        if isinstance(value, Value):
            hint = f"a value is bound without `view`: `{entry.name} = ...`"
        elif isinstance(value, Function):
            hint = patterns.signature(value.node)
        ctx.fail("E301", f"a view is a chain of view operations, not {describe(value)}",
                 entry.value.span, hint=hint, fix=fix)  # fmt: skip
    keys = _keys(ctx, entry, scope)
    if keys is None:
        return _declared(ctx, entry.name, chains.view(ctx, entry.name, value, entry.span, start))
    for key in keys:
        other = ctx.resolved.namespace.entries.get(f"{entry.name}_{key}")
        if other is not None and other.kind == "view":
            message = f"`{other.name}` names a view of the family `{entry.name}`, too"
            ctx.fail("E202", message, other.span, labels=[Label(entry.span, "the family")],
                     hint="give it another name")  # fmt: skip
    views = tuple(
        _declared(ctx, f"{entry.name}[{key}]",
                  chains.view(ctx, f"{entry.name}_{key}", value, entry.span, start))
        for key in keys
    )  # fmt: skip
    return Family(views, views)


def _declared(ctx: Context, written: str, view: View) -> View:
    """Return the view, which is then known by the name that a spec writes."""
    ctx.views[written] = view.node
    return view


def _keys(ctx: Context, entry: Entry, scope: Scope) -> tuple[int, ...] | None:
    """The integers of `view local[n]` or `head w[1..5]`; None without brackets."""
    from sslang.ir.build.expressions import evaluate

    assert entry.target is not None
    if not entry.target.items:
        return None
    item, *others = entry.target.items
    written = f"`{entry.kind} {entry.name}[n]` or `{entry.kind} {entry.name}[1..n]`"
    if others:
        ctx.fail("E309", f"a family of {entry.kind}s has one index", others[0].span,
                 hint=f"write {written}")  # fmt: skip
    value = evaluate(ctx, item, scope)
    said = describe(value)
    if isinstance(value, Interval):
        keys = families.keys_of(ctx, value, item.span)
        if len(keys) <= MAX_FAMILY:
            return tuple(k for k in keys if isinstance(k, int))
        said = f"{len(keys)} of them"
    elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_FAMILY:
        return tuple(range(value))
    ctx.fail("E309", f"a family of {entry.kind}s has 0 to {MAX_FAMILY} members, not {said}",
             item.span, hint=f"write {written}")  # fmt: skip


def _net(ctx: Context, entry: Entry, scope: Scope) -> Any:
    value = calls.ready(ctx, _evaluate(ctx, entry, scope), entry.value.span)
    if value is None:
        value = Description("net", ())
    if not isinstance(value, Description) or value.kind != "net":
        hint, fix = advice.pipeline(value, entry.value)
        if isinstance(value, Momentum):
            hint = "an average is declared by `branch`"
        elif isinstance(value, Function):
            hint = patterns.signature(value.node)
        elif isinstance(value, Branch | BuiltNet):
            hint = "nets are joined by `branch`; `encoder` and `head` build new ones"
        ctx.fail("E304", f"`{entry.kind} {entry.name}` takes the description of a net, not "
                 f"{describe(value)}", entry.value.span, hint=hint, fix=fix)  # fmt: skip
    keys = _keys(ctx, entry, scope)
    if keys is None:
        return BuiltNet(entry.name, entry.kind, value, entry.span)
    nets_ = tuple(BuiltNet(f"{entry.name}.{k}", entry.kind, value, entry.span) for k in keys)
    return families.family(ctx, keys, nets_, entry.span)


def _branch(ctx: Context, entry: Entry, scope: Scope) -> Branch:
    value = _evaluate(ctx, entry, scope)
    if isinstance(value, BuiltNet | NetSlice | Function | Builtin):
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
        ctx.fail("E304", "an average follows trained nets, not another average", entry.value.span)
    copies: dict[str, BuiltNet] = {}

    def copy(net: BuiltNet) -> BuiltNet:
        if net.name not in copies:
            name = f"{entry.name}.{net.name}"
            copies[net.name] = BuiltNet(name, "average", net.description, entry.span, source=net)
        return copies[net.name]

    stages: list[Any] = []
    for stage in of.stages:
        if isinstance(stage, BuiltNet):
            stages.append(copy(stage))
        elif isinstance(stage, NetSlice):
            stages.append(NetSlice(copy(stage.net), stage.start, stage.stop))
        else:
            stages.append(stage)
    return nets.replace_branch(of, name=entry.name, stages=tuple(stages), average=momentum.average)


_KINDS: dict[str, Callable[[Context, Entry, Scope], Any]] = {
    "param": _parameter,
    "binding": _binding,
    "view": _view,
    "encoder": _net,
    "head": _net,
    "branch": _branch,
    "queue": states.declared,
    "bank": states.declared,
    "state": states.declared,
    "weight": states.declared,
}
