"""A program made to run: nets, averages, states and the emitted graphs, on a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sslang.emit import draws
from sslang.emit.averages import average_
from sslang.emit.graph import Emitted, emit_step, emit_views
from sslang.emit.nets.net import build_net
from sslang.emit.nets.norms import commit_statistics, discard_statistics
from sslang.emit.selectors import matching
from sslang.ir.program import AveragePlan, Program, StatePlan
from sslang.ops.schedules import Clock, value_at
from sslang.passes import PIPELINE, Pass, optimise

Sizes = NDArray[np.int64]


@dataclass(frozen=True)
class StepResult:
    """What a forward gives: the loss (a scalar), features of the step if any, state writes."""

    loss: Tensor
    embedding: Tensor | None
    writes: Mapping[str, Tensor]


@dataclass(frozen=True)
class Average:
    """The nets of a branch's copies, and those they follow."""

    plan: AveragePlan
    pairs: tuple[tuple[nn.Module, nn.Module], ...]

    def advance(self, momentum: float) -> None:
        """m * old + (1 - m) * new, of parameters, and of buffers where the plan says so.

        Tensors are looked up at each step: a module may replace them (another memory format).
        """
        targets = [p for ours, _ in self.pairs for p in ours.parameters()]
        sources = [p for _, theirs in self.pairs for p in theirs.parameters()]
        average_(targets, sources, momentum)
        if self.plan.buffers:
            average_(
                [b for ours, _ in self.pairs for b in _floating(ours)],
                [b for _, theirs in self.pairs for b in _floating(theirs)],
                momentum,
            )


class Method(nn.Module):
    """All that a spec declares, built. Its `state_dict` is everything but the optimizer."""

    def __init__(
        self,
        program: Program,
        seed: int,
        *,
        phase: str = "pretrain",
        passes: tuple[Pass, ...] = PIPELINE,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.program = program
        self.seed = seed
        self.phase = phase
        self.nets = nn.Module()
        for plan in program.nets:
            _attach(self.nets, plan.name, build_net(plan.stages, seed, plan.name))
        _copy_averages(self.nets, program)
        for state in program.states:
            self.register_buffer(f"state_{state.name}", initial_rows(state, seed))
        self.nets.requires_grad_(True)
        self.frozen = _freeze(self.nets, program)
        self.to(device=device, dtype=dtype)
        self.graph = optimise(program.step, passes)
        self.view_code = emit_views(self.graph)
        self.step_code = emit_step(self.graph, self.nets)
        self.averages = [_average(self.nets, plan) for plan in program.averages]
        self.feature_code: tuple[Emitted, Emitted] | None = None
        if program.features is not None:
            features = optimise(program.features, passes)
            self.feature_code = (emit_views(features), emit_step(features, self.nets))
        self._keys: dict[str, NDArray[np.uint64]] = {}
        # A bound method, for a module would be registered and enter the state a second time.
        self.run_step: Callable[..., Any] = self.step_code.module.__call__

    # --- the step ------------------------------------------------------------------------

    def views(self, images: Tensor, sizes: Sizes, step: int) -> tuple[Tensor, ...]:
        """The declared views of a batch: uint8 [B, 3, H, W] and true sizes [B, 2] to floats."""
        rows = len(images)
        drawn = [
            draws.uniform(self._key(site), step, rows, count)
            for _, site, count in self.view_code.draws
        ]
        made: tuple[Tensor, ...] = self.view_code.module(images, sizes, *drawn)
        return made

    def forward(self, views: tuple[Tensor, ...], clock: Clock) -> StepResult:
        """The pure step at time `clock`: nothing is changed but collected batch statistics."""
        first = views[0]
        code = self.step_code
        permutations = [
            torch.from_numpy(draws.permutation(self._key(site), int(clock.step), len(first))).to(
                first.device, non_blocking=True
            )
            for _, site in code.permutations
        ]
        states = [self.state(name) for _, name in code.states]
        scheduled = [
            torch.tensor(value_at(schedule, clock), dtype=first.dtype, device=first.device)
            for _, schedule in code.schedules
        ]
        results = self.run_step(*views, *_in_order(code, permutations, states, scheduled))
        return StepResult(results["loss"], results.get("embedding"), results["writes"])

    @torch.no_grad()
    def advance(self, result: StepResult, clock: Clock) -> None:
        """After the optimizer: averages, writes and running statistics move to t + 1, at once."""
        for average in self.averages:
            average.advance(value_at(average.plan.momentum, clock))
        for name, rows in result.writes.items():
            append_rows(self.state(name), rows)
        commit_statistics(self.nets)

    def discard(self) -> None:
        """Forget the batch statistics of a forward that no step follows."""
        discard_statistics(self.nets)

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

    def state(self, name: str) -> Tensor:
        """The rows of a queue, oldest first."""
        tensor = getattr(self, f"state_{name}")
        assert isinstance(tensor, Tensor)
        return tensor

    def trained(self) -> list[tuple[str, nn.Parameter]]:
        """Parameters that the optimizer moves, by name."""
        return [(n, p) for n, p in self.nets.named_parameters() if p.requires_grad]

    def net(self, name: str) -> nn.Module:
        return self.nets.get_submodule(name)

    def compile(self, **options: Any) -> None:
        """Run the step through torch.compile."""
        compiled: Any = torch.compile(self.step_code.module, **options)
        self.run_step = compiled.__call__

    def _key(self, site: str) -> NDArray[np.uint64]:
        if site not in self._keys:
            self._keys[site] = draws.stream_key(self.seed, self.phase, site)
        return self._keys[site]


def _in_order(
    code: Emitted, permutations: list[Tensor], states: list[Tensor], scheduled: list[Tensor]
) -> list[Tensor]:
    """Parameters of the step after its views, as its code lists them."""
    values = dict(zip((n for n, _ in code.permutations), permutations, strict=True))
    values |= dict(zip((n for n, _ in code.states), states, strict=True))
    values |= dict(zip((n for n, _ in code.schedules), scheduled, strict=True))
    names = [n.target for n in code.module.graph.nodes if n.op == "placeholder"]
    return [values[str(name)] for name in names[len(code.views) :]]


def append_rows(queue: Tensor, rows: Tensor) -> None:
    """A queue [n, ...] after `rows` [b, ...] have entered, in place: oldest first."""
    entering = rows.to(queue.dtype)[-len(queue) :]
    if len(entering) < len(queue):
        queue[: -len(entering)] = queue[len(entering) :].clone()
    queue[-len(entering) :] = entering


def initial_rows(state: StatePlan, seed: int) -> Tensor:
    """The rows that a queue begins with, [n, *row]."""
    key = draws.stream_key(seed, "state", state.name)
    count = int(np.prod(state.row))
    shape = (state.rows, *state.row)
    match state.initialiser:
        case "zeros":
            return torch.zeros(shape)
        case "uniform":
            interval = state.settings.get("range")
            bounds = (0.0, 1.0) if interval is None else (interval.low, interval.high)
            drawn = draws.between(draws.uniform(key, 0, state.rows, count), bounds)
        case "normal":
            drawn = draws.normal(key, 0, state.rows, count) * state.settings.get("std", 1.0)
        case "sphere":
            drawn = draws.normal(key, 0, state.rows, count)
            drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        case other:
            raise AssertionError(f"no lowering for the initialiser {other}")
    return torch.from_numpy(drawn.reshape(shape)).float()


def _attach(root: nn.Module, name: str, net: nn.Module) -> None:
    """`target.f` becomes the module `f` inside the module `target`."""
    *path, last = name.split(".")
    for part in path:
        if not hasattr(root, part):
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, net)


def _copy_averages(nets: nn.Module, program: Program) -> None:
    """Averages begin as copies, buffers too, unless they draw their own start."""
    for plan in program.averages:
        for copy, source in plan.pairs:
            if not plan.fresh:
                nets.get_submodule(copy).load_state_dict(nets.get_submodule(source).state_dict())


def _average(nets: nn.Module, plan: AveragePlan) -> Average:
    find = nets.get_submodule
    return Average(plan, tuple((find(copy), find(source)) for copy, source in plan.pairs))


def _floating(net: nn.Module) -> list[Tensor]:
    return [b for b in net.buffers() if b.is_floating_point()]


def _freeze(nets: nn.Module, program: Program) -> set[str]:
    """Averages are never trained, nor is what the recipe freezes: no gradient at all."""
    for plan in program.nets:
        if plan.kind == "average":
            nets.get_submodule(plan.name).requires_grad_(False)
    frozen: set[str] = set()
    recipe = program.spec.recipe
    for selector in recipe.freeze if recipe is not None else ():
        frozen |= matching(selector, nets, program)
    for name, parameter in nets.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    return frozen
