"""The loss of an excerpt in numbers, on tables of few rows: one pure function of what moves.

Sizes are chosen small. An axis keeps its size up to 16; the width of an embedding becomes 16, a
queue 48 rows, any other size at most 32, and wherever the same number stands in the graph (a
size that became a number) it is replaced too. Where a loss takes slices beyond 16, sizes up to
512 stay as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from sslang.checks.mixtures import mixtures
from sslang.emit import tensors
from sslang.emit.states import initial_value
from sslang.evaluate.probe_graph import PREDICTOR, TABLE, Excerpt
from sslang.ir.graph import DRAW, SCHEDULE, Node, Write
from sslang.ir.program import StatePlan
from sslang.ops import PRIMITIVES
from sslang.types import Dim, Size, TensorType

ROWS, WIDTH, QUEUE, OTHER, CLASSES = 24, 16, 48, 32, 4
KEPT, KEPT_SLICED = 16, 512  # sizes that stay
DTYPE = torch.float64
_ORDER = " order"  # among the draws: no node has such a name

Values = dict[str, Tensor]


class NotInterpreted(Exception):
    """Raised where the graph cannot be computed on tables; the message names the op."""


class Machine:
    """An excerpt with its sizes chosen. `empty`: queues that start empty read as no rows."""

    def __init__(self, excerpt: Excerpt, *, empty: bool = False) -> None:
        self.excerpt = excerpt
        self.small = _small_sizes(excerpt)
        self.dims = {"batch": ROWS, "dataset": ROWS, "classes": CLASSES}
        self.states = {plan.name: self._shape(plan) for plan in excerpt.states}
        for plan in excerpt.states:
            if empty and plan.starts_empty:
                self.states[plan.name] = (0, *self.states[plan.name][1:])
            if plan.kind == "queue":
                self.dims[plan.name] = self.states[plan.name][0]
        self.mixtures = mixtures(excerpt.nodes)
        self.tables = {n.setting("table"): self._row(n) for n in excerpt.nodes if n.op == TABLE}

    # --- what a step takes ---------------------------------------------------------------

    def initial_states(self, seed: int) -> Values:
        """What the states begin with; a latched one is a value of the first step."""
        found = {}
        for plan in self.excerpt.states:
            if not plan.latched:
                found[plan.name] = self._initial(plan, self.states[plan.name], seed)
        return found

    def initial_weights(self, seed: int) -> Values:
        plans = self.excerpt.weights
        return {plan.name: self._initial(plan, self._shape(plan), seed) for plan in plans}

    def _initial(self, plan: StatePlan, shape: tuple[int, ...], seed: int) -> Tensor:
        if shape and shape[0] == 0:
            return torch.zeros(shape, dtype=DTYPE)
        settings = {k: v for k, v in plan.settings.items() if k != "dim"}
        small = StatePlan(plan.name, plan.kind, shape, plan.initialiser, settings, plan.span)
        if plan.initialiser == "empty":  # read once it is full: of rows like those to come
            small = StatePlan(plan.name, plan.kind, shape, "normal", {}, plan.span)
        return self.constrained(plan, initial_value(small, seed, {}).to(DTYPE))

    @staticmethod
    def constrained(plan: StatePlan, weight: Tensor) -> Tensor:
        if plan.constraint != "unit_rows":
            return weight
        length = torch.linalg.vector_norm(weight, dim=-1, keepdim=True)
        return weight.div(length.clamp_min(1e-12))

    def noise(self, generator: torch.Generator) -> Values:
        """What the views add to the embeddings, standard normal, by table and view."""
        found: Values = {}
        for node in self.excerpt.nodes:
            if node.op == TABLE:
                table = node.setting("table")
                for view in node.setting("views"):
                    key = f"{table} {view}"
                    if key not in found:
                        found[key] = _normal((ROWS, *self.tables[table]), generator)
        return found

    def draws(self, generator: torch.Generator) -> Values:
        """The step's draws that are values, and where the images stand in the batch.

        The latter matters to queues: what is a step old there is of other images, row by row.
        """
        found = {n.name: self._draw(n, generator) for n in self.excerpt.nodes if n.op == DRAW}
        return found | {_ORDER: torch.randperm(ROWS, generator=generator)}

    def _draw(self, node: Node, generator: torch.Generator) -> Tensor:
        assert isinstance(node.type, TensorType)
        shape = tuple(self._size(s) for s in node.type.shape)
        if node.setting("kind") == "normal":
            return _normal(shape, generator)
        mixture = self.mixtures.get(node.setting("site"))
        if node.setting("kind") == "uniform":
            drawn = torch.rand(shape, generator=generator, dtype=DTYPE)
            return drawn if mixture is None else _shares(drawn, *mixture.range)
        drawn = torch.randint(self._size(node.setting("below")), shape, generator=generator)
        if mixture is not None and len(shape) > 1:  # the first of several is the image itself
            drawn[:, 0] = torch.arange(ROWS)
        return drawn

    def schedules(self) -> dict[str, Any]:
        return {n.name: n.setting("schedule") for n in self.excerpt.nodes if n.op == SCHEDULE}

    # --- the step ------------------------------------------------------------------------

    def loss(
        self, moving: Values, states: Values, numbers: Values, noise: Values, draws: Values
    ) -> tuple[Tensor, Values]:
        """The loss of tables and weights, with what the step writes and latches (detached)."""
        known: dict[str, Any] = {}
        written: Values = {}
        given = {**states, **numbers, **draws}
        for node in self.excerpt.nodes:
            try:
                known[node.name] = self._value(node, known, moving, given, noise, written)
            except (RuntimeError, IndexError, TypeError, ValueError) as error:
                reason = re.sub(r"\(Batch element \d+\): ", "", str(error).partition("\n")[0])
                if "vmap" in reason:  # torch's word for the starts that are computed at once
                    reason = "its code does not run for several starts at once"
                raise NotInterpreted(f"`{node.op}` cannot be computed: {reason}") from error
        for state, write in self.excerpt.writes.items():
            old = states[state] if state in states else written[state]
            if old.numel():
                written[state] = self._written(state, write, old, known, draws[_ORDER]).detach()
        return known[self.excerpt.loss].mean(), written

    def _value(
        self, node: Node, known: dict[str, Any], moving: Values, given: Values, noise: Values,
        written: Values,
    ) -> Any:  # fmt: skip
        inputs = [known[i] if isinstance(i, str) else self._number(i) for i in node.inputs]
        match node.op:
            case "table":
                return self._table(node, moving, given, noise)
            case "predictor":
                return self._predicted(node, torch.cat(inputs))
            case "weight":
                return moving[node.setting("net")]
            case "read":
                return given[node.setting("state")]
            case "latch":
                value = given.get(node.setting("state"), inputs[0]).detach()
                written[node.setting("state")] = value
                return value
            case "draw" | "schedule":
                return given[node.name]
            case "input" if node.setting("name") == "index":
                return torch.arange(ROWS)
            case "input":
                return torch.arange(ROWS) % CLASSES
            case "size":
                return torch.tensor(float(self._size(node.setting("size"))), dtype=DTYPE)
            case "permutation":
                assert isinstance(node.type, TensorType)
                return torch.arange(self._size(node.type.shape[0]))
            case "permute_rows" | "unpermute_rows":
                return getattr(tensors, node.op)(*inputs)
            case "member":
                return tensors.member(*inputs, **dict(node.settings))
            case "one_hot":
                return (inputs[0][..., None] == torch.arange(self._count(node))).to(DTYPE)
        return self._primitive(node, inputs)

    def _primitive(self, node: Node, inputs: list[Any]) -> Any:
        primitive = PRIMITIVES.get(node.op)
        if primitive is None or primitive.kind != "tensor":
            raise NotInterpreted(f"the loss reads `{node.op}` beside embeddings")
        settings = {k: self._setting(v) for k, v in node.settings if v is not None}
        if not inputs:
            settings["like"] = torch.zeros((), dtype=DTYPE)
        if "n" in settings:
            settings["n"] = self._count(node)
        if primitive.lowering.startswith("sslang.") and inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        module, _, name = primitive.lowering.rpartition(".")
        return getattr(import_module(module), name)(*inputs, **settings)

    def _table(self, node: Node, moving: Values, given: Values, noise: Values) -> Tensor:
        table, views = node.setting("table"), node.setting("views")
        members = []
        for view, mixed in zip(views, node.setting("mixed", ((),) * len(views)), strict=True):
            rows = moving[table] + noise[f"{table} {view}"]
            for partner, weight in mixed:
                rows = _mixture(rows, given[partner], given[weight])
            members.append(rows)
        joined = torch.cat(members)
        return joined.detach() if node.setting("cut") else joined

    def _predicted(self, node: Node, x: Tensor) -> Tensor:
        assert isinstance(node.type, TensorType)
        width = self._size(node.type.shape[-1])
        if x.shape[-1] == width:
            return x
        generator = torch.Generator().manual_seed(len(node.setting("net")))
        return x.matmul(_normal((x.shape[-1], width), generator)).div(math.sqrt(x.shape[-1]))

    def _written(
        self, state: str, write: Write, old: Tensor, known: dict[str, Any], order: Tensor
    ) -> Tensor:
        value: Tensor = known[write.value]
        if write.index is not None:
            index: Tensor = known[write.index]
            if ((index < -len(old)) | (index >= len(old))).any():
                raise NotInterpreted(f"`{state}` is written in rows that it does not have")
            return old.index_put((index,), value)
        plan = next(p for p in self.excerpt.states if p.name == state)
        if plan.kind == "queue":
            return torch.cat([old, _in_order(value, order)])[-len(old) :]
        return value.expand_as(old)

    # --- sizes ---------------------------------------------------------------------------

    def _number(self, value: Any) -> Any:
        exact = isinstance(value, int) and not isinstance(value, bool)
        return self.small.get(value, value) if exact else value

    def _count(self, node: Node) -> int:
        return self._size(node.setting("n"))

    def _size(self, size: Size) -> int:
        if not isinstance(size, Dim):
            return self.small.get(size, size)
        unknown = [name for name, _ in size.terms if name not in self.dims]
        if unknown:
            raise NotInterpreted(f"the size `{unknown[0]}` is that of nothing the loss reads")
        return size.at(self.dims)

    def _setting(self, value: Any) -> Any:
        if isinstance(value, Dim):
            return self._size(value)
        if isinstance(value, tuple):
            return tuple(self._setting(v) for v in value)
        if isinstance(value, slice):
            return slice(self._setting(value.start), self._setting(value.stop))
        return value

    def _shape(self, plan: StatePlan) -> tuple[int, ...]:
        return tuple(self._size(s) for s in plan.shape)

    def _row(self, node: Node) -> tuple[int, ...]:
        assert isinstance(node.type, TensorType)
        return tuple(self._size(s) for s in node.type.shape[1:])


def _shares(drawn: Tensor, low: float, high: float) -> Tensor:
    """Shares of a mixture, of numbers in 0..1: those of several partners add up to 1."""
    return low + (high - low) * drawn if drawn.dim() < 2 else drawn / drawn.sum(1, keepdim=True)


def _mixture(rows: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
    """Rows mixed with others of the table by their shares, [rows], or by those of several."""
    wide = weight.view(*weight.shape, *[1] * (rows.dim() - 1))
    if weight.dim() > 1:
        return (wide * rows[partner]).sum(1)
    return (1 - wide) * rows + wide * rows[partner]


def _in_order(rows: Tensor, order: Tensor) -> Tensor:
    """Rows of images in another order, the same for each member of joined rows."""
    if len(rows) % ROWS:
        return rows
    return rows.view(-1, ROWS, *rows.shape[1:])[:, order].flatten(0, 1)


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=DTYPE)


def _small_sizes(excerpt: Excerpt) -> Mapping[int, int]:
    """What each large size of the graph becomes."""
    found: dict[int, int] = {}

    sliced = any(abs(bound) > KEPT for bound in _bounds(excerpt))
    kept = KEPT_SLICED if sliced else KEPT

    def choose(size: Size, small: int) -> None:
        if isinstance(size, int) and size > max(kept, small):
            found.setdefault(size, small)

    for node in excerpt.nodes:
        if node.op == TABLE and isinstance(node.type, TensorType):
            choose(node.type.shape[-1], WIDTH)
    for plan in (*excerpt.states, *excerpt.weights):
        if plan.kind == "queue":
            choose(plan.shape[0], QUEUE)
        for size in plan.shape:
            choose(size, OTHER)
    for node in excerpt.nodes:
        if node.op in (DRAW, PREDICTOR) and isinstance(node.type, TensorType):
            for size in node.type.shape:
                choose(size, OTHER)
    return found


def _bounds(excerpt: Excerpt) -> Iterator[int]:
    """The numbers that subscripts are made of."""
    for node in excerpt.nodes:
        for item in node.setting("items", ()) if node.op == "index" else ():
            parts = (item.start, item.stop) if isinstance(item, slice) else (item,)
            yield from (part for part in parts if isinstance(part, int))
