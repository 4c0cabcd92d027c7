"""The roots of a spec - loss, writes, features, recipe - evaluated into a program."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sslang.diagnostics import Diagnostic, Span
from sslang.ir.build import operators, tensors
from sslang.ir.build.configure import as_field
from sslang.ir.build.context import Context, Scope
from sslang.ir.build.declarations import write_target
from sslang.ir.build.names import lookup
from sslang.ir.build.text import hidden, resolved_text, settings_text
from sslang.ir.build.values import (
    Arrow,
    BuiltNet,
    Family,
    Initial,
    State,
    Value,
    describe,
)
from sslang.ir.graph import APPLY, Graph
from sslang.ir.program import AveragePlan, NetPlan, Program, StatePlan
from sslang.model.recipe import FIELDS, REQUIRED, Recipe
from sslang.model.resolve import Resolved
from sslang.model.spec import Spec
from sslang.model.validate import problems, validated
from sslang.ops.nets import PARTS
from sslang.syntax import tree
from sslang.syntax.rename import free_names
from sslang.types import BATCH


def build(resolved: Resolved) -> Program:
    """The program of a resolved spec. What is wrong with it is in its `diagnostics`."""
    recipe_context = Context(resolved, "recipe")
    recipe = _recipe(recipe_context)
    training = Context(resolved, "training")
    outputs, writes = _training(training)
    evaluation = Context(resolved, "evaluation", crop=recipe.crop if recipe else 0.875)
    features = _features(evaluation)
    if features is not None:
        embedding = _same_net(training, features)
        if embedding is not None:
            outputs["embedding"] = embedding
    step = Graph(tuple(training.nodes), outputs, writes).pruned()
    contexts = (recipe_context, training, evaluation)
    nets = {**evaluation.nets, **training.nets}
    touched = list({key: e for c in contexts for key, e in c.touched.items()}.values())
    diagnostics = (*_diagnostics(resolved, *contexts), *hidden(touched))
    method = resolved.module.method
    text = resolved_text(resolved, touched)
    spec = Spec(
        method=method.name if method is not None else "",
        paper=_paper(method),
        recipe_name=resolved.recipe,
        overrides=resolved.overrides,
        text=text,
        recipe=recipe,
        settings=settings_text(resolved, touched),
    )
    return Program(
        spec=spec,
        step=step,
        features=features,
        nets=tuple(_plan(net) for net in nets.values()),
        averages=tuple(_averages(training, evaluation, nets)),
        states=tuple(_state(s, i) for s, i in training.states.values()),
        diagnostics=diagnostics,
        spans={name: e.value.span for name, e in resolved.namespace.entries.items()},
        used=frozenset(e.name for e in touched if e.home is None),
    )


def _diagnostics(resolved: Resolved, *contexts: Context) -> tuple[Diagnostic, ...]:
    found = [*resolved.module.diagnostics, *resolved.diagnostics]
    for context in contexts:
        found.extend(context.diagnostics)
    unread = _words_of_unread_lines(resolved.module.diagnostics)
    return tuple(d for d in dict.fromkeys(found) if not _is_echo(d, unread))


def _words_of_unread_lines(found: Iterable[Diagnostic]) -> set[str]:
    """The words of the lines that syntax errors kept from being read."""
    spans = [d.span for d in found if d.span is not None and d.code.startswith("E1")]
    return {word for s in spans for word in re.findall(r"\w+", s.source.line(s.line))}


def _is_echo(diagnostic: Diagnostic, unread: set[str]) -> bool:
    """Whether something is only missing because the line that has it could not be read."""
    match diagnostic.code:
        case "E409":
            return "loss" in unread
        case "E501":
            return not unread.isdisjoint(REQUIRED)
        case "E201" | "E205":
            return diagnostic.span is not None and diagnostic.span.text in unread
    return False


def _paper(method: tree.Method | None) -> str | None:
    for argument in method.arguments if method is not None else ():
        if argument.name == "paper" and isinstance(argument.value, tree.Text):
            return argument.value.value
    return None


def _recipe(ctx: Context) -> Recipe | None:
    """The recipe's fields, evaluated; None where it lacks some or they do not fit."""
    entries = ctx.resolved.namespace.entries
    present = [name for name in FIELDS if name in entries]
    if not present and ctx.resolved.recipe is None:
        return None
    values: dict[str, Any] = {}
    given: dict[str, str] = {}
    for name in sorted(present, key=lambda n: n != "batch"):
        with ctx.collecting():
            value = lookup(ctx, name, entries[name].span, Scope())
            given[name] = describe(value)
            values[name] = _field(ctx, name, value, entries[name].value.span)
            if name == "batch" and isinstance(value, int):
                ctx.batch = value
    missing = [name for name in REQUIRED if name not in entries]
    if missing:
        module, chosen = ctx.resolved.module, ctx.resolved.recipe
        place = module.recipes.get(chosen or "", module.method)
        span = None if place is None else place.span.first_line
        who = "the spec" if chosen is None else f"recipe `{chosen}`"
        message = f"{who} lacks {', '.join(f'`{m}`' for m in missing)}"
        ctx.diagnostics.append(Diagnostic("E501", message, span))
    for problem in problems(Recipe, values):
        if problem.field in values:
            message = f"`{problem.field}`: {problem.text}; this is {given[problem.field]}"
            ctx.diagnostics.append(Diagnostic("E502", message, entries[problem.field].value.span))
    return validated(Recipe, values)


def _field(ctx: Context, name: str, value: Any, span: Span) -> Any:
    if isinstance(value, Arrow):
        ctx.fail("E307", "`a -> b` does not say how to go there", span,
                 hint="write `cosine(a -> b)` or `linear(a -> b)`")  # fmt: skip
    if name in ("freeze", "groups", "evaluate"):
        items = value.members if isinstance(value, Family) else () if value is None else (value,)
        if name != "freeze":
            return tuple(as_field(item) for item in items)
        selectors = [operators.as_selector(item, span) for item in items]
        if None in selectors:
            ctx.fail("E502", "`freeze` lists nets, parts, `bias` or `norm`", span)
        return tuple(selectors)
    if name == "length" and isinstance(value, int | float) and not isinstance(value, bool):
        ctx.fail("E308", f"`length` is a time, and {value:g} has no unit", span,
                 hint=f"write `{value:g} epochs` or `{value:g} steps`")  # fmt: skip
    return as_field(value)


def _training(ctx: Context) -> tuple[dict[str, str], dict[str, str]]:
    """Loss and writes of the step."""
    entries = ctx.resolved.namespace.entries
    outputs: dict[str, str] = {}
    if "loss" in entries:
        with ctx.collecting():
            outputs["loss"] = _loss(ctx)
    else:
        method = ctx.resolved.module.method
        span = method.span if method is not None else None
        ctx.diagnostics.append(Diagnostic("E409", "nothing is called `loss`", span))
    writes: dict[str, str] = {}
    seen: dict[str, Span] = {}
    for statement in sorted(ctx.resolved.module.writes, key=lambda w: w.target.name):
        with ctx.collecting():
            _write(ctx, statement, writes, seen)
    if any(d.is_error for d in ctx.diagnostics):
        _rest(ctx)
    for name in ctx.states:
        if name not in seen:
            state = ctx.states[name][0]
            ctx.diagnostics.append(
                Diagnostic(
                    "E404",
                    f"nothing writes `{name}`: it stays what it begins with",
                    state.span,
                    hint=f"write `{name} <- ...`",
                )
            )
    return outputs, writes


def _rest(ctx: Context) -> None:
    """Evaluate what the roots need and did not come to, so that all errors are found in one go."""
    entries = ctx.resolved.namespace.entries
    waiting = [entries[root].value for root in ("loss", "features") if root in entries]
    waiting += [write.value for write in ctx.resolved.module.writes]
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


def _write(
    ctx: Context, statement: tree.Write, writes: dict[str, str], seen: dict[str, Span]
) -> None:
    from sslang.ir.build.expressions import evaluate

    target = statement.target
    if target.items:
        ctx.fail("E210", "scattering into a bank", target.span)
    state = write_target(ctx, lookup(ctx, target.name, target.span, Scope()), target.span, seen)
    value = evaluate(ctx, statement.value, Scope())
    if isinstance(value, State):
        value = tensors.read(ctx, value, statement.value.span)
    if not isinstance(value, Value):
        ctx.fail("E405", f"a queue takes rows, not {describe(value)}", statement.value.span)
    if value.type.shape[1:] != state.type.shape[1:] or value.type.rank < 1:
        message = f"`{state.name}` has rows of {list(state.type.shape[1:])}; this is {value.type}"
        ctx.fail("E405", message, statement.value.span)
    writes[state.name] = value.node


def _features(ctx: Context) -> Graph | None:
    entries = ctx.resolved.namespace.entries
    if "features" not in entries:
        return None
    with ctx.collecting():
        value = lookup(ctx, "features", entries["features"].span, Scope())
        if isinstance(value, State) or not isinstance(value, Value):
            ctx.fail(
                "E301",
                f"`features` is {describe(value)}; it must be a tensor of one row an image",
                entries["features"].value.span,
                hint="write e.g. `features = f(a)`",
            )
        if value.type.rank != 2 or value.type.shape[0] != BATCH:
            ctx.fail("E302", f"`features` is {value.type}; it must be [batch, width]",
                     entries["features"].value.span)  # fmt: skip
        return Graph(tuple(ctx.nodes), {"features": value.node}, {}).pruned()
    return None


def _same_net(training: Context, features: Graph) -> str | None:
    """The step's node that applies the net whose output is the features, if there is one."""
    last = features.node(features.outputs["features"])
    if last.op != APPLY:
        return None
    for node in training.nodes:
        if node.op == APPLY and node.setting("net") == last.setting("net"):
            return node.name
    return None


def _plan(net: BuiltNet) -> NetPlan:
    parts = tuple(PARTS.get(s.primitive.name, {}) for s in net.description.stages)
    return NetPlan(net.name, net.kind, tuple(net.arguments), parts, net.span)


def _averages(
    training: Context, evaluation: Context, nets: dict[str, BuiltNet]
) -> list[AveragePlan]:
    plans = []
    for name, branch in {**evaluation.branches, **training.branches}.items():
        if branch.average is None:
            continue
        average = branch.average
        pairs = tuple(
            (stage.name, stage.source.name)
            for stage in branch.stages
            if isinstance(stage, BuiltNet) and stage.source is not None and stage.name in nets
        )
        if pairs:
            plans.append(AveragePlan(name, pairs, average.momentum, average.fresh, average.buffers))
    return plans


def _state(state: State, initial: Initial) -> StatePlan:
    rows = state.type.shape[0]
    assert isinstance(rows, int)
    return StatePlan(
        state.name, rows, initial.row, initial.primitive.name, dict(initial.settings), state.span
    )
