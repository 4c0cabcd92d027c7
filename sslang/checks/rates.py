"""Learning rates and weight decay that no optimizer can have meant."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sslang.diagnostics import Diagnostic
from sslang.ir.program import Program
from sslang.model.recipe import Lars, Recipe
from sslang.ops.schedules import Combined, Ramp, Schedule, Sequence, ends_of

DECAYED = 0.1  # share of the parameters that a step takes away
FACTOR = 100  # times the rate of the rest, which no group has been given on purpose


def rates(program: Program) -> Iterator[Diagnostic]:
    """E521 for a learning rate that ends at its highest, E522 for a decay that takes all, E525
    for a rate of a group that reads like a factor."""
    recipe = program.spec.recipe
    if recipe is None:
        return
    optimizer = recipe.optimizer
    adapted = isinstance(optimizer, Lars)  # each step is scaled by the length of the parameters
    yield from _rising(program, "optimizer", [optimizer.lr])
    yield from _rising(program, "groups", [g.lr for g in recipe.groups if g.lr is not None])
    pairs = {"optimizer": [(optimizer.lr, optimizer.weight_decay)], "groups": []}
    for group in recipe.groups:
        if group.lr is not None or group.weight_decay is not None:
            lr = optimizer.lr if group.lr is None else group.lr
            decay = optimizer.weight_decay if group.weight_decay is None else group.weight_decay
            pairs["groups"].append((lr, decay))
    for name, given in pairs.items() if not adapted else ():
        yield from _decaying(program, name, given)
    yield from _factors(program, recipe)


def _rising(program: Program, name: str, rates: list[Schedule | float]) -> Iterator[Diagnostic]:
    ramps = [_last(lr) for lr in rates]
    ramp = next((r for r in ramps if r and r.end > r.start and r.over is None), None)
    if ramp is not None:
        message = f"the learning rate rises from {ramp.start:g} to {ramp.end:g} over the run"
        hint = f"write `{ramp.shape}({ramp.end:g} -> {ramp.start:g}, warmup = 10 epochs)`"
        yield Diagnostic("E521", message, program.spans.get(name), hint=hint)


def _decaying(
    program: Program, name: str, pairs: list[tuple[Schedule | float, Schedule | float]]
) -> Iterator[Diagnostic]:
    shares = [_largest(lr) * _largest(decay) for lr, decay in pairs]
    share = max((s for s in shares if math.isfinite(s)), default=0.0)
    if share > DECAYED:
        message = (
            f"a step takes away up to {min(share, 1):.0%} of each parameter: lr x weight_decay "
            f"is {share:.3g}"
        )
        hint = "weight decay is mostly 1e-6 to 0.1"
        yield Diagnostic("E522", message, program.spans.get(name), hint=hint)


def _factors(program: Program, recipe: Recipe) -> Iterator[Diagnostic]:
    base = _largest(recipe.optimizer.lr)
    for group in recipe.groups:
        if isinstance(group.lr, float) and group.lr >= 1 and 0 < base <= group.lr / FACTOR:
            message = (
                f"the group `{group.selector}` has the rate {group.lr:g}, {group.lr / base:.3g} "
                f"times that of the others"
            )
            hint = f"a group's `lr` is a rate; {group.lr:g} times the others' is "
            yield Diagnostic("E525", message, program.spans.get("groups"),
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
