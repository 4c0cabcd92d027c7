"""Facts about the batch and the length of a run that need no data, or none but their number."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.checks.declared import epoch, images
from sslang.checks.times import times_within
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.graph import APPLY
from sslang.ir.program import Program
from sslang.model.recipe import Recipe
from sslang.types import Duration


def batch_facts(program: Program) -> Iterator[Diagnostic]:
    """E406 for queues, E503 for groups of batch norm, E504 for schedules longer than the run.

    Where the recipe's data says how many images it has, E506 and E602 for a run or a batch of
    more than there are.
    """
    recipe = program.spec.recipe
    if recipe is None:
        return
    yield from _queues(program, recipe)
    yield from _groups(program, recipe)
    short = list(_enough(program, recipe))
    yield from short or _schedules(program, recipe)


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
            place = program.spans.get(f"batch_norm.{group}")
            labels = (Label(node.place, "applied here"),) if place and node.place else ()
            yield Diagnostic("E503", message, place or node.place, labels,
                             hint=_dividing(group, recipe.batch))  # fmt: skip


def _dividing(group: int, batch: int) -> str:
    """The groups nearest to these that go into the batch, and the batches nearest to this one."""
    fits = [n for n in range(2, batch + 1) if batch % n == 0]
    nearest = min(fits, key=lambda n: abs(n - group), default=batch)
    below, above = batch // group * group, -(-batch // group) * group
    batches = f"{below} or {above}" if below else f"{above}"
    return f"take groups of {nearest}, or a batch that is a multiple of {group}: {batches}"


def _enough(program: Program, recipe: Recipe) -> Iterator[Diagnostic]:
    """What the start of a run would find of the data, found before."""
    count, steps = images(program), epoch(program)
    if count is None or steps is None:
        return
    data = f"`{recipe.data.word}` has {count} images to train on"
    if recipe.last_batch == "drop" and count < recipe.batch:
        message = f"{data}, fewer than the batch of {recipe.batch}"
        yield Diagnostic("E602", message, program.spans.get("batch"), hint="take a smaller batch")
    elif round(recipe.length.steps(steps)) < 1:
        message = f"{data}: {recipe.length} are fewer than one step"
        yield Diagnostic("E506", message, program.spans.get("length"))


def _schedules(program: Program, recipe: Recipe) -> Iterator[Diagnostic]:
    """Times in the units of the length, or in steps where the size of the data is known."""
    steps = epoch(program)
    for time in times_within(program):
        end = _compared(time.duration, recipe.length, steps)
        if end is None or time.duration.value < end or (time.duration.value == end and time.last):
            continue
        message = f"{time.told}, and the run lasts {recipe.length}"
        if time.duration.unit != recipe.length.unit:
            message += f", {end:g} {time.duration.unit} of `{recipe.data.word}`"
        yield Diagnostic("E504", message, time.place(program),
                         hint="shorten it, or lengthen the run")  # fmt: skip


def _compared(duration: Duration, length: Duration, steps: int | None) -> float | None:
    """The length of the run in the unit of the duration; None where nothing says it."""
    if duration.unit == length.unit:
        return length.value
    if steps is None:
        return None
    return length.value * steps if duration.unit == "steps" else length.value / steps


def times(program: Program) -> Iterator[tuple[str, str, Duration]]:
    """Every time that must lie within the run: what has it, the name to point at, and the time."""
    for time in times_within(program):
        yield time.what, time.name, time.duration
