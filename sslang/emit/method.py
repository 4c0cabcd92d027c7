"""A program made to run: nets, averages, states and the emitted graphs, on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sslang.emit import draws
from sslang.emit.building import average_of, build_nets, freeze
from sslang.emit.graph import Emitted, ValueDraw, emit_step, emit_views, is_view_op
from sslang.emit.nets.norms import commit_statistics, discard_statistics
from sslang.emit.sharding import SHARD_BYTES, sharded_states
from sslang.emit.states import (
    Weight,
    append_own_rows,
    append_rows,
    initial_value,
    scatter_own_rows,
    scatter_rows,
    size_of,
)
from sslang.emit.variants import first_step, has_latches, later_step
from sslang.emit.view_draws import Drawing, is_augmentation
from sslang.ir.graph import FUSED, Graph
from sslang.ir.program import Program, StatePlan
from sslang.ops import PRIMITIVES
from sslang.ops.schedules import Clock, value_at
from sslang.passes import Pass, default_passes, optimise
from sslang.processes.group import ALONE, Processes
from sslang.processes.shards import Rows
from sslang.types import ViewType

Sizes = NDArray[np.int64]


@dataclass(frozen=True)
class StepResult:
    """What a forward gives: the loss (a scalar), features of the step if any, state writes."""

    loss: Tensor
    embedding: Tensor | None
    writes: Mapping[str, tuple[Tensor, Tensor | None]]


class Method(nn.Module):
    """All that a phase declares, built. Its `state_dict` is everything but the optimizer.

    `dims` are the sizes that the data decide (`dataset`, `classes`); `weights` are parameters and
    buffers of nets to begin with, by name: those of earlier phases. Of several `processes` each
    has its own rows of the states that they share: those in `shared`, of at least `shard_bytes`.
    `passes` are those of the device, if none are given.
    """

    def __init__(
        self,
        program: Program,
        seed: int,
        *,
        dims: Mapping[str, int] | None = None,
        weights: Mapping[str, Tensor] | None = None,
        passes: tuple[Pass, ...] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        processes: Processes = ALONE,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        super().__init__()
        self.program = program
        self.seed = seed
        self.dims = dict(dims or {})
        passes = default_passes(torch.device(device).type) if passes is None else passes
        self.passes = passes
        self.graph = optimise(program.step, passes)
        self.processes = processes
        self.shared = sharded_states(program, self.graphs, self.dims, processes, shard_bytes)
        self.nets = build_nets(program, seed, self.dims, weights or {}, dtype)
        for state in program.states:
            value = initial_value(state, seed, self.dims, self.shared.get(state.name))
            self.register_buffer(_buffer(state.name), value)
            if state.starts_empty:
                filled = torch.zeros((), dtype=torch.long)
                self.register_buffer(_buffer(state.name, "filled"), filled)
        self.frozen, self.thawing = freeze(self.nets, program)
        self.to(device=device, dtype=dtype)
        self.constrain()
        self.view_code = emit_views(self.graph)
        self.step_codes = tuple(emit_step(g, self.nets, self.dims) for g in self.graphs)
        self.averages = [average_of(self.nets, plan) for plan in program.averages]
        self.feature_code: tuple[Emitted, Emitted] | None = None
        if program.features is not None:
            features = optimise(program.features, passes)
            step = emit_step(features, self.nets, self.dims)
            self.feature_code = (emit_views(features), step)
        self._keys: dict[str, NDArray[np.uint64]] = {}
        self._full: set[str] = set()  # queues known to be full: the host need not ask again
        # Bound methods, for a module would be registered and enter the state a second time.
        self.run_step: list[Callable[..., Any]] = [c.module.__call__ for c in self.step_codes]
        self.run_views: Callable[..., Any] = self.view_code.module.__call__

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The graph of the first step, where it differs, then that of the later ones."""
        if not has_latches(self.graph):
            return (self.graph,)
        return (first_step(self.graph), later_step(self.graph))

    @property
    def step_code(self) -> Emitted:
        """The code of every step but, where states are latched, the first."""
        return self.step_codes[-1]

    # --- the step ------------------------------------------------------------------------

    def views(self, images: Tensor, sizes: Sizes, step: int) -> tuple[Tensor, ...]:
        """The declared views of a batch: uint8 [B, 3, H, W] and true sizes [B, 2] to floats."""
        drawing = self.drawing(step, len(images))
        drawn = drawing.all(self.view_code.draws, drawing.every_row)
        made: tuple[Tensor, ...] = self.run_views(images, sizes, *drawn)
        return made

    def drawing(self, step: int, batch: int) -> Drawing:
        """What the ops of views draw in a step on a batch of `batch` images."""
        return Drawing(self.key, step, batch)

    def forward(
        self, views: tuple[Tensor, ...], clock: Clock, inputs: Mapping[str, Tensor] | None = None
    ) -> StepResult:
        """The pure step at time `clock`: nothing is changed but collected batch statistics.

        `inputs` are the `index` and the `label` of each row, where the step reads them.
        """
        assert not self.shared, "a step on shared states is computed in parts"
        at = 0 if clock.step == 0 else -1
        code = self.step_codes[at]
        values = self._arguments(code, views[0], clock, inputs or {})
        results = self.run_step[at](*views, *values)
        return StepResult(results["loss"], results.get("embedding"), results["writes"])

    def _arguments(
        self, code: Emitted, first: Tensor, clock: Clock, inputs: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """Parameters of the step after its views, as its code lists them."""
        step, device = int(clock.step), first.device
        rows = len(first) // self._patches(code)
        found: dict[str, Tensor] = {}
        drawing = self.drawing(step, rows)
        for parameter, name in code.inputs:
            if name not in inputs:
                raise ValueError(f"the step reads `{name}`: pass {name}= for each image")
            found[parameter] = inputs[name].to(device)
        for draw in code.values:
            drawn = torch.from_numpy(drawn_value(draw, drawing, self.dims))
            dtype = first.dtype if drawn.is_floating_point() else drawn.dtype
            found[draw.parameter] = drawn.to(device, dtype, non_blocking=True)
        for parameter, site in code.permutations:
            order = draws.permutation(self.key(site), step, rows)
            found[parameter] = torch.from_numpy(order).to(device, non_blocking=True)
        for parameter, name in code.states:
            found[parameter] = self.state(name)
        for parameter, schedule in code.schedules:
            number = value_at(schedule, clock)
            found[parameter] = torch.tensor(number, dtype=first.dtype, device=device)
        names = [n.target for n in code.module.graph.nodes if n.op == "placeholder"]
        return [found[str(name)] for name in names[len(code.views) :]]

    def _patches(self, code: Emitted) -> int:
        type_ = self.graph.node(code.views[0]).type
        return type_.patches if isinstance(type_, ViewType) else 1

    @torch.no_grad()
    def advance(self, result: StepResult, clock: Clock) -> None:
        """After the optimizer: constraints, then averages, writes and statistics at once."""
        self.constrain()
        for average in self.averages:
            average.advance(value_at(average.plan.momentum, clock))
        for plan in self.program.states:
            if plan.name in result.writes and _due(plan, clock):
                self._write(plan, *result.writes[plan.name])
        commit_statistics(self.nets)

    def _write(self, plan: StatePlan, value: Tensor, index: Tensor | None) -> None:
        state, own = getattr(self, _buffer(plan.name)), self.shared.get(plan.name)
        if index is not None and own is not None:
            scatter_own_rows(state, own, index, value)
        elif index is not None:
            scatter_rows(state, index, value)
        elif plan.kind == "queue":
            if own is not None:
                append_own_rows(state, own, value, self.processes)
            else:
                append_rows(state, value)
            if plan.starts_empty:
                filled = getattr(self, _buffer(plan.name, "filled"))
                filled.add_(len(value)).clamp_(max=self._length(plan.name))
        else:
            state.copy_(value)

    def constrain(self) -> None:
        """Put every weight where its constraint wants it."""
        for plan in self.program.weights:
            weight = self.nets.get_submodule(plan.name)
            assert isinstance(weight, Weight)
            weight.constrain()

    def still_frozen(self, clock: Clock) -> set[str]:
        """Names of parameters that are still frozen at this time."""
        return {
            name for time, names in self.thawing
            if clock.step < time.steps(clock.epoch) for name in names
        }  # fmt: skip

    def discard(self) -> None:
        """Forget the batch statistics of a forward that no step follows."""
        discard_statistics(self.nets)

    @property
    def form_of_views(self) -> str:
        """Which form the ops of views have, in words: ours, kornia's, or some of each."""
        by_kornia: set[str] = set()
        ours: set[str] = set()
        for node in self.graph.nodes:
            if is_view_op(node) and PRIMITIVES[node.op].kornia is not None:
                has_two = is_augmentation(node.op) or bool(PRIMITIVES[node.op].fused)
                (by_kornia if has_two and node.setting("form") != FUSED else ours).add(node.op)
        found = ["fused"] if ours else []
        if by_kornia:
            found.append(f"kornia {version('kornia')} ({', '.join(sorted(by_kornia))})")
        return "; ".join(found) or "plain"

    # --- evaluation ----------------------------------------------------------------------

    @torch.no_grad()
    def features(self, images: Tensor, sizes: Sizes) -> Tensor:
        """The spec's `features` of images in their evaluation form, [B, width], in eval mode."""
        assert self.feature_code is not None, "the spec declares no features"
        view_code, code = self.feature_code
        was_training = self.training
        self.eval()
        dtype = next(self.nets.parameters()).dtype
        views = [view.to(dtype) for view in view_code.module(images, sizes)]
        states = [self.state(name) for _, name in code.states]
        result: Tensor = code.module(*views, *states)["features"]
        self.train(was_training)
        return result

    # --- state ---------------------------------------------------------------------------

    @property
    def sharded(self) -> Mapping[str, Rows]:
        """The rows that this process holds of tensors of the `state_dict`, where not all."""
        return {_buffer(name): rows for name, rows in self.shared.items()}

    def state(self, name: str) -> Tensor:
        """A state as it is read: of a queue the rows, oldest first, and none while it fills.

        Of one that the processes share, the rows of this one.
        """
        tensor = getattr(self, _buffer(name))
        assert isinstance(tensor, Tensor)
        return tensor[:0] if self._is_filling(name) else tensor

    def buffers_of(self, names: Iterable[str]) -> dict[str, Tensor]:
        """The tensors of the `state_dict` that make up some states."""
        own = dict(self.named_buffers(recurse=False))
        keys = (_buffer(name, what) for name in names for what in ("state", "filled"))
        return {key: own[key] for key in keys if key in own}

    def rows(self, name: str) -> int:
        """The rows of a state as it is read, of all processes."""
        return 0 if self._is_filling(name) else self._length(name)

    def _is_filling(self, name: str) -> bool:
        filled = getattr(self, _buffer(name, "filled"), None)
        if filled is None or name in self._full:
            return False
        if int(filled) < self._length(name):
            return True
        self._full.add(name)
        return False

    def _length(self, name: str) -> int:
        own = self.shared.get(name)
        return len(getattr(self, _buffer(name))) if own is None else own.total

    def load_state_dict(self, *given: Any, **named: Any) -> Any:
        self._full.clear()
        return super().load_state_dict(*given, **named)

    def trained(self) -> list[tuple[str, nn.Parameter]]:
        """Parameters that the optimizer moves, by name."""
        return [(n, p) for n, p in self.nets.named_parameters() if p.requires_grad]

    def net(self, name: str) -> nn.Module:
        return self.nets.get_submodule(name)

    def compile(self, **options: Any) -> None:
        """Run the step through torch.compile."""
        compiled: list[Any] = [torch.compile(c.module, **options) for c in self.step_codes]
        self.run_step = [module.__call__ for module in compiled]

    def key(self, site: str) -> NDArray[np.uint64]:
        """The key of a site's stream of random numbers."""
        if site not in self._keys:
            self._keys[site] = draws.stream_key(self.seed, self.program.phase, site)
        return self._keys[site]


def _buffer(name: str, what: str = "state") -> str:
    """The name of a state's tensor among the buffers, which may hold no dot."""
    return f"{what}_{name}".replace(".", "/")


def _due(plan: StatePlan, clock: Clock) -> bool:
    """Whether a write happens at this time."""
    if plan.start is not None and clock.step < plan.start.steps(clock.epoch):
        return False
    if plan.every is None:
        return True
    return int(clock.step) % max(1, round(plan.every.steps(clock.epoch))) == 0


def drawn_value(draw: ValueDraw, drawing: Drawing, dims: Mapping[str, int]) -> NDArray[Any]:
    """A draw of a step on a batch of B images: [B, *shape] of `per = row`, else [*shape]."""
    if draw.number is not None:
        return drawing.number(*draw.number)
    key, batch = drawing.key(draw.site), drawing.batch
    below = 1 if draw.below is None else size_of(draw.below, {**dims, "batch": batch})
    count = int(np.prod(draw.shape)) if draw.shape else 1
    rows, step = (batch if draw.per == "row" else 1), (0 if draw.per == "run" else drawing.step)
    shape = (rows, *draw.shape) if draw.per == "row" else draw.shape
    if draw.kind == "normal":
        return draws.normal(key, step, rows, count).reshape(shape)
    drawn = draws.uniform(key, step, rows, count)
    if draw.kind == "uniform":
        return drawn.reshape(shape)
    return np.floor(drawn * below).astype(np.int64).reshape(shape)
