"""The times of a recipe that must lie within the run."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.diagnostics import Source, Span
from sslang.ir.program import Program
from sslang.ops.schedules import Combined, Piecewise, Ramp, Schedule, Sequence
from sslang.records import record
from sslang.types import Duration


@record(frozen=True)
class Time:
    """A duration, what has it, and the name to point at.

    `last`: the run may end just then. A ramp may run over all of it; a milestone, a warm-up or
    the end of a freezing there is one that never comes.
    """

    what: str
    name: str
    duration: Duration
    kind: str  # warm-up, milestone, ramp, freezing, start

    @property
    def last(self) -> bool:
        return self.kind == "ramp"

    def place(self, program: Program) -> Span | None:
        """Where the author wrote it; what has it where the standard library did."""
        own, loss = self.duration.span, program.spans.get("loss")
        named = program.spans.get(self.name)
        known = own is not None and (loss is None or own.source in (loss.source, _source(named)))
        return own if known else named

    @property
    def told(self) -> str:
        """The time in words."""
        match self.kind:
            case "warm-up" | "ramp":
                return f"the {self.kind} of `{self.name}` takes {self.duration}"
            case "milestone":
                return f"a milestone of `{self.name}` is at {self.duration}"
            case "freezing":
                return f"`freeze` holds until {self.duration}"
        return f"{self.what} begins at {self.duration}"


def _source(span: Span | None) -> Source | None:
    return span.source if span is not None else None


def times_within(program: Program) -> Iterator[Time]:
    """Every time of a phase's recipe, its averages and states, and of schedules in its step."""
    recipe = program.spec.recipe
    assert recipe is not None
    for name, schedule in schedules(program):
        for kind, duration in _times(schedule):
            yield Time(f"a schedule of `{name}`", name, duration, kind)
    for selector in recipe.freeze:
        if selector.operator == "until":
            yield Time("`freeze`", "freeze", selector.operands[1], "freezing")
    for state in program.states:
        if state.start is not None:
            name = state.name.split(".")[0]
            yield Time(f"the queue `{state.name}`", name, state.start, "start")


def schedules(program: Program) -> Iterator[tuple[str, Schedule]]:
    """The schedules of a phase, each with the name of the spec that it stands under."""
    recipe = program.spec.recipe
    assert recipe is not None
    places: list[tuple[str, object]] = [
        ("optimizer", getattr(recipe.optimizer, name))
        for name in type(recipe.optimizer).model_fields
    ]
    places += [("groups", v) for g in recipe.groups for v in (g.lr, g.weight_decay)]
    places += [(a.branch, a.momentum) for a in program.averages]
    places += [("loss", schedule) for schedule in program.schedules.values()]
    yield from ((name, value) for name, value in places if isinstance(value, Schedule))


def _times(schedule: Schedule | float, first: bool = False) -> Iterator[tuple[str, Duration]]:
    """`first`: of `x then y`, which leaves y something only where x ends before the run."""
    match schedule:
        case Ramp(warmup=warmup, over=over):
            if warmup is not None:
                yield "warm-up", warmup
            if over is not None:
                yield "milestone" if first else "ramp", over
        case Piecewise(milestones=milestones):
            yield from (("milestone", m) for m in milestones)
        case Sequence(first=before, second=after):
            yield from _times(before, first=True)
            yield from _times(after, first)
        case Combined(left=left, right=right):
            yield from _times(left, first)
            yield from _times(right, first)
