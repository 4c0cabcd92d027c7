"""The two tests by numbers: T1 compares values of the loss, T2 watches whether embeddings escape.

T1: the loss of the best constant beside that of spread embeddings. T2: embeddings that are all but
equal follow the method's own pseudo-gradient; does their spread grow, from every such point? Where
it hardly moves, they are followed for longer, with larger steps and without the noise of views. So
a slow escape is told from none: without noise the loss alone can make the spread of rows grow, and
where the point attracts, or is neutral, it does not. Near the point growth is exponential: where
its rate does not fall, the spread leaves it, however long that takes. (MSN without Sinkhorn leaves
its collapsed point at 1/1600 of its steepest slope, at first; BYOL without a predictor stays to
five digits.) What grows at a rate that falls, or at next to none, is left open, unless it moves off
in a few steps when begun a hundred times nearer: standardised rows do, whose variance is stabilised
by a small number. Rows that are standardised exactly are turned by their gradient, and neither
drawn together nor apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from sslang.evaluate.probe_flow import (
    KINDS,
    NOISE,
    OPPOSED,
    SEEDS,
    SPREAD,
    STILL,
    Flow,
    Signs,
    deviation,
    mean,
    norm,
    wide,
)
from sslang.evaluate.probe_step import DTYPE, Machine, Values

WORSE = 0.01  # share by which the loss at collapse must be the larger
CLOSE, CLOSER, APART = 1e-3, 0.01, 0.3  # rows' spread, and by what less; of it, views' noise
ALIKE = 0.05  # of the rise by noise: no more may it differ where the spread is no matter
ESCAPED = 1.5  # growth of the spread that counts as escape
SURE, SHRUNK = 2.0, 0.5  # growth in all starts that ends a run early
STEPS = 400
RATE = 0.2  # a step, in units of 1 / the steepest slope of the pseudo-gradient
PATIENCE, CALM_RATE = 2000, 0.8  # steps without noise, and their length; beyond 2 they would swing
WATCHED = 400  # of these steps make a window
GROWS, STAYS = 1.01, 1.001  # growth in a window that is growth, and that is none
STEADY = 0.9  # of the rate of the window before: where it is kept, the rate does not fall
NEARER, SOON = 0.01, 100  # of the spread, and steps from there
TURNING, PULLING = 1e-4, 1e-3  # cosine of gradient and spread; of the steepest slope, the gradient
RANGE = 1e3  # by how much rates may differ between starts
BOUND = 0.2  # of the spread: the longest step
ROUNDS, RESTED = 6, 0.02  # of rest, and the share that a round moves a start which is at rest

# --- T1 ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Losses:
    """The loss of the best constant, of the best spread embeddings, and of two that are all but
    equal, the second `CLOSER` by a factor. By `noise` these two rise where views differ, by a share
    of the spread."""

    collapsed: float
    spread: float
    close: tuple[float, float]
    noise: tuple[float, float]

    @property
    def scale_free(self) -> bool:
        """Whether it is no matter how close embeddings are, as after whitening."""
        (first, second), (rise, other) = self.close, self.noise
        alike = abs(rise - other) < ALIKE * abs(rise)
        return alike and abs(first - second) < WORSE * max(abs(first), abs(rise))


def losses(machine: Machine) -> Losses:
    """The figures of T1: each loss the best of its starts, at the worst time of the schedules."""
    constant, spread = Flow(machine, KINDS), Flow(machine, 1)
    collapsed = constant.best(_rested(constant, constant.constants(), equal=True))
    tables, others = spread.spread(), spread.weights()
    best = spread.best(_rested(spread, dict(tables), equal=False))
    worst = int((collapsed - best).argmin())
    found, noise = [], []
    for scale in (CLOSE, CLOSE * CLOSER):
        closer = {k: mean(v) + scale * deviation(v) for k, v in tables.items()}
        still, moved = (
            float(_as_drawn(machine, {**closer, **others}, sign)[worst])
            for sign in (0.0, scale * APART / NOISE)
        )
        found.append(still)
        noise.append(moved - still)
    close, rise = (found[0], found[1]), (noise[0], noise[1])
    return Losses(float(collapsed[worst]), float(best[worst]), close, rise)


def _as_drawn(machine: Machine, moving: Values, sign: float) -> Tensor:
    """The loss of tables where views differ by one noise, times `sign`: the same at each call."""
    flow = Flow(machine, 1)
    return flow.best(flow.field(moving, flow.states(), (sign,)).loss)


def _rested(flow: Flow, tables: Values, *, equal: bool) -> Tensor:
    moving = {**tables, **flow.weights()}
    states = flow.states()
    before = flow.field(moving, states).loss
    flow.descend(moving, states, equal=equal)
    after = flow.field(moving, states).loss
    return torch.where(after.isnan() | (before < after), before, after)


# --- T2 ----------------------------------------------------------------------------------


End = Literal["escapes", "leaves", "turns", "stays", "open"]


@dataclass(frozen=True)
class Growth:
    """By how much the spread grew from each collapsed start, and what is to be thought of it.

    Of several tables it is the least. `steps` were taken, fewer than may be where all is decided.
    `leaves`: from a start that is NEARER. `turns`: the spread is no matter to the loss. `open`: it
    is not known.
    """

    factors: tuple[float, ...]
    ends: tuple[End, ...]
    steps: int


@dataclass(frozen=True)
class _Start:
    """Embeddings close to their collapsed equilibria, and the `slopes` of the tables there."""

    flow: Flow
    moving: Values
    states: Values
    slopes: Values
    trained: list[str]

    def spread(self, moving: Values) -> Tensor:
        """By how much the spread of the rows has grown, of several tables the least.

        Where their mean becomes longer than they were, it is counted in units of that: the
        directions of rows are no further apart.
        """
        found = []
        for name in self.trained:
            old, new = self.moving[name], moving[name]
            longer = (norm(mean(new).expand_as(new)) / norm(old)).clamp_min(1.0)
            found.append(norm(deviation(new)) / norm(deviation(old)) / longer)
        return torch.stack(found).amin(0)

    def rates(self, rate: float) -> Values:
        """The step of each table, `rate` in units of 1 / its steepest slope."""
        rates = {k: rate / v.clamp_min(1e-300) for k, v in self.slopes.items()}
        return {k: torch.minimum(v, RANGE * v.min()) for k, v in rates.items()}


def growth(machine: Machine) -> Growth:
    """The figures of T2."""
    start = _start(machine)
    if not start.trained:
        return _of_pushed((1.0,) * start.flow.count, 0)  # nothing pulls
    pushed = _pushed(start)
    if "stays" not in pushed.ends:
        return pushed
    found = _left_alone(start, pushed)
    if "stays" in found.ends:
        return _put_right(found, _turned(start), "turns")
    if "open" in found.ends:
        return _put_right(found, _leaves_soon(_start(machine, NEARER)), "leaves")
    return found


def _put_right(found: Growth, where: list[bool], end: End) -> Growth:
    """What does not escape comes to another end in some places."""
    ends: list[End] = [
        end if known != "escapes" and right else known
        for known, right in zip(found.ends, where, strict=True)
    ]
    return replace(found, ends=tuple(ends))


def _start(machine: Machine, nearer: float = 1.0) -> _Start:
    flow = Flow(machine, KINDS * SEEDS)
    moving = {**flow.constants(), **flow.weights()}
    states = flow.states()
    _rest(flow, moving, states)
    spread = {k: nearer * SPREAD * deviation(v) for k, v in flow.spread().items()}
    slopes = flow.steepest(moving, states, spread)
    moving |= {k: moving[k] + v for k, v in spread.items()}
    return _Start(flow, moving, states, slopes, _trained(flow, moving, states))


def _pushed(start: _Start) -> Growth:
    """The growth while views differ by noise, which drives what escapes at second order alone."""
    moving, states, rates = dict(start.moving), dict(start.states), start.rates(RATE)
    factors, steps = torch.ones(start.flow.count, dtype=DTYPE), 0
    while steps < STEPS:
        steps += 1
        _step(start.flow, moving, states, rates, OPPOSED)
        factors = start.spread(moving)
        if bool((factors > SURE).all() or (factors < SHRUNK).all()):
            break
    return _of_pushed(tuple(factors.tolist()), steps)


def _of_pushed(factors: tuple[float, ...], steps: int) -> Growth:
    ends: list[End] = ["escapes" if factor > ESCAPED else "stays" for factor in factors]
    return Growth(factors, tuple(ends), steps)


def _left_alone(start: _Start, pushed: Growth) -> Growth:
    """The growth without noise, until each start escapes, as it may have `pushed`, or one stays."""
    moving, states, rates = dict(start.moving), dict(start.states), start.rates(CALM_RATE)
    windows = [torch.ones(start.flow.count, dtype=DTYPE)]
    found = pushed
    for step in range(1, PATIENCE + 1):
        _step(start.flow, moving, states, rates, STILL)
        if step % WATCHED:
            continue
        windows.append(start.spread(moving))
        grown = tuple(
            factor if known == "escapes" else float(windows[-1][at])
            for at, (factor, known) in enumerate(zip(pushed.factors, pushed.ends, strict=True))
        )
        ends: tuple[End, ...] = tuple(
            "escapes" if known == "escapes" else _end([float(w[at]) for w in windows])
            for at, known in enumerate(pushed.ends)
        )
        found = replace(pushed, factors=grown, ends=ends, steps=step)
        if "open" not in ends or (len(windows) > 2 and "stays" in ends):
            break
    return found


def _leaves_soon(start: _Start) -> list[bool]:
    """Which starts leave the collapsed point within a few steps without noise."""
    moving, states, rates = dict(start.moving), dict(start.states), start.rates(CALM_RATE)
    for _ in range(SOON):
        _step(start.flow, moving, states, rates, STILL)
    found: list[bool] = (start.spread(moving) > SURE).tolist()
    return found


def _turned(start: _Start) -> list[bool]:
    """Where the gradient pulls at rows, and neither to their mean nor away from it.

    So it does where the loss is the same however far rows are spread (Euler's theorem).
    """
    down = start.flow.field(start.moving, start.states).down
    turned = torch.ones(start.flow.count, dtype=torch.bool)
    for name in start.trained:
        apart, pull = deviation(start.moving[name]), deviation(down[name])
        along = (apart * pull).flatten(1).sum(1).abs()
        turned &= along <= TURNING * norm(apart) * norm(pull)
        turned &= norm(pull) >= PULLING * start.slopes[name] * norm(apart)
    found: list[bool] = turned.tolist()
    return found


def _end(spread: list[float]) -> End:
    """What becomes of a start whose spread was this at the start and after each window."""
    if spread[-1] > SURE:
        return "escapes"
    if len(spread) < 3:
        return "open"
    first, before, now = spread[-3:]
    if now <= STAYS * before:
        return "stays"
    if not (now >= GROWS * before and before >= GROWS * first > 0):
        return "open"
    steady = math.log(now / before) >= STEADY * math.log(before / first)
    return "escapes" if steady else "open"


def _rest(flow: Flow, moving: Values, states: Values) -> None:
    """Bring constants and the states to their common equilibrium, in place."""
    for _ in range(ROUNDS):
        before = dict(moving)
        flow.descend(moving, states, equal=True)
        flow.settle(moving, states)
        if all(float((norm(moving[k] - v) / norm(v)).max()) < RESTED for k, v in before.items()):
            return


def _trained(flow: Flow, moving: Values, states: Values) -> list[str]:
    """The tables that a gradient enters from some start, or what is no number."""
    down = flow.field(moving, states, OPPOSED).down
    return [k for k in flow.machine.tables if not bool((down[k] == 0).all())]


def _step(flow: Flow, moving: Values, states: Values, rates: Values, signs: Signs) -> None:
    field = flow.field(moving, states, signs)
    slowest = torch.stack(list(rates.values())).amin(0)
    for name, down in field.down.items():
        move = wide(rates.get(name, slowest), down) * down
        is_table = name in flow.machine.tables
        limit = norm(deviation(moving[name])) if is_table else SPREAD * norm(moving[name])
        shorter = (BOUND * limit / norm(move).clamp_min(1e-300)).clamp_max(1.0)
        moving[name] = moving[name] + wide(shorter, move) * move
    flow.constrain(moving)
    states.update(field.written)
