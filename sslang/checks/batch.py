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
    """Times in the units of the length; others need the size of the data."""
    for what, name, duration in times(program):
        if duration.unit == recipe.length.unit and duration.value > recipe.length.value:
            message = f"{what} has {duration}, and the run lasts {recipe.length}"
            yield Diagnostic("E504", message, program.spans.get(name),
                             hint="shorten it, or lengthen the run")  # fmt: skip


def times(program: Program) -> Iterator[tuple[str, str, Duration]]:
    """Every time that must lie within the run: what has it, the name to point at, and the time."""
    recipe = program.spec.recipe
    assert recipe is not None
    places: list[tuple[str, object]] = [
        ("optimizer", getattr(recipe.optimizer, name))
        for name in type(recipe.optimizer).model_fields
    ]
    places += [("groups", v) for g in recipe.groups for v in (g.lr, g.weight_decay)]
    places += [(a.branch, a.momentum) for a in program.averages]
    places += [("loss", schedule) for schedule in program.schedules.values()]
    for name, value in places:
        if isinstance(value, Schedule):
            for duration in value.durations():
                yield f"a schedule of `{name}`", name, duration
    for selector in recipe.freeze:
        if selector.operator == "until":
            yield "`freeze`", "freeze", selector.operands[1]
    for state in program.states:
        if state.start is not None:
            yield f"the queue `{state.name}`", state.name.split(".")[0], state.start
