"""Facts about the batch and the length of a run that need no data."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.diagnostics import Diagnostic
from sslang.ir.graph import APPLY
from sslang.ir.program import Program
from sslang.model.recipe import Recipe
from sslang.ops.schedules import Schedule
from sslang.types import Duration


def batch_facts(program: Program) -> Iterator[Diagnostic]:
    """E406 for queues, E503 for groups of batch norm, E504 for schedules longer than the run."""
    recipe = program.spec.recipe
    if recipe is None:
        return
    yield from _queues(program, recipe)
    yield from _groups(program, recipe)
    yield from _schedules(program, recipe)


def _queues(program: Program, recipe: Recipe) -> Iterator[Diagnostic]:
    for state in program.states:
        rows = state.shape[0] if state.kind == "queue" else 0
        if state.name in program.step.writes and isinstance(rows, int) and rows % recipe.batch:
            message = f"the queue `{state.name}` has {rows} rows, no multiple of the batch "
            yield Diagnostic(
                "E406", message + f"of {recipe.batch}", state.span,
                hint=f"take {max(1, round(rows / recipe.batch)) * recipe.batch} rows",
            )  # fmt: skip


def _groups(program: Program, recipe: Recipe) -> Iterator[Diagnostic]:
    seen: set[int] = set()
    for node in program.step.nodes:
        group = node.setting("group") if node.op == APPLY else 0
        if group and group not in seen and recipe.batch % group:
            seen.add(group)
            message = (
                f"batch norm goes by groups of {group} images, and the batch is {recipe.batch}"
            )
            yield Diagnostic(
                "E503", message, node.span, hint=f"take a multiple of {group}, or other groups"
            )


def _schedules(program: Program, recipe: Recipe) -> Iterator[Diagnostic]:
    """Durations in the units of the length; others need the size of the data."""
    places: list[tuple[str, object]] = [
        ("optimizer", getattr(recipe.optimizer, name))
        for name in type(recipe.optimizer).model_fields
    ]
    places += [(a.branch, a.momentum) for a in program.averages]
    for name, value in places:
        if not isinstance(value, Schedule):
            continue
        for duration in value.durations():
            if _longer(duration, recipe.length):
                message = (
                    f"a schedule of `{name}` has {duration}, and the run lasts {recipe.length}"
                )
                yield Diagnostic("E504", message, program.spans.get(name),
                                 hint="shorten it, or lengthen the run")  # fmt: skip


def _longer(duration: Duration, length: Duration) -> bool:
    return duration.unit == length.unit and duration.value > length.value
