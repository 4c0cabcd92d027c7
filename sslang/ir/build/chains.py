"""Chains of view operations: drawn anew for each view in training, else in evaluation form."""

from __future__ import annotations

from sslang.diagnostics import Label, Span
from sslang.ir.build.context import Context
from sslang.ir.build.values import Description, Stage, View
from sslang.ir.graph import IMAGE
from sslang.ops import PRIMITIVES, Misfit
from sslang.types import ViewType

RAW = ViewType(3, None)


def view(
    ctx: Context, name: str, chain: Description, span: Span, start: View | None = None
) -> View:
    """The nodes of a declared view, which goes on from `start` or from the image.

    Its site names the draws: after `patches` there is one a patch, with `per = step` one a batch.
    """
    if start is None:
        current, type_ = ctx.add(IMAGE, (), RAW, None, hint="image").name, RAW
    else:
        current, type_ = start.node, start.type
    for at, stage in enumerate(chain.stages):
        form = stage if ctx.mode != "evaluation" else _evaluation(ctx, stage, type_)
        if form is None or form.probability == 0:
            continue
        try:
            result = form.primitive.rule(type_, **dict(form.settings))
        except Misfit as misfit:
            labels = [Label(span, f"in the view `{name}`")]
            ctx.fail(misfit.code, misfit.message, stage.span, labels=labels, hint=misfit.hint)
        settings = dict(form.settings)
        if form.primitive.random:
            settings["site"] = f"view/{name}/{at}"
            settings["probability"] = form.probability
        node = ctx.add(form.primitive.name, [current], result, stage.span, settings,
                       hint=f"{name}_{form.primitive.name}")  # fmt: skip
        current, type_ = node.name, result
    if type_.size is None:
        ctx.fail("E603", f"the view `{name}` never gets one size", span,
                 hint="begin its chain with random_resized_crop(size)")  # fmt: skip
    begin = None if start is None else start.node
    if ctx.mode != "evaluation" and current != begin and chain.stages:
        ctx.entitle(current, name)
    return View(name, current, type_)


def _evaluation(ctx: Context, stage: Stage, type_: ViewType) -> Stage | None:
    """What becomes of an operation in evaluation: dropped, kept, or the centre crop.

    A random crop of images of one size cuts their centre out; of images as they come it first
    resizes them.
    """
    match stage.primitive.evaluation:
        case "keep":
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
