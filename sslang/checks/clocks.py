"""Times that no run is long enough for, or that were meant in another unit."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.checks.declared import epoch, number
from sslang.checks.times import Time, times_within
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.program import Program, StatePlan
from sslang.types import Duration, TensorType, Type

SHORT = 0.05  # epochs of a warm-up that nobody asks for
LONG_RUN = 10.0  # epochs, from which on a milestone in the first is too soon


def clocks(program: Program) -> Iterator[Diagnostic]:
    """E516 for steps that read like epochs, E434 for a queue that the run never fills."""
    recipe, steps = program.spec.recipe, epoch(program)
    if recipe is None or steps is None:
        return
    if recipe.length.unit == "epochs":
        yield from _units(program, steps, recipe.length)
    elif recipe.length.value < steps:
        share = f"{recipe.length.value / steps:.2g} of an epoch"
        message = f"the run lasts {recipe.length}, {share} of `{recipe.data.word}`"
        hint = f"write `{recipe.length.value:g} epochs`"
        yield Diagnostic("E516", message, program.spans.get("length"), hint=hint)
    types = {node.name: node.type for node in program.step.nodes}
    for state in program.states:
        if state.kind == "queue" and state.name in program.step.writes:
            written = types[program.step.writes[state.name].value]
            yield from _filled(program, state, written, steps)


def _units(program: Program, steps: int, length: Duration) -> Iterator[Diagnostic]:
    reported: set[str] = set()
    times = [t for t in times_within(program) if t.kind in ("warm-up", "milestone")]
    for time in times:
        same = [t for t in times if t.name == time.name and t.kind == time.kind]
        last = max(same, key=lambda t: t.duration.value)
        if time.name in reported or last is not time or not _reads_like_epochs(time, steps, length):
            continue
        reported.add(time.name)
        what = "the warm-up" if time.kind == "warm-up" else "the last milestone"
        message = (
            f"{what} of `{time.name}` is at {time.duration}, {time.duration.value / steps:.2g} of "
            f"the first epoch, and the run lasts {length}"
        )
        hint = f"write `{time.duration.value:g} epochs`"
        yield Diagnostic("E516", message, time.place(program), hint=hint)


def _reads_like_epochs(time: Time, steps: int, length: Duration) -> bool:
    """Steps whose number would be epochs within the run, and which are next to nothing in it."""
    if time.duration.unit != "steps" or not 1 <= time.duration.value < length.value:
        return False
    limit = SHORT if time.kind == "warm-up" else 1.0 if length.value >= LONG_RUN else 0.0
    return time.duration.value < limit * steps


def _filled(program: Program, state: StatePlan, type_: Type, steps: int) -> Iterator[Diagnostic]:
    assert program.spec.recipe is not None
    rows, total = state.shape[0], program.spec.recipe.length.steps(steps)
    entering = number(program, type_.shape[0]) if isinstance(type_, TensorType) else None
    begins = 0.0 if state.start is None else state.start.steps(steps)
    every = 1.0 if state.every is None else max(1.0, state.every.steps(steps))
    if entering is None or not isinstance(rows, int):
        return
    written = (total - begins) / every * entering
    if written >= rows or rows % entering or begins >= total:
        return  # of the last two E406 and E504 tell
    rest = "so it reads as empty" if state.starts_empty else "the others stay as they began"
    message = f"the run writes {written:.0f} of the {rows} rows of the queue `{state.name}`: {rest}"
    span = program.spans.get("length")
    labels = (Label(span, "the run's length"),) if span is not None else ()
    yield Diagnostic("E434", message, state.span, labels, "a shorter queue, or a longer run")
