"""The roots of a step: its loss and its writes, evaluated into nodes."""

from __future__ import annotations

from collections.abc import Mapping, Set

from sslang.diagnostics import Diagnostic, Span
from sslang.ir.build import states
from sslang.ir.build.context import Context, Scope
from sslang.ir.build.names import lookup
from sslang.ir.build.values import Family, Value, describe
from sslang.ir.graph import Write
from sslang.model.resolve import STATES
from sslang.syntax import tree
from sslang.syntax.rename import free_names
from sslang.types import BATCH


def training_step(ctx: Context) -> tuple[dict[str, str], dict[str, Write]]:
    """Loss and writes of the step."""
    resolved = ctx.resolved
    entries = resolved.namespace.entries
    outputs: dict[str, str] = {}
    if "loss" in entries:
        with ctx.collecting():
            outputs["loss"] = _loss(ctx)
    else:
        method = resolved.module.method
        span = method.span if method is not None else None
        ctx.diagnostics.append(Diagnostic("E409", "nothing is called `loss`", span))
    writes, seen = _writes(ctx)
    for state, write, span in ctx.inner_writes.values():
        writes[state.name] = write
        seen[state.name] = span
    if any(d.is_error for d in ctx.diagnostics):
        _rest(ctx)
    _never_written(ctx, seen)
    return outputs, writes


def _writes(ctx: Context) -> tuple[dict[str, Write], dict[str, Span]]:
    """Writes of the states that the step reads, and where each stands.

    Others are dropped, with all that only they need; where something is wrong they are looked at
    nevertheless.
    """
    writes: dict[str, Write] = {}
    seen: dict[str, Span] = {}
    waiting = sorted(ctx.resolved.writes, key=lambda w: w.target.name)
    while waiting:
        broken = any(d.is_error for d in ctx.diagnostics)
        evaluated = {name.split(".")[0] for name in ctx.states}
        due = [w for w in waiting if broken or _is_read(ctx, w, evaluated)]
        if not due:
            break
        taken = set(map(id, due))
        waiting = [w for w in waiting if id(w) not in taken]
        for statement in due:
            with ctx.collecting():
                for state, write in states.write(ctx, statement, Scope(), seen):
                    writes[state.name] = write
    return writes, seen


def _is_read(ctx: Context, write: tree.Write, evaluated: Set[str]) -> bool:
    """Whether the state that is written, or its family, is among those evaluated so far."""
    name = write.target.name
    entry = ctx.resolved.namespace.entries.get(name)
    if entry is None or entry.kind not in STATES:
        return True  # what cannot be written is told
    return name in evaluated


def _never_written(ctx: Context, seen: Mapping[str, Span]) -> None:
    wanted = {write.target.name for write in ctx.resolved.writes}
    for name, state in ctx.states.items():
        begun = state.kind == "weight" or state.latched or name in seen
        if not begun and name.split(".")[0] not in wanted:
            ctx.diagnostics.append(
                Diagnostic(
                    "E404",
                    f"nothing writes `{name}`: it stays what it begins with",
                    state.span,
                    hint=f"write `{_target(ctx, name, state.kind)} <- ...`",
                )
            )


def _target(ctx: Context, name: str, kind: str) -> str:
    """How a write names a state: a bank with its index, a family with what it runs over."""
    base = name.split(".")[0]
    entry = ctx.resolved.namespace.entries.get(base)
    items = entry.target.items if entry is not None and entry.target is not None else ()
    if items and isinstance(items[0], tree.Over):
        return f"{base}[{items[0].span.text}]"
    return f"{name}[index]" if kind == "bank" else name


def _rest(ctx: Context) -> None:
    """Evaluate what the roots need and did not come to, so that all errors are found in one go."""
    entries = ctx.resolved.namespace.entries
    waiting = [entries[root].value for root in ("loss", "features") if root in entries]
    waiting += [write.value for write in ctx.resolved.writes]
    reached: set[str] = set()
    while waiting:
        for name in sorted((free_names(waiting.pop()) & set(entries)) - reached):
            reached.add(name)
            waiting.append(entries[name].value)
    for name in sorted(reached, key=lambda n: entries[n].span.start):
        with ctx.collecting():
            lookup(ctx, name, entries[name].span, Scope())


def _loss(ctx: Context) -> str:
    entry = ctx.resolved.namespace.entries["loss"]
    value = lookup(ctx, "loss", entry.span, Scope())
    if not isinstance(value, Value):
        hint = "reduce the family: `sum(l[v] for v in views)`" if isinstance(value, Family) else ""
        ctx.fail("E408", f"the loss is {describe(value)}", entry.value.span, hint=hint)
    if value.type.shape not in ((), (BATCH,)):
        ctx.fail("E408", f"the loss has the shape {value.type}", entry.value.span,
                 hint="reduce it: `mean(...)`")  # fmt: skip
    return value.node
