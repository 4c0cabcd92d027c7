"""Schedules: numbers that are pure functions of the step. Nothing here is state."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Literal

from sslang.records import record
from sslang.types import Duration


@record(frozen=True)
class Clock:
    """Where a run stands: step t of n, with so many steps an epoch."""

    step: float
    total: float
    epoch: float


@record(frozen=True)
class Schedule(ABC):
    """A number at each step."""

    @abstractmethod
    def at(self, clock: Clock) -> float:
        """The number at this time."""

    @abstractmethod
    def ends(self) -> tuple[float, ...]:
        """The values it moves between, for checks of range."""

    def durations(self) -> tuple[Duration, ...]:
        """The durations in it that must lie within the run."""
        return ()

    @property
    def parts(self) -> int:
        """How many ramps and numbers it is made of."""
        return 1


@record(frozen=True)
class Ramp(Schedule):
    """`cosine(a -> b)` and `linear(a -> b)`.

    With progress p = t / n after a warm-up of w steps, p = (t - w) / (n - w); below w the value
    is a * t / w. `per_epoch` floors t to its epoch; `closed` reaches the end at the last step
    (p = t / (n - 1)), with `per_epoch` at the last epoch; `shift` steps are looked ahead; `over`
    ends the ramp early.
    """

    shape: Literal["cosine", "linear"]
    start: float
    end: float
    warmup: Duration | None = None
    over: Duration | None = None
    shift: Duration | None = None
    per_epoch: bool = False
    closed: bool = False

    def at(self, clock: Clock) -> float:
        step = clock.step
        if self.shift is not None:
            step += self.shift.steps(clock.epoch)
        if self.per_epoch:
            step = math.floor(step / clock.epoch + 1e-9) * clock.epoch
        total = clock.total if self.over is None else self.over.steps(clock.epoch)
        warm = 0.0 if self.warmup is None else self.warmup.steps(clock.epoch)
        if step < warm:
            return self.start * step / warm
        last = clock.epoch if self.per_epoch else 1.0
        length = total - warm - (last if self.closed else 0)
        progress = min(1.0, max(0.0, (step - warm) / length)) if length > 0 else 1.0
        if self.shape == "cosine":
            progress = 0.5 * (1 - math.cos(math.pi * progress))
        return self.start + (self.end - self.start) * progress

    def ends(self) -> tuple[float, ...]:
        return (float(self.start), float(self.end))

    def durations(self) -> tuple[Duration, ...]:
        return tuple(d for d in (self.warmup, self.over) if d is not None)


@record(frozen=True)
class Piecewise(Schedule):
    """`piecewise([a, b, c], at = [t1, t2] epochs)`: a before t1, b from t1 on, c from t2 on."""

    values: tuple[float, ...]
    milestones: tuple[Duration, ...]

    def at(self, clock: Clock) -> float:
        passed = sum(clock.step >= m.steps(clock.epoch) for m in self.milestones)
        return self.values[passed]

    def ends(self) -> tuple[float, ...]:
        return self.values

    def durations(self) -> tuple[Duration, ...]:
        return self.milestones


@record(frozen=True)
class Sequence(Schedule):
    """`first then second`: the first runs over its `over`, the second over the steps left."""

    first: Ramp
    second: Schedule

    def at(self, clock: Clock) -> float:
        assert self.first.over is not None
        length = self.first.over.steps(clock.epoch)
        if clock.step < length:
            return self.first.at(clock)
        return self.second.at(Clock(clock.step - length, clock.total - length, clock.epoch))

    def ends(self) -> tuple[float, ...]:
        return self.first.ends() + self.second.ends()

    @cached_property
    def parts(self) -> int:
        return self.first.parts + self.second.parts

    def durations(self) -> tuple[Duration, ...]:
        return self.first.durations() + self.second.durations()


_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@record(frozen=True)
class Combined(Schedule):
    """Arithmetic on schedules and numbers: `0.5 * cosine(1 -> 0)`."""

    operator: str
    left: Schedule | float
    right: Schedule | float

    def at(self, clock: Clock) -> float:
        return _OPERATORS[self.operator](value_at(self.left, clock), value_at(self.right, clock))

    def ends(self) -> tuple[float, ...]:
        combine = _OPERATORS[self.operator]
        lefts, rights = ends_of(self.left), ends_of(self.right)
        if self.operator == "/" and min(rights) <= 0 <= max(rights):
            return (-math.inf, math.inf)
        corners = [combine(a, b) for a in lefts for b in rights]
        return (min(corners), max(corners))

    @cached_property
    def parts(self) -> int:
        return parts_of(self.left) + parts_of(self.right)

    def durations(self) -> tuple[Duration, ...]:
        sides = (self.left, self.right)
        return tuple(d for s in sides if isinstance(s, Schedule) for d in s.durations())


def value_at(number: Schedule | float, clock: Clock) -> float:
    """The number itself, or what the schedule says at this time."""
    return number.at(clock) if isinstance(number, Schedule) else float(number)


def parts_of(number: Schedule | float) -> int:
    return number.parts if isinstance(number, Schedule) else 1


def ends_of(number: Schedule | float) -> tuple[float, ...]:
    return number.ends() if isinstance(number, Schedule) else (float(number),)
