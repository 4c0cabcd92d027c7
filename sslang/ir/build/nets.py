"""Nets: pipelines of descriptions and of built nets, settings of branches, application."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sslang.diagnostics import Label, Span
from sslang.ir.build import calls, habits, records, tensors
from sslang.ir.build.accept import one_of, word_of
from sslang.ir.build.context import Context
from sslang.ir.build.values import (
    BatchNorm,
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
    describe,
)
from sslang.ir.graph import APPLY, DRAW, MEMBER, PERMUTATION, PERMUTE, UNPERMUTE
from sslang.ops import Misfit
from sslang.ops.nets import Built
from sslang.types import BATCH, Dim, TensorType, Type, ViewType
from sslang.types.dims import scale

Member = tuple[str, Type]
Arguments = list[tuple[str, Mapping[str, Any]]]


def with_settings(
    ctx: Context, value: Any, settings: Mapping[str, tuple[Any, Span]], span: Span
) -> Any:
    """`net with (batch_norm = groups(32))`."""
    if isinstance(value, BuiltNet | NetSlice | Function | Builtin):
        value = Branch("", (value,))
    if isinstance(value, Momentum):
        inner = with_settings(ctx, value.of, settings, span)
        return Momentum(inner, value.average)
    if not isinstance(value, Branch):
        hint = ""
        if isinstance(value, Description) and value.kind == "net":
            hint = "settings are of a branch: `head g = ...`, then `branch b = f | g with (...)`"
        ctx.fail("E301", f"{describe(value)} takes no settings", span, hint=hint)
    for name, (setting, where) in settings.items():
        if name not in SETTINGS:
            habits.unknown_keyword(ctx, "a branch", name, where, SETTINGS, "setting")
        value = replace_branch(value, **SETTINGS[name](ctx, setting, where))
    return value


def _batch_norm(ctx: Context, setting: Any, where: Span) -> dict[str, Any]:
    if word_of(setting) == "whole":
        setting = BatchNorm()
    if not isinstance(setting, BatchNorm):
        shown = describe(setting)
        ctx.fail("E301", f"`batch_norm` is whole, groups(n) or shuffle(n), not {shown}", where)
    if setting.images:
        ctx.places.setdefault(f"batch_norm.{setting.images}", setting.span or where)
    return {"batch_norm": setting}


def _drop_path(ctx: Context, setting: Any, where: Span) -> dict[str, Any]:
    number = isinstance(setting, int | float) and not isinstance(setting, bool)
    if not number or not 0 <= setting < 1:
        ctx.fail("E309", f"`drop_path` is a probability below 1, not {describe(setting)}", where)
    return {"drop_path": float(setting), "drop_span": where}


def _mode(ctx: Context, setting: Any, where: Span) -> dict[str, Any]:
    if word_of(setting) not in WORDS["mode"]:
        ctx.fail("E301", f"`mode` is {one_of(WORDS['mode'])}", where)
    return {"evaluation": word_of(setting) == "evaluation"}


WORDS = {"batch_norm": ("whole",), "mode": ("training", "evaluation")}  # that settings know
SETTINGS: dict[str, Callable[[Context, Any, Span], dict[str, Any]]] = {
    "batch_norm": _batch_norm,
    "drop_path": _drop_path,
    "mode": _mode,
}


def replace_branch(branch: Branch, **changes: Any) -> Branch:
    """A branch of its own, not yet applied, with these fields changed."""
    return replace(branch, **{"applications": 0, **changes})


def sliced(
    ctx: Context, value: BuiltNet | Branch | NetSlice, bounds: slice, span: Span
) -> Branch | NetSlice:
    """`g[:3]`: the first layers of a net, or the first nets of a branch; parameters are shared."""
    if isinstance(value, Branch):
        kept = value.stages[bounds]
        if not kept:
            ctx.fail("E309", "the slice has no net", span)
        return replace_branch(value, name="", stages=kept, average=None)
    net, first = (value.net, value.start) if isinstance(value, NetSlice) else (value, 0)
    length = value.stop - first if isinstance(value, NetSlice) else len(net.description.stages)
    if any(isinstance(b, Dim) for b in (bounds.start, bounds.stop)):
        ctx.fail("E301", "a net is cut between plain numbers", span)
    chosen = range(*bounds.indices(length))
    if not chosen:
        ctx.fail("E309", f"the slice of `{net.name}` has no layer; it has {length}", span)
    return NetSlice(net, first + chosen.start, first + chosen.stop)


def apply(
    ctx: Context,
    net: BuiltNet | Branch | NetSlice,
    argument: Any,
    span: Span,
    keep: tuple[Any, Span] | None = None,
) -> Any:
    """A net on one view or tensor, or on a family: stage by stage, all members together.

    `keep` is the mask of the patches that a transformer is shown, or a family of masks.
    """
    branch = net if isinstance(net, Branch) else Branch(str(net), (net,))
    key = (net, argument, keep and keep[0]) if isinstance(argument, Value | View | Family) else None
    if key is not None and key in ctx.applied:
        return ctx.applied[key]
    result = _apply(ctx, branch, argument, span, keep)
    if key is not None:
        ctx.applied[key] = result
    return result


def _apply(
    ctx: Context, branch: Branch, argument: Any, span: Span, keep: tuple[Any, Span] | None
) -> Any:
    family = argument if isinstance(argument, Family) else None
    members = family.members if family is not None else (argument,)
    if not members:
        ctx.fail("E306", "the family is empty", span)
    masks = records.masks_of(ctx, family, keep) if keep is not None else []
    branch.applications += 1
    permutation = _permutation(ctx, branch, span)
    values: list[Any] = [_permuted(ctx, m, permutation, PERMUTE, span) for m in members]
    for stage in branch.stages:
        if isinstance(stage, BuiltNet | NetSlice):
            seen = [_permuted(ctx, m, permutation, PERMUTE, span) for m in masks]
            values = _stage(ctx, stage, values, branch, span, list(zip(masks, seen, strict=True)))
            masks = []
        else:
            values = [calls.applied(ctx, stage, v, span) for v in values]
    values = [_permuted(ctx, v, permutation, UNPERMUTE, span) for v in values]
    if branch.fixed:
        values = [tensors.op(ctx, "stop_grad", [v], {}, span) for v in values]
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
    if isinstance(type_, TensorType) and type_.shape[0] != BATCH:
        ctx.fail("E302", f"`shuffle` permutes the rows of the batch, and this is {type_}", span,
                 hint="`batch_norm = groups(n)` goes by runs of any rows; a family is permuted "
                 "member by member")  # fmt: skip
    node = ctx.add(op, (name, permutation), type_, span)
    if isinstance(value, View):
        return replace(value, node=node.name)
    assert isinstance(type_, TensorType)
    return Value(node.name, type_)


def _operand(ctx: Context, value: Any, span: Span) -> Member:
    if isinstance(value, View):
        return value.node, value.type
    if isinstance(value, State):
        value = tensors.read(ctx, value, span)
    if isinstance(value, Value):
        return value.node, value.type
    chain = isinstance(value, ChainFrom) or (
        isinstance(value, Description) and value.kind == "view"
    )
    hint = "a chain is drawn for each name that is declared: `view c = ...`" if chain else ""
    ctx.fail("E301", f"a net is applied to a view or a tensor, not to {describe(value)}", span,
             hint=hint)  # fmt: skip


def _stage(
    ctx: Context,
    stage: BuiltNet | NetSlice,
    values: list[Any],
    branch: Branch,
    span: Span,
    masks: list[tuple[Value, Value]],
) -> list[Any]:
    """One net on all values: those of one type together, once a distinct type.

    `masks` are those of each value, if any: in the order of the batch, and of the value's rows.
    """
    members = [_operand(ctx, v, span) for v in values]
    results: list[Any] = [None] * len(members)
    for type_ in dict.fromkeys(t for _, t in members):
        places = [i for i, (_, t) in enumerate(members) if t == type_]
        last = _use(ctx, stage, records.without_mask(ctx, stage, type_, span), span)
        output, drops = last.output, last.drops
        if isinstance(type_, TensorType):
            output = replace(output, shown=type_.shown)
        rows = TensorType((scale(output.shape[0], len(places)), *output.shape[1:]))
        settings = _settings(stage, type_, branch, len(places))
        inputs = [members[i][0] for i in places]
        if masks:
            records.check_masks(ctx, stage, last, [masks[i][0] for i in places], span)
            settings["keep"] = True
            inputs += [masks[i][1].node for i in places]
        if branch.drop_path and not branch.evaluation and ctx.mode != "evaluation":
            if branch.drop_span is not None:
                ctx.drops[branch.drop_span] = drops > 0 or ctx.drops.get(branch.drop_span, False)
            if drops:
                _check_droppable(ctx, type_, span)
                settings["drop_path"] = branch.drop_path
                inputs.append(_drops(ctx, stage, len(places) * drops, span))
        net = settings["net"]
        node = ctx.add(APPLY, inputs, rows, span, settings, hint=net)
        ctx.records[node.name] = last.fields
        ctx.kept[node.name] = tuple(masks[i][0].node for i in places) if masks else ()
        for at, place in enumerate(places):
            if len(places) == 1:
                results[place] = Value(node.name, output)
                continue
            member = ctx.add(MEMBER, [node.name], output, span, {"at": at, "of": len(places)})
            results[place] = Value(member.name, output)
    return results


def _settings(
    stage: BuiltNet | NetSlice, type_: Type, branch: Branch, views: int
) -> dict[str, Any]:
    """What an application is told beside its input; what is usual is left out."""
    net = stage.net if isinstance(stage, NetSlice) else stage
    found: dict[str, Any] = {"net": net.name, "views": views, "group": branch.batch_norm.images}
    if isinstance(stage, NetSlice):
        found |= {"start": stage.start, "stop": stage.stop}
    if isinstance(type_, ViewType) and type_.grid is not None:
        found["grid"] = type_.grid
    if branch.evaluation:
        found["evaluation"] = True
    if branch.fixed:
        found["fixed"] = True
    return found


def _check_droppable(ctx: Context, type_: Type, span: Span) -> None:
    """E302 unless a row of the net's input is an image of the batch, for which a path is drawn."""
    patches = isinstance(type_, ViewType) and type_.grid is not None
    if patches or (isinstance(type_, TensorType) and type_.shape[0] != BATCH):
        message = f"`drop_path` drops paths of the batch's images, and this is {type_}"
        ctx.fail("E302", message, span, hint="apply a branch without `drop_path` to it")


def _drops(ctx: Context, stage: BuiltNet | NetSlice, count: int, span: Span) -> str:
    """Uniform draws for stochastic depth: of each image, for each of its views and branches."""
    net = stage.net if isinstance(stage, NetSlice) else stage
    settings = {"site": ctx.site(f"drop_path/{net.name}"), "kind": "uniform", "per": "row"}
    type_ = TensorType((BATCH, count))
    return ctx.add(DRAW, (), type_, span, settings, hint=f"drop_{net.name}").name


def _use(ctx: Context, stage: BuiltNet | NetSlice, type_: Type, span: Span) -> Built:
    """The last layer in use for this input, with the draws a row of the drop path of all.

    The first use fixes what is built; others must agree, but for an argument that is flexible,
    whose largest value is built.
    """
    net = stage.net if isinstance(stage, NetSlice) else stage
    start, stop = (stage.start, stage.stop) if isinstance(stage, NetSlice) else (0, None)
    if start and net.first_use is None:
        ctx.fail("E305", f"the later layers of `{net.name}` are used, and never the first", span,
                 hint=f"apply `{net.name}`, or a slice from its first layer, too")  # fmt: skip
    if net.source is not None and net.source.input is None and not start:
        _use(ctx, net.source, type_, span)
    current: Any = type_
    last, drops = Built(type_, {}) if isinstance(type_, TensorType) else None, 0
    found: list[Built] = []
    for at, layer in enumerate(net.description.stages[start:], start):
        try:
            built = layer.primitive.rule(current, **dict(layer.settings))
        except Misfit as misfit:
            labels = [Label(layer.span, f"in `{net.name}`")]
            ctx.fail(misfit.code, misfit.message, span, labels=labels, hint=misfit.hint)
        found.append(built)
        current = built.output
        if stop is None or at < stop:
            last, drops = built, drops + built.drops
    if last is None:
        ctx.fail("E304", f"the net `{net.name}` has no layers", net.span)
    lowerings = [layer.primitive.lowering for layer in net.description.stages[start:]]
    made = [(path, built.arguments) for path, built in zip(lowerings, found, strict=True)]
    if net.first_use is None:
        net.input, net.arguments, net.first_use = type_, made, span
        net.flexible = tuple(b.flexible for b in found)
        ctx.nets[net.name] = net
        return replace(last, drops=drops)
    both = agreed(net.arguments[start:], made, net.flexible[start:])
    if both is None:
        label = Label(net.first_use, f"used on {net.input} here")
        message = f"the net `{net.name}` was built for {net.input} and meets {type_}"
        ctx.fail("E305", message, span, labels=[label])
    net.arguments[start:] = both
    return replace(last, drops=drops)


def net_of(stage: Any) -> BuiltNet | None:
    """The net of a branch's stage, sliced or not; None where it is a function."""
    if isinstance(stage, NetSlice):
        return stage.net
    return stage if isinstance(stage, BuiltNet) else None


def agreed(known: Arguments, made: Arguments, flexible: Sequence[str]) -> Arguments | None:
    """The arguments for both uses; None where they differ in more than a flexible one."""
    found: Arguments = []
    for (path, before), (_, now), name in zip(known, made, flexible, strict=True):
        if not name:
            if before != now:
                return None
            found.append((path, before))
            continue
        if {**before, name: None} != {**now, name: None}:
            return None
        found.append((path, {**before, name: max(before[name], now[name])}))
    return found
