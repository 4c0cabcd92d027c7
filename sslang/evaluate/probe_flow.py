"""Embeddings as free tables that follow a method's own pseudo-gradient, many starts at once."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sslang.evaluate.probe_step import DTYPE, ROWS, Machine, NotInterpreted, Values
from sslang.ops.schedules import Clock, Schedule, ends_of, value_at

KINDS, SEEDS = 3, 2  # of collapsed starts: kinds of constants, draws of each
SPREAD, NOISE = 0.02, 0.01  # of an entry: of rows about their mean, of views about a row
SMALL, LARGE = 1.0, 8.0  # lengths of the constants that training starts from
SETTLING = 45  # steps towards the equilibrium of a constant
STRIDE, FALL = 0.2, 0.9  # the first of these steps, in units of an entry, and how they fall
SETTLED, LONGEST = 1e-4, 400  # the change of a state that counts as rest; steps to wait for it

Signs = tuple[float, ...]
STILL, ALONE, OPPOSED = (0.0,), (1.0,), (1.0, -1.0)  # opposed noise leaves no drift at first order


@dataclass(frozen=True)
class Field:
    """The pseudo-gradient of every start: down, in units of one row, and what is written."""

    loss: Tensor
    down: Values
    written: Values


class Flow:
    """An excerpt's tables and weights under several starts; the first axis is the start."""

    def __init__(self, machine: Machine, starts: int) -> None:
        self.machine = machine
        self.starts = starts
        self.generator = torch.Generator().manual_seed(0)
        settings = _numbers(machine.schedules())
        self.numbers = {
            name: torch.tensor([s[name] for s in settings], dtype=DTYPE).repeat_interleave(starts)
            for name in machine.schedules()
        }
        self.count = starts * len(settings)
        self._losses: Callable[..., Any] = torch.func.vmap(
            machine.loss, in_dims=(0, 0, 0, 0, None), randomness="error"
        )

    def constants(self) -> Values:
        """Tables [starts, rows, ...] of equal rows, the same under every setting."""
        return self._tables(lambda at, name, shape: _constant(at, name, shape[-1]).expand(shape))

    def spread(self) -> Values:
        """Tables of standard normal entries."""
        return self._tables(_scattered)

    def _tables(self, make: Callable[[int, str, tuple[int, ...]], Tensor]) -> Values:
        repeats = self.count // self.starts
        return {
            name: torch.stack([make(at, name, (ROWS, *row)) for at in range(self.starts)] * repeats)
            for name, row in self.machine.tables.items()
        }

    def weights(self) -> Values:
        initial = self.machine.initial_weights(0)
        return {k: torch.stack([v] * self.count) for k, v in initial.items()}

    def states(self) -> Values:
        initial = self.machine.initial_states(0)
        return {k: torch.stack([v] * self.count) for k, v in initial.items()}

    def field(self, moving: Values, states: Values, signs: Signs = STILL) -> Field:
        """The mean over views that are all moved by one noise, times each of the signs."""
        rows = {name: _row_count(moving[name]) for name in self.machine.tables}
        pair = len(signs)
        free, held, numbers = (_repeated(v, pair) for v in (moving, states, self.numbers))
        for value in free.values():
            value.requires_grad_()
        loss, written = self._losses(free, held, numbers, *self._drawn(signs))
        down = _slopes(loss, free)
        return Field(
            _averaged(loss.detach(), pair),
            {k: -rows.get(k, 1) * _averaged(v, pair) for k, v in down.items()},
            {k: _averaged(v, pair) for k, v in written.items()},
        )

    def _steepest_by_view(self, moving: Values, states: Values) -> Values:
        """The slope of each table in deviations of views by themselves.

        It says how strong the pulls are that may cancel while all views move together.
        """
        pulls: list[Values] = []
        for signs in (STILL, ALONE):
            added, draws = self._drawn(signs)
            for value in added.values():
                value.requires_grad_()
            loss, _ = self._losses(moving, states, self.numbers, added, draws)
            pulls.append(_defined(_slopes(loss, added)))
        still, alone = pulls
        change = {k: _row_count(v) * deviation(v - still[k]) for k, v in alone.items()}
        size = total({k: v.detach() for k, v in added.items()})
        of = {t: [k for k in change if k.startswith(f"{t} ")] for t in self.machine.tables}
        return {t: total({k: change[k] for k in keys}) / size for t, keys in of.items()}

    @torch.no_grad()
    def written(self, moving: Values, states: Values) -> Values:
        """What a step without noise writes."""
        drawn = self._drawn(STILL)
        written: Values = self._losses(moving, states, self.numbers, *drawn)[1]
        return written

    def _drawn(self, signs: Signs) -> tuple[Values, Values]:
        """What the views add to the embeddings, by start and sign, and the draws of the step."""
        sign = NOISE * torch.tensor(signs, dtype=DTYPE).repeat(self.count)
        noise = self.machine.noise(self.generator)
        added = {k: sign.view(-1, *[1] * v.dim()) * v for k, v in noise.items()}
        return added, self.machine.draws(self.generator)

    def best(self, losses: Tensor) -> Tensor:
        """The least of the starts, at each time of the schedules."""
        return losses.view(-1, self.starts).amin(1)

    def constrain(self, moving: Values) -> None:
        for plan in self.machine.excerpt.weights:
            moving[plan.name] = self.machine.constrained(plan, moving[plan.name])

    def descend(self, moving: Values, states: Values, *, equal: bool) -> None:
        """Bring tables and weights near rest, in place; `equal`: with all rows kept equal.

        Every entry moves by a length of its own that falls, so that neither a steep nor a flat
        loss decides how far it is led, nor a steep direction hides a flat one.
        """
        reach = {k: norm(v) / v[0].numel() ** 0.5 for k, v in moving.items()}
        for at in range(SETTLING):
            field = self.field(moving, states)
            states.update(_kept(states, field.written))
            for name, down in _defined(field.down).items():
                if equal and name in self.machine.tables:
                    down = mean(down).expand_as(down)
                steepest = wide(down.abs().flatten(1).amax(1), down)
                sign = down / (down.abs() + 1e-2 * steepest + 1e-6)
                moving[name] = moving[name] + wide(STRIDE * FALL**at * reach[name], down) * sign
            self.constrain(moving)

    def settle(self, moving: Values, states: Values) -> None:
        """Let the states come to rest while tables and weights stay."""
        for _ in range(LONGEST):
            written = _kept(states, self.written(moving, states))
            moved = max((float((written[k] - states[k]).abs().max()) for k in written), default=0.0)
            states.update(written)
            if moved < SETTLED:
                return

    def steepest(self, moving: Values, states: Values, spread: Values) -> Values:
        """For each table and start the largest slope of the pseudo-gradient in deviations of rows.

        A table has a slope of its own as a net has parameters of its own: the weight of a term of
        the loss is no matter to a net that only this term trains.
        """
        base = _defined(self.field(moving, states).down)
        size = total(spread)
        found = self._steepest_by_view(moving, states)
        direction = spread
        for _ in range(8):
            shifted = {**moving, **{k: moving[k] + v for k, v in direction.items()}}
            change = self.field(shifted, states).down
            change = {k: deviation(change[k] - base[k]) for k in direction}
            found = {k: torch.maximum(v, norm(change[k]) / size) for k, v in found.items()}
            factor = size / total(change).clamp_min(1e-300)
            direction = {k: wide(factor, v) * v for k, v in change.items()}
        return found


def _slopes(loss: Tensor, of: Values) -> Values:
    """The gradient of each start's loss. Not by torch.func.grad, which imports the compiler."""
    if not loss.requires_grad:
        raise NotInterpreted("no gradient enters the embeddings")
    try:
        slopes = torch.autograd.grad(loss.sum(), tuple(of.values()), materialize_grads=True)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise NotInterpreted(f"the gradient cannot be computed: {reason}") from error
    return dict(zip(of, slopes, strict=True))


def _numbers(schedules: Mapping[str, Schedule]) -> list[dict[str, float]]:
    """What the schedules give at the start, at the end and at their extremes, each set once."""
    clocks = (Clock(0, 10_000, 100), Clock(9_999, 10_000, 100))
    settings = [{k: value_at(s, c) for k, s in schedules.items()} for c in clocks]
    settings += [{k: pick(ends_of(s)) for k, s in schedules.items()} for pick in (min, max)]
    return list({tuple(s.items()): s for s in settings}.values())


# --- starts ------------------------------------------------------------------------------


def _constant(start: int, table: str, width: int) -> Tensor:
    """The constant of a start: a short or a long vector, or one with a single entry."""
    seed, kind = divmod(start, KINDS)
    direction = torch.randn(width, generator=_generator(start, table), dtype=DTYPE)
    if kind == 2:
        direction = torch.eye(width, dtype=DTYPE)[seed % width]
    length = SMALL if kind == 0 else LARGE
    return direction * (length / float(torch.linalg.vector_norm(direction)))


def _scattered(start: int, table: str, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=_generator(start + 100, table), dtype=DTYPE)


def _generator(start: int, table: str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(f"{start} {table}".encode()))


# --- rows and starts ---------------------------------------------------------------------


def mean(table: Tensor) -> Tensor:
    """The mean of all embeddings of a start, [starts, rows, ..., width], kept wide."""
    return table.mean(tuple(range(1, table.dim() - 1)), keepdim=True)


def deviation(table: Tensor) -> Tensor:
    return table - mean(table)


def norm(x: Tensor) -> Tensor:
    """The length of all of a start's entries, [starts]."""
    found: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return found


def total(parts: Values) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(torch.stack([norm(v) for v in parts.values()]), dim=0)
    return found


def wide(factor: Tensor, like: Tensor) -> Tensor:
    """A number for each start, shaped to multiply its entries."""
    return factor.view(-1, *[1] * (like.dim() - 1))


def _repeated(parts: Values, pair: int) -> Values:
    return {k: v.detach().repeat_interleave(pair, 0) for k, v in parts.items()}


def _averaged(x: Tensor, pair: int) -> Tensor:
    return x.view(-1, pair, *x.shape[1:]).mean(1)


def _defined(parts: Values) -> Values:
    """Where rows are all equal, whitening divides by 0: nothing moves at such a point."""
    return {k: v.nan_to_num(0.0, 0.0, 0.0) for k, v in parts.items()}


def _kept(states: Values, written: Values) -> Values:
    """What is written; a state keeps what it has where that is not a number."""
    old = {k: states.get(k, torch.zeros_like(v)) for k, v in written.items()}
    return {k: v.where(v.isfinite(), old[k]) for k, v in written.items()}


def _row_count(table: Tensor) -> int:
    return table[0, ..., 0].numel()
