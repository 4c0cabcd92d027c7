"""The two tests by numbers: T1 compares values of the loss, T2 watches whether embeddings escape.

T1: the loss of the best constant beside that of spread embeddings. T2: embeddings that are all but
equal follow the method's own pseudo-gradient; does their spread grow, from every such point? Where
it hardly moves, they are followed for longer, with larger steps and without the noise of views. So
a slow escape is told from none: without noise the loss alone can make the spread of rows grow, and
where the point attracts, or is neutral, it does not. (MSN without Sinkhorn leaves its collapsed
point at 1/1600 of its steepest slope, at first; BYOL without a predictor stays to five digits.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sslang.evaluate.probe_flow import (
    KINDS,
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
ESCAPED = 1.5  # growth of the spread that counts as escape
SURE, SHRUNK = 2.0, 0.5  # growth in all starts that ends a run early
STEPS = 400
RATE = 0.2  # a step, in units of 1 / the steepest slope of the pseudo-gradient
PATIENCE, CALM_RATE = 4000, 0.8  # steps without noise, and their length; beyond 2 they would swing
WATCHED, GROWS = 400, 1.01  # in so many steps the spread grows by so much, or it does not
RANGE = 1e3  # by how much rates may differ between starts
BOUND = 0.2  # of the spread: the longest step
ROUNDS, RESTED = 6, 0.02  # of rest, and the share that a round moves a start which is at rest

# --- T1 ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Losses:
    """The loss of the best constant, of the best spread embeddings, of spread ones as drawn, and of
    the latter a thousand times closer to their mean."""

    collapsed: float
    spread: float
    drawn: float
    shrunk: float

    @property
    def scale_free(self) -> bool:
        """Whether it is no matter how far embeddings are spread, as after whitening."""
        return abs(self.drawn - self.shrunk) < WORSE * abs(self.drawn)


def losses(machine: Machine) -> Losses:
    """The figures of T1: each loss the best of its starts, at the worst time of the schedules."""
    constant, spread = Flow(machine, KINDS), Flow(machine, 1)
    collapsed = constant.best(_rested(constant, constant.constants(), equal=True))
    tables, others = spread.spread(), spread.weights()
    best = spread.best(_rested(spread, dict(tables), equal=False))
    closer = {k: mean(v) + 1e-3 * deviation(v) for k, v in tables.items()}
    drawn, shrunk = (
        spread.best(spread.field({**t, **others}, spread.states()).loss) for t in (tables, closer)
    )
    worst = int((collapsed - best).argmin())
    return Losses(*(float(x[worst]) for x in (collapsed, best, drawn, shrunk)))


def _rested(flow: Flow, tables: Values, *, equal: bool) -> Tensor:
    moving = {**tables, **flow.weights()}
    states = flow.states()
    before = flow.field(moving, states).loss
    flow.descend(moving, states, equal=equal)
    after = flow.field(moving, states).loss
    return torch.where(after.isnan() | (before < after), before, after)


# --- T2 ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Growth:
    """By how much the spread grew from each collapsed start, of several tables the least.

    `steps` were taken, fewer than STEPS where all starts had doubled or halved it by then.
    """

    factors: tuple[float, ...]
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
        """By how much the spread of the rows has grown, of several tables the least."""
        return torch.stack([
            norm(deviation(moving[k])) / norm(deviation(self.moving[k])) for k in self.trained
        ]).amin(0)  # fmt: skip

    def rates(self, rate: float) -> Values:
        """The step of each table, `rate` in units of 1 / its steepest slope."""
        rates = {k: rate / v.clamp_min(1e-300) for k, v in self.slopes.items()}
        return {k: torch.minimum(v, RANGE * v.min()) for k, v in rates.items()}


def growth(machine: Machine) -> Growth:
    """The figures of T2."""
    start = _start(machine)
    if not start.trained:
        return Growth((1.0,) * start.flow.count, 0)  # nothing pulls
    found = _pushed(start)
    if all(factor > ESCAPED for factor in found.factors):
        return found
    slow = _left_alone(start)
    return found if slow is None else slow


def _start(machine: Machine) -> _Start:
    flow = Flow(machine, KINDS * SEEDS)
    moving = {**flow.constants(), **flow.weights()}
    states = flow.states()
    _rest(flow, moving, states)
    spread = {k: SPREAD * deviation(v) for k, v in flow.spread().items()}
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
    return Growth(tuple(factors.tolist()), steps)


def _left_alone(start: _Start) -> Growth | None:
    """The growth without noise where every start escapes in the end; None where one stays."""
    moving, states, rates = dict(start.moving), dict(start.states), start.rates(CALM_RATE)
    before = torch.zeros(start.flow.count, dtype=DTYPE)
    for step in range(1, PATIENCE + 1):
        _step(start.flow, moving, states, rates, STILL)
        if step % WATCHED:
            continue
        factors = start.spread(moving)
        if bool((factors > SURE).all()):
            return Growth(tuple(factors.tolist()), step)
        if not bool(((factors > SURE) | (factors > GROWS * before)).all()):
            return None
        before = factors
    return None


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
