"""What a recipe evaluates, and how long its probe is trained."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.checks.declared import classes, images
from sslang.diagnostics import Diagnostic, Span
from sslang.ir.program import Program
from sslang.model.recipe import Accuracy, LinearProbe
from sslang.types import TensorType


def evaluated(program: Program) -> Iterator[Diagnostic]:
    """E526 without `features`, E720 for an accuracy of no logits, E516 for too short a probe."""
    recipe, place = program.spec.recipe, program.spans.get("evaluate")
    if recipe is None or place is None or not recipe.evaluate:
        return
    own = _is_own(program, place)
    if program.features is None and (own or program.spec.paper is not None):
        message = f"the phase `{program.phase}` has no `features`, so nothing is evaluated"
        shown = place if own else program.spans.get("loss")
        yield Diagnostic("E526", message, shown, hint="write e.g. `features = f(a)`")
    yield from _accuracy(program, place)
    count = images(program)
    for at, probe in enumerate(recipe.evaluate):
        if not isinstance(probe, LinearProbe) or probe.lr is None or count is None:
            continue
        steps = -(-count // probe.batch)
        if probe.length.unit == "steps" and probe.length.value < steps:
            share = f"{probe.length.value / steps:.2g} of an epoch"
            message = f"the linear probe is trained for {probe.length}, {share}"
            hint = f"write `length = {probe.length.value:g} epochs`"
            written = program.spans.get(f"evaluate.{at}.length", place)
            yield Diagnostic("E516", message, written, hint=hint)


def _accuracy(program: Program, place: Span) -> Iterator[Diagnostic]:
    recipe, known = program.spec.recipe, classes(program)
    assert recipe is not None
    if program.features is None or not any(isinstance(e, Accuracy) for e in recipe.evaluate):
        return
    type_ = program.features.node(program.features.outputs["features"]).type
    width = type_.shape[-1] if isinstance(type_, TensorType) else None
    if isinstance(width, int) and known is not None and width != known:
        message = f"`accuracy` is of one number a class; `features` has {width}, the data {known}"
        yield Diagnostic("E720", message, program.spans.get("features", place),
                         hint="evaluate the classifier's output, or by knn")  # fmt: skip


def _is_own(program: Program, place: Span) -> bool:
    """Whether the author wrote it. Recipes of the library evaluate where there is something, and
    only of a method with a paper, which is meant to be compared, is it missed."""
    loss = program.spans.get("loss")
    return loss is not None and loss.source is place.source
