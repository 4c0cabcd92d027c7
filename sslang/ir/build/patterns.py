"""Shape patterns of function parameters: `z: [B, D][2]` binds B and D, and demands two members."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sslang.diagnostics import Label, Span
from sslang.ir.build import advice, tensors
from sslang.ir.build.context import Context
from sslang.ir.build.values import Family, State, Value, describe
from sslang.syntax import tree
from sslang.types import Dim, Size, TensorType


def signature(node: tree.Function) -> str:
    """How a function is called, as a hint."""
    shown = ", ".join(p.span.text for p in node.parameters)
    family = any(re.search(r"\]\s*\[", p.span.text) for p in node.parameters)
    more = "; tensors of a family stand in brackets: `[x, y]`" if family else ""
    return f"it is `{node.name}({shown})`{more}"


def mapped_over(node: tree.Function, local: Mapping[str, Any]) -> Sequence[str] | None:
    """The parameters whose pattern is a tensor's and whose argument is a family, if any."""
    names = [
        p.name
        for p in node.parameters
        if p.pattern is not None and p.pattern.members is None and isinstance(local[p.name], Family)
    ]
    return names or None


def match_all(
    ctx: Context,
    node: tree.Function,
    local: dict[str, Any],
    given: Mapping[str, tuple[Any, Span]],
    span: Span,
) -> None:
    """Bind the capitals of every pattern in `local`; E302 where an argument does not fit."""
    origin: dict[str, tuple[str, Span]] = {}
    for parameter in node.parameters:
        if parameter.pattern is None:
            continue
        where = given[parameter.name][1] if parameter.name in given else span
        value = local[parameter.name]
        pattern = parameter.pattern
        if pattern.members is not None:
            _members(ctx, pattern, parameter, value, local, origin, where)
        else:
            hint = "" if isinstance(value, Value) else signature(node)
            local[parameter.name] = _one(ctx, pattern, parameter, value, local, origin, where, hint)


def _members(
    ctx: Context,
    pattern: tree.Pattern,
    parameter: tree.Parameter,
    value: Any,
    local: dict[str, Any],
    origin: dict[str, tuple[str, Span]],
    where: Span,
) -> None:
    if not isinstance(value, Family):
        ctx.fail("E306", f"`{parameter.name}` takes a family; this is {describe(value)}", where,
                 labels=[Label(parameter.span, "declared here")],
                 hint="apply the branch to a family: `online([a, b])`")  # fmt: skip
    wanted = pattern.members
    if isinstance(wanted, tree.Number) and wanted.value != len(value):
        message = f"`{parameter.name}` takes {wanted.value} members; this family has {len(value)}"
        ctx.fail("E306", message, where, labels=[Label(parameter.span, "declared here")])
    if isinstance(wanted, tree.Name):
        _bind(ctx, wanted.name, len(value), parameter, local, origin, where)
    members = tuple(_one(ctx, pattern, parameter, m, local, origin, where) for m in value.members)
    local[parameter.name] = Family(value.keys, members)


def _one(
    ctx: Context,
    pattern: tree.Pattern,
    parameter: tree.Parameter,
    value: Any,
    local: dict[str, Any],
    origin: dict[str, tuple[str, Span]],
    where: Span,
    hint: str = "",
) -> Value:
    if isinstance(value, State):
        value = tensors.read(ctx, value, where)
    if not isinstance(value, Value):
        if pattern.kind == "index" and isinstance(value, int) and len(pattern.dims) > 1:
            hint = f"so many are drawn by `draw_integers({value}, below = dataset)`"
        ctx.fail("E301", f"`{parameter.name}` takes a tensor; this is {describe(value)}", where,
                 labels=[Label(parameter.span, "declared here")], hint=hint)  # fmt: skip
    if pattern.kind == "index" and value.type.dtype != "int":
        hint, fix = advice.integers(ctx, value, where)
        ctx.fail("E301", f"`{parameter.name}` takes integers; this is {value.type}", where,
                 hint=hint, fix=fix)  # fmt: skip
    for size, dim in _pairs(ctx, pattern, parameter, value.type, where):
        if isinstance(dim, tree.Name):
            _bind(ctx, dim.name, size, parameter, local, origin, where)
        elif isinstance(dim, tree.Number) and dim.value != size:
            message = f"`{parameter.name}` needs a size of {dim.value} here; this is {value.type}"
            ctx.fail("E302", message, where, labels=[Label(dim.span, "this size")])
    return value


def _pairs(
    ctx: Context, pattern: tree.Pattern, parameter: tree.Parameter, type_: TensorType, where: Span
) -> list[tuple[Size, tree.Node]]:
    dims, shape = list(pattern.dims), list(type_.shape)
    at = next((i for i, d in enumerate(dims) if isinstance(d, tree.Ellipsis_)), None)
    fits = len(dims) == len(shape) if at is None else len(dims) - 1 <= len(shape)
    if not fits:
        message = f"`{parameter.name}` takes {parameter.pattern_text()}; this is {type_}"
        ctx.fail("E302", message, where, labels=[Label(parameter.span, "declared here")])
    if at is None:
        return list(zip(shape, dims, strict=True))
    behind = len(dims) - at - 1
    front = list(zip(shape[:at], dims[:at], strict=True))
    return front + list(zip(shape[len(shape) - behind :], dims[at + 1 :], strict=True))


def _bind(
    ctx: Context,
    name: str,
    size: Size,
    parameter: tree.Parameter,
    local: dict[str, Any],
    origin: dict[str, tuple[str, Span]],
    where: Span,
) -> None:
    known = local.get(name)
    if known is None:
        local[name] = size
        origin[name] = (parameter.name, where)
        return
    if isinstance(known, int | Dim) and known == size:
        return
    labels = [Label(parameter.span, "declared here")]
    if name in origin:
        labels.insert(0, Label(origin[name][1], f"`{name}` is {known} here"))
    ctx.fail("E302", f"`{name}` is {known}, and this has {size}", where, labels=labels)
