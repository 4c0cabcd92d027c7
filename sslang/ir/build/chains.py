"""Chains of view operations: drawn anew for each view in training, else in evaluation form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from sslang.diagnostics import Label, Span, nearest
from sslang.ir.build.context import Context
from sslang.ir.build.values import Choice, Description, Stage, Value, View, ViewOp
from sslang.ir.graph import DRAW, IMAGE, Node, OpNumber
from sslang.ops import PRIMITIVES, Misfit
from sslang.ops.declare import Number
from sslang.ops.traits import MixesRows
from sslang.records import record
from sslang.types import BATCH, TensorType, ViewType

RAW = ViewType(3, None)
_SHOWN = 12  # of the numbers that a view has
_ONCE = "in `some_of` an op has one place with `order = listed`"
APPLIED = Number("applied", "1 where the op was applied to the image, else 0")  # of every op


def view(
    ctx: Context, name: str, chain: Description, span: Span, start: View | None = None
) -> View:
    """The nodes of a declared view, which goes on from `start` or from the image.

    Its site names the draws: after `patches` there is one a patch, with `per = step` one a batch.
    """
    if start is None:
        at = _At(ctx.add(IMAGE, (), RAW, None, hint="image").name, RAW)
    else:
        at = _At(start.node, start.type)
    unused: list[tuple[Node, ViewType]] = [] if start is None else list(start.unused)
    making = _Making(ctx, name, span, unused)
    for number, stage in enumerate(chain.stages):
        at = making.step(stage, at, f"view/{name}/{number}")
    if at.type.size is None:
        ctx.fail("E603", f"the view `{name}` never gets one size", span,
                 hint="begin its chain with random_resized_crop(size)")  # fmt: skip
    begin = None if start is None else start.node
    if ctx.mode != "evaluation" and at.node != begin and chain.stages:
        ctx.entitle(at.node, name)
    return View(name, at.node, at.type, tuple(unused))


@record(frozen=True)
class _At:
    """How far a chain has come: the node of the images, and their type."""

    node: str
    type: ViewType


# The choices that an op stands in: the arguments of `sslang.emit.view_draws.Choice`, each.
_Choices = tuple[tuple[Any, ...], ...]


@record(frozen=True)
class _Making:
    """The view that is being made."""

    ctx: Context
    name: str
    span: Span
    unused: list[tuple[Node, ViewType]]  # ops that are never applied; their numbers can be read

    def step(self, stage: Stage | Choice, at: _At, site: str, choices: _Choices = ()) -> _At:
        """What the images are after a step of the chain."""
        if isinstance(stage, Choice):
            return self._choice(stage, at, site, choices)
        ctx = self.ctx
        form = stage if ctx.mode != "evaluation" else _evaluation(ctx, stage, at.type)
        if form is None:
            return at
        if form.probability == 0 and not form.primitive.has(MixesRows):
            return self._never(form, at, site)
        result = self._checked(form.primitive.rule, form, at.type)
        settings = dict(form.settings)
        if choices:
            self._expect_alternative(form, at.type, result)
        if (form.primitive.random or choices) and ctx.mode != "evaluation":
            settings["site"] = site
            settings["probability"] = form.probability
            if choices:
                settings["choice"] = choices
        node = ctx.add(form.primitive.name, [at.node], result, stage.span, settings,
                       hint=f"{self.name}_{form.primitive.name}")  # fmt: skip
        return _At(node.name, result)

    def _never(self, form: Stage | Choice, at: _At, site: str) -> _At:
        """The images as they are, for the op is left out; its numbers say that it is idle."""
        if isinstance(form, Choice):
            return self._choice(replace(form, probability=0.0), at, site, ())
        settings = {**dict(form.settings), "site": site, "probability": 0.0}
        node = Node("", form.primitive.name, (at.node,), tuple(settings.items()), at.type)
        self.unused.append((node, at.type))
        return at

    def _expect_alternative(self, form: Stage, before: ViewType, after: ViewType) -> None:
        """Refuse an operation that cannot be applied to some images and not to the others."""
        name = form.primitive.name
        if form.primitive.takes_sizes:
            message = f"`{name}` crops every image, so it is no alternative"
            self.ctx.fail("E301", message, form.span, hint="put it before or after the choice")
        if replace(before, unit=after.unit) != after:
            message = f"`{name}` makes {before} into {after}, so it is no alternative"
            hint = "each operation of an alternative keeps the size and the channels"
            self.ctx.fail("E301", message, form.span, hint=hint)

    def _checked(self, rule: Callable[..., ViewType], form: Stage, type_: ViewType) -> ViewType:
        try:
            return rule(type_, **dict(form.settings))
        except Misfit as misfit:
            labels = [Label(self.span, f"in the view `{self.name}`")]
            self.ctx.fail(misfit.code, misfit.message, form.span, labels=labels, hint=misfit.hint)

    def _choice(self, choice: Choice, at: _At, site: str, choices: _Choices) -> _At:
        """Every alternative in every slot, each for the images whose draw falls on it.

        Alternatives are given the images as the choice is, and keep their type, but that values may
        leave 0..1.
        """
        if self.ctx.mode == "evaluation":
            return at
        if choice.probability == 0:
            for member, stages in enumerate(choice.alternatives):
                for number, stage in enumerate(stages):
                    self._never(stage, at, f"{site}/.{member}.{number}")
            return at
        count = len(choice.alternatives)
        unit, node = at.type.unit, at.node
        for slot in [None] if choice.listed else range(choice.high):
            given = replace(at.type, unit=unit)
            for member, stages in enumerate(choice.alternatives):
                drawn = (site, choice.probability, count, choice.low, choice.high, choice.replace,
                         slot, member)  # fmt: skip
                after = _At(node, given)
                for number, stage in enumerate(stages):
                    place = f"{site}/{'' if slot is None else slot}.{member}.{number}"
                    after = self.step(stage, after, place, (*choices, drawn))
                sure = choice.listed and choice.low == count and choice.probability == 1
                unit = after.type.unit if sure else unit and after.type.unit
                node = after.node
                if choice.listed and choice.high > 1:  # one is applied after the other
                    given = replace(at.type, unit=unit)
        return _At(node, replace(at.type, unit=unit))


def _evaluation(ctx: Context, stage: Stage, type_: ViewType) -> Stage | None:
    """What becomes of an operation in evaluation: dropped, kept, or the centre crop.

    A random crop of images of one size cuts their centre out; of images as they come it first
    resizes them.
    """
    match stage.primitive.evaluation:
        case "keep":
            return stage
        case "sure" if stage.probability == 1:
            return stage
        case "crop":
            given = dict(stage.settings)
            fits = type_.size is not None and given["size"] <= type_.size
            if stage.primitive.name == "random_crop" and fits:
                cut = (("size", given["size"]),)
                return Stage(PRIMITIVES["center_crop"], cut, stage.span)
            settings = {"size": given["size"], "crop": ctx.crop}
            for name in ("interpolation", "antialias"):
                if name in given:
                    settings[name] = given[name]
            return Stage(PRIMITIVES["resize_and_crop"], tuple(settings.items()), stage.span)
    return None


def part_of(ctx: Context, of: View | ViewOp, name: str, span: Span) -> ViewOp | Value | None:
    """`view.op`, `view.number` or `view.op.number`: an op of a view's chain, or what it drew.

    None where the view has no such op and none with such a number.
    """
    if isinstance(of, ViewOp):
        return _number_of_op(ctx, of, name, span)
    if ctx.mode == "evaluation" and _could_draw(name):
        ctx.fail("E312", f"`features` depends on what `{of.key}` draws: `{span.text}`", span,
                 hint="features are the same at every evaluation")  # fmt: skip
    drawn = list(_ops(ctx, of))
    found = [node for node, _ in drawn if node.op == name]
    if len(found) > 1:
        ctx.fail("E310", f"`{name}` may be applied more than once in the chain of `{of.key}`, so "
                 "its numbers are no one op's", span, hint=_ONCE)  # fmt: skip
    if found:
        return ViewOp(of, name)
    named = {node.op: (node, before) for node, before in drawn
             if name in PRIMITIVES[node.op].numbers}  # fmt: skip
    if len(named) > 1:
        ops = " or ".join(f"`{of.key}.{op}.{name}`" for op in named)
        ctx.fail("E310", f"more than one op of `{of.key}` draws a `{name}`", span,
                 hint=f"write {ops}")  # fmt: skip
    for op in named:
        return _number_of_op(ctx, ViewOp(of, op), name, span)
    return None


def numbers_hint(ctx: Context, of: View, name: str) -> str:
    """Say which numbers a loss can read of a view, the nearest name first."""
    ops = {node.op: PRIMITIVES[node.op].numbers for node, _ in _ops(ctx, of)}
    if not ops:
        return "no operation of its chain draws anything"
    numbers = {number for found in ops.values() for number in found}
    listed = [f"`{op}.{number}`" for op in ops for number in (*ops[op], "applied")]
    shown = ", ".join(listed[:_SHOWN]) + (", ..." if len(listed) > _SHOWN else "")
    return nearest(name, {*numbers, *ops}) or f"of what its chain draws there are {shown}"


def _number_of_op(ctx: Context, of: ViewOp, name: str, span: Span) -> Value:
    numbers = {**PRIMITIVES[of.name].numbers, "applied": APPLIED}
    if name not in numbers:
        hint = nearest(name, numbers) or f"it has {', '.join(f'`{n}`' for n in numbers)}"
        ctx.fail("E310", f"`{of.name}` draws no `{name}`", span, hint=hint)
    found = [(node, before) for node, before in _ops(ctx, of.view) if node.op == of.name]
    if len(found) > 1:
        ctx.fail("E310", f"`{of.name}` may be applied more than once in the chain of "
                 f"`{of.view.key}`, so its numbers are no one op's", span, hint=_ONCE)  # fmt: skip
    return _number(ctx, *found[0], name, span)


def _number(ctx: Context, node: Node, before: ViewType, name: str, span: Span) -> Value:
    primitive = PRIMITIVES[node.op]
    number = primitive.numbers.get(name, APPLIED)
    settings = primitive.all_settings(
        {k: v for k, v in node.settings if k not in ("site", "probability", "choice")}
    )
    below = number.below_of(settings, before)
    places = before.grid or ()
    type_ = TensorType((BATCH, *places, *number.shape_of(settings, before)), number.dtype)
    given = {
        "site": node.setting("site"),
        "kind": "uniform" if number.dtype == "float" else "integers",
        "per": "row",
        **({} if below == "" else {"below": BATCH if below == "batch" else below}),
        "number": OpNumber(node, before, name),
    }
    return Value(ctx.add(DRAW, (), type_, span, given, hint=f"{node.op}_{name}").name, type_)


def _ops(ctx: Context, view: View) -> Iterator[tuple[Node, ViewType]]:
    """The random ops of a view's chain, the last first, each with the type that it is given.

    Behind them are those that are never applied.
    """
    node = ctx.node(view.node)
    while node.op != IMAGE:
        source = ctx.node(node.references[0])
        assert isinstance(source.type, ViewType)
        if node.setting("site") is not None:
            yield node, source.type
        node = source
    yield from view.unused


@cache
def _could_draw(name: str) -> bool:
    """Whether this is an op of views that draws, or a number of one: in evaluation it is gone."""
    ops = [p for p in PRIMITIVES.values() if p.random]
    return any(name == op.name or name in op.numbers for op in ops)
