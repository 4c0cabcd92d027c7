"""Records that nets give, and the masks of what a transformer is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sslang.diagnostics import Span
from sslang.ir.build import tensors, undefined
from sslang.ir.build.context import Context
from sslang.ir.build.values import BuiltNet, Family, NetSlice, Value, describe
from sslang.ir.graph import APPLY, FIELD, MEMBER, UNPERMUTE, Node
from sslang.ops.nets import Built
from sslang.types import TensorType, Type


def masks_of(ctx: Context, family: Family | None, keep: tuple[Any, Span]) -> list[Value]:
    """The mask of each member; one that is given alone is that of all."""
    given, place = keep
    if isinstance(given, Family) and family is not None:
        tensors.common_keys(ctx, [family, given], place)
        masks = list(given.members)
    else:
        masks = [given] * (1 if family is None else len(family))
    for mask in masks:
        if not isinstance(mask, Value) or mask.type.dtype != "bool":
            ctx.fail("E301", f"`keep` is a mask, true where a patch is shown, not {describe(mask)}",
                     place, hint="such as `rank(draw_uniform(n)) < k`")  # fmt: skip
    return masks


def without_mask(ctx: Context, stage: BuiltNet | NetSlice, type_: Type, span: Span) -> Type:
    """The type without its mask; E313 where a layer mixes tokens that were not shown."""
    if not isinstance(type_, TensorType) or not type_.shown:
        return type_
    net, start, stop = stage, 0, None
    if isinstance(stage, NetSlice):
        net, start, stop = stage.net, stage.start, stage.stop
    assert isinstance(net, BuiltNet)
    for layer in net.description.stages[start:stop]:
        if layer.primitive.name not in undefined.BY_TOKEN:
            message = f"`{layer.primitive.name}` of `{net.name}` mixes tokens, and some of these "
            undefined.refuse(ctx, message + "were not shown to the net that made them", span)
    return replace(type_, shown="")


def check_masks(
    ctx: Context, stage: BuiltNet | NetSlice, last: Built, masks: list[Value], span: Span
) -> None:
    """E303, E302 where a net takes no masks, or not these."""
    net = stage.net if isinstance(stage, NetSlice) else stage
    patches = last.fields.get("patches")
    if patches is None or len(net.description.stages) > 1:
        ctx.fail("E303", f"`{net.name}` takes no `keep`", span,
                 hint="a vit alone can be shown a part of its patches")  # fmt: skip
    for mask in masks:
        if mask.type.shape != patches.shape[:2]:
            message = f"the mask {mask.type} does not fit the patches {patches}"
            ctx.fail("E302", message, span)


def field(ctx: Context, value: Value | Family, name: str, span: Span) -> Any:
    """`f(x).grid`: a field of the record that the last net gave; of each member of a family."""
    if isinstance(value, Family):
        return Family(value.keys, tuple(field(ctx, m, name, span) for m in value.members))
    if not isinstance(value, Value):
        ctx.fail("E310", f"{describe(value)} has no part `{name}`", span)
    node = _field(ctx, ctx.node(value.node), name, span)
    assert isinstance(node.type, TensorType)
    mask = _mask_of(ctx, ctx.node(value.node))
    if mask and name == "grid":
        ctx.fail("E313", "a grid of which patches are missing", span,
                 hint="take `patches`, and replace the others")  # fmt: skip
    return Value(node.name, replace(node.type, shown=mask if name == "patches" else ""))


def _mask_of(ctx: Context, node: Node) -> str:
    """The mask of the patches that a value of a record was shown; ``""`` for all."""
    at = 0
    while node.op != APPLY:
        at = node.setting("at", at)
        node = ctx.node(node.references[0])
    masks = ctx.kept[node.name]
    return masks[at] if masks else ""


def _field(ctx: Context, node: Node, name: str, span: Span) -> Node:
    """The field behind what has been done to rows since: members, permutations, cuts."""
    if node.op in (MEMBER, UNPERMUTE, "stop_grad"):
        inner = _field(ctx, ctx.node(node.references[0]), name, span)
        assert isinstance(inner.type, TensorType) and isinstance(node.type, TensorType)
        type_ = TensorType((node.type.shape[0], *inner.type.shape[1:]))
        return ctx.add(node.op, [inner.name, *node.inputs[1:]], type_, span, dict(node.settings))
    fields = ctx.records.get(node.name, {})
    if not fields:
        hint = "a resnet has pooled and grid, a vit cls, patches, grid and pooled"
        what = f"the result of `{node.setting('net')}`" if node.op == APPLY else "this tensor"
        ctx.fail("E310", f"{what} is no record with a field `{name}`", span, hint=hint)
    if name not in fields:
        hint = f"its fields: {', '.join(fields)}"
        message = f"the result of `{node.setting('net')}` has no field `{name}`"
        ctx.fail("E310", message, span, hint=hint)
    default = next(iter(fields))
    if name == default:
        return node
    assert isinstance(node.type, TensorType)
    rows = TensorType((node.type.shape[0], *fields[name].shape[1:]))
    settings = {"name": name, "default": default}
    return ctx.add(FIELD, [node.name], rows, span, settings, hint=name)
