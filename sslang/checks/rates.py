"""Learning rates and weight decay that no optimizer can have meant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from sslang.diagnostics import Diagnostic, Span
from sslang.ir.program import Program
from sslang.model.recipe import AdamW, Lars, Recipe
from sslang.ops.schedules import Combined, Ramp, Schedule, Sequence, ends_of

DECAYED = 0.1  # share of the parameters that a step takes away
BEYOND_ADAM = 0.1  # the distance by which a step would move every parameter
FACTOR = 100  # times the rate of the rest, which no group has been given on purpose


def rates(program: Program) -> Iterator[Diagnostic]:
    """E521 for a learning rate that ends at its highest, E522 for a decay that takes all, E525
    for a rate of a group that reads like a factor, E527 for one that is beyond Adam's."""
    recipe = program.spec.recipe
    if recipe is None:
        return
    optimizer = recipe.optimizer
    adapted = isinstance(optimizer, Lars)  # each step is scaled by the length of the parameters
    yield from _rising(program, {"optimizer.lr": optimizer.lr})
    if isinstance(optimizer, AdamW) and BEYOND_ADAM <= _largest(optimizer.lr) < math.inf:
        message = f"the learning rate goes up to {_largest(optimizer.lr):.3g}"
        message += ", by which each step of Adam moves every parameter"
        hint = "1e-4 to 1e-3 is usual; is it `... * batch / 256`?"
        yield Diagnostic("E527", message, _place(program, "optimizer.lr"), hint=hint)
    rates = {f"groups.{at}.lr": g.lr for at, g in enumerate(recipe.groups) if g.lr is not None}
    yield from _rising(program, rates)
    pairs = {"optimizer.weight_decay": (optimizer.lr, optimizer.weight_decay)}
    of_groups = {}
    for at, group in enumerate(recipe.groups):
        if group.lr is not None or group.weight_decay is not None:
            lr = optimizer.lr if group.lr is None else group.lr
            decay = optimizer.weight_decay if group.weight_decay is None else group.weight_decay
            given = "lr" if group.weight_decay is None else "weight_decay"
            of_groups[f"groups.{at}.{given}"] = (lr, decay)
    for found in (pairs, of_groups) if not adapted else ():
        yield from _decaying(program, found)
    yield from _factors(program, recipe)


def _place(program: Program, name: str) -> Span | None:
    """Where a number of the optimizer or of a group stands, or all of them."""
    return program.spans.get(name, program.spans.get(name.split(".")[0]))


def _rising(program: Program, rates: Mapping[str, Schedule | float]) -> Iterator[Diagnostic]:
    for name, rate in rates.items():
        ramp = _last(rate)
        if ramp is None or ramp.end <= ramp.start or ramp.over is not None:
            continue
        message = f"the learning rate rises from {ramp.start:g} to {ramp.end:g} over the run"
        hint = f"write `{ramp.shape}({ramp.end:g} -> {ramp.start:g}, warmup = 10 epochs)`"
        yield Diagnostic("E521", message, _place(program, name), hint=hint)
        return


def _decaying(
    program: Program, pairs: Mapping[str, tuple[Schedule | float, Schedule | float]]
) -> Iterator[Diagnostic]:
    shares = {name: _largest(lr) * _largest(decay) for name, (lr, decay) in pairs.items()}
    finite = {name: share for name, share in shares.items() if math.isfinite(share)}
    name = max(finite, key=lambda n: finite[n], default="")
    share = finite.get(name, 0.0)
    if share > DECAYED:
        message = (
            f"a step takes away up to {min(share, 1):.0%} of each parameter: lr x weight_decay "
            f"is {share:.3g}"
        )
        hint = "weight decay is mostly 1e-6 to 0.1"
        yield Diagnostic("E522", message, _place(program, name), hint=hint)


def _factors(program: Program, recipe: Recipe) -> Iterator[Diagnostic]:
    base = _largest(recipe.optimizer.lr)
    for at, group in enumerate(recipe.groups):
        if isinstance(group.lr, float) and group.lr >= 1 and 0 < base <= group.lr / FACTOR:
            message = (
                f"the group `{group.selector}` has the rate {group.lr:g}, {group.lr / base:.3g} "
                f"times that of the others"
            )
            hint = f"a group's `lr` is a rate; {group.lr:g} times the others' is "
            yield Diagnostic("E525", message, _place(program, f"groups.{at}.lr"),
                             hint=hint + f"`lr = {group.lr * base:g}`")  # fmt: skip
            return


def _largest(number: Schedule | float) -> float:
    return max(map(abs, ends_of(number)))


def _last(schedule: Schedule | float) -> Ramp | None:
    """The ramp that a schedule ends with, where it goes its way and no other."""
    match schedule:
        case Ramp():
            return schedule
        case Sequence(second=second):
            return _last(second)
        case Combined(operator="*", left=left, right=right):
            factor, scaled = (left, right) if isinstance(right, Schedule) else (right, left)
            plain = isinstance(factor, int | float) and factor > 0
            return _last(scaled) if plain else None
    return None
