"""Nets: pipelines of descriptions and of built nets, settings of branches, application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sslang.diagnostics import Label, Span, nearest
from sslang.ir.build import calls, operators, tensors
from sslang.ir.build.accept import word_of
from sslang.ir.build.context import Context
from sslang.ir.build.values import (
    NOTHING,
    BatchNorm,
    Branch,
    Builtin,
    BuiltNet,
    Description,
    Family,
    Function,
    Momentum,
    State,
    Value,
    View,
    describe,
)
from sslang.ir.graph import APPLY, MEMBER, PERMUTATION, PERMUTE, UNPERMUTE
from sslang.ops import Misfit
from sslang.types import BATCH, TensorType, Type
from sslang.types.dims import scale

MAX_STAGES = 1000

Member = tuple[str, Type]


def pipe(ctx: Context, left: Any, right: Any, span: Span) -> Any:
    """`a | b`: descriptions joined, nets joined into a branch, or a value sent through."""
    if isinstance(left, Value | View | State | Family):
        return _send(ctx, left, right, span)
    left, right = calls.ready(ctx, left, span), calls.ready(ctx, right, span)
    left = NOTHING if left is None else left
    right = NOTHING if right is None else right
    if isinstance(left, Description) and isinstance(right, Description):
        return _described(ctx, left, right, span)
    if isinstance(left, Momentum) or isinstance(right, Momentum):
        ctx.fail("E304", "an `ema` needs a name before it is used", span,
                 hint="write `branch target = ema(...)`")  # fmt: skip
    stages: list[Any] = []
    for side in (left, right):
        if isinstance(side, Branch):
            stages.extend(side.stages)
        elif isinstance(side, BuiltNet | Function | Builtin):
            stages.append(side)
        elif isinstance(side, Description) and not side.stages:
            continue
        elif isinstance(side, Description):
            ctx.fail("E304", "a built net is joined with a description, which has no parameters",
                     span, hint="give the description a name with `head`")  # fmt: skip
        else:
            ctx.fail("E304", f"{describe(side)} cannot be part of a branch", span)
    norms = [s.batch_norm for s in (left, right) if isinstance(s, Branch)]
    if len(stages) > MAX_STAGES:
        ctx.fail("E311", f"a branch has at most {MAX_STAGES} stages", span)
    return Branch("", tuple(stages), norms[0] if norms else BatchNorm())


def _described(ctx: Context, left: Description, right: Description, span: Span) -> Description:
    if left.stages and right.stages and left.kind != right.kind:
        ctx.fail("E301", "view operations and net layers cannot be joined by `|`", span,
                 hint="a view is declared by `view`, and a net applied to it")  # fmt: skip
    stages = left.stages + right.stages
    if len(stages) > MAX_STAGES:
        ctx.fail("E311", f"a net or chain has at most {MAX_STAGES} stages", span)
    return Description((left if left.stages else right).kind, stages)


def _send(ctx: Context, value: Any, right: Any, span: Span) -> Any:
    if isinstance(right, BuiltNet | Branch):
        return apply(ctx, right, value, span)
    if isinstance(right, Description):
        if isinstance(value, View) and right.kind == "view":
            ctx.fail("E210", "a view made from a view", span)
        ctx.fail("E304", "this is a description; it has no parameters yet", span,
                 hint="give it a name with `encoder` or `head`")  # fmt: skip
    if isinstance(right, Builtin) and right.primitive.kind in ("view", "net"):
        return _send(ctx, value, operators.as_chain(ctx, right, span), span)
    return calls.applied(ctx, right, value, span)


def with_settings(
    ctx: Context, value: Any, settings: Mapping[str, tuple[Any, Span]], span: Span
) -> Any:
    """`net with (batch_norm = groups(32))`."""
    if isinstance(value, BuiltNet | Function | Builtin):
        value = Branch("", (value,))
    if isinstance(value, Momentum):
        inner = with_settings(ctx, value.of, settings, span)
        return Momentum(inner, value.average)
    if not isinstance(value, Branch):
        ctx.fail("E210", f"settings on {describe(value)}", span)
    batch_norm = value.batch_norm
    for name, (setting, where) in settings.items():
        if name in ("drop_path", "mode"):
            ctx.fail("E210", f"the setting `{name}`", where)
        if name != "batch_norm":
            hint = nearest(name, ["batch_norm", "drop_path", "mode"]) or "there is: batch_norm"
            ctx.fail("E303", f"a branch has no setting `{name}`", where, hint=hint)
        if word_of(setting) == "whole":
            setting = BatchNorm()
        if not isinstance(setting, BatchNorm):
            ctx.fail(
                "E301",
                f"`batch_norm` is whole, groups(n) or shuffle(n), not {describe(setting)}",
                where,
            )
        batch_norm = setting
    return replace_branch(value, batch_norm=batch_norm)


def replace_branch(branch: Branch, **changes: Any) -> Branch:
    fields = {
        "name": branch.name, "stages": branch.stages, "batch_norm": branch.batch_norm,
        "average": branch.average,
    }  # fmt: skip
    return Branch(**{**fields, **changes})


def apply(ctx: Context, net: BuiltNet | Branch, argument: Any, span: Span) -> Any:
    """A net on one view or tensor, or on a family: stage by stage, all members together."""
    branch = net if isinstance(net, Branch) else Branch(net.name, (net,))
    key = (net, argument) if isinstance(argument, Value | View | Family) else None
    if key is not None and key in ctx.applied:
        return ctx.applied[key]
    result = _apply(ctx, branch, argument, span)
    if key is not None:
        ctx.applied[key] = result
    return result


def _apply(ctx: Context, branch: Branch, argument: Any, span: Span) -> Any:
    family = argument if isinstance(argument, Family) else None
    members = family.members if family is not None else (argument,)
    if not members:
        ctx.fail("E306", "the family is empty", span)
    branch.applications += 1
    permutation = _permutation(ctx, branch, span)
    values: list[Any] = [_permuted(ctx, m, permutation, PERMUTE, span) for m in members]
    for stage in branch.stages:
        if isinstance(stage, BuiltNet):
            values = _stage(ctx, stage, values, branch.batch_norm, span)
        else:
            values = [calls.applied(ctx, stage, v, span) for v in values]
    values = [_permuted(ctx, v, permutation, UNPERMUTE, span) for v in values]
    return values[0] if family is None else Family(family.keys, tuple(values))


def _permutation(ctx: Context, branch: Branch, span: Span) -> str | None:
    if not branch.batch_norm.shuffled or ctx.mode == "evaluation":
        return None
    site = f"shuffle/{branch.name}/{branch.applications}"
    node = ctx.add(PERMUTATION, (), TensorType((BATCH,), "int"), span, {"site": site}, "shuffle")
    return node.name


def _permuted(ctx: Context, value: Any, permutation: str | None, op: str, span: Span) -> Any:
    if permutation is None:
        return value
    name, type_ = _operand(ctx, value, span)
    node = ctx.add(op, (name, permutation), type_, span)
    return replace(value, node=node.name) if isinstance(value, View) else Value(node.name, type_)  # type: ignore[arg-type]


def _operand(ctx: Context, value: Any, span: Span) -> Member:
    if isinstance(value, View):
        return value.node, value.type
    if isinstance(value, State):
        value = tensors.read(ctx, value, span)
    if isinstance(value, Value):
        return value.node, value.type
    ctx.fail("E301", f"a net is applied to a view or a tensor, not to {describe(value)}", span)


def _stage(
    ctx: Context, net: BuiltNet, values: list[Any], batch_norm: BatchNorm, span: Span
) -> list[Any]:
    """One net on all values: those of one type together, once a distinct type."""
    members = [_operand(ctx, v, span) for v in values]
    results: list[Any] = [None] * len(members)
    for type_ in dict.fromkeys(t for _, t in members):
        places = [i for i, (_, t) in enumerate(members) if t == type_]
        output = _use(ctx, net, type_, span)
        rows = TensorType((scale(output.shape[0], len(places)), *output.shape[1:]))
        settings = {"net": net.name, "views": len(places), "group": batch_norm.images}
        inputs = [members[i][0] for i in places]
        node = ctx.add(APPLY, inputs, rows, span, settings, hint=net.name)
        for at, place in enumerate(places):
            if len(places) == 1:
                results[place] = Value(node.name, output)
                continue
            member = ctx.add(MEMBER, [node.name], output, span, {"at": at, "of": len(places)})
            results[place] = Value(member.name, output)
    return results


def _use(ctx: Context, net: BuiltNet, type_: Type, span: Span) -> TensorType:
    """The output type for this input. The first use fixes what is built; others must agree."""
    if net.source is not None and net.source.input is None:
        _use(ctx, net.source, type_, span)
    current: Any = type_
    arguments: list[tuple[str, Mapping[str, Any]]] = []
    for stage in net.description.stages:
        try:
            built = stage.primitive.rule(current, **dict(stage.settings))
        except Misfit as misfit:
            labels = [Label(stage.span, f"in `{net.name}`")]
            ctx.fail(misfit.code, misfit.message, span, labels=labels, hint=misfit.hint)
        arguments.append((stage.primitive.lowering, built.arguments))
        current = built.output
    if not isinstance(current, TensorType):
        ctx.fail("E304", f"the net `{net.name}` has no layers", net.span)
    if net.first_use is None:
        net.input, net.arguments, net.first_use = type_, arguments, span
        ctx.nets[net.name] = net
    elif net.arguments != arguments:
        label = Label(net.first_use, f"used on {net.input} here")
        message = f"the net `{net.name}` was built for {net.input} and meets {type_}"
        ctx.fail("E305", message, span, labels=[label])
    return current
