"""A method with its optimizer: one step at a time, on batches from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sslang.diagnostics import DiagnosticError
from sslang.emit.method import Method
from sslang.emit.selectors import matching
from sslang.emit.split.limits import limits_of, micro_batch_problem, processes_problem
from sslang.emit.split.step import Images, SplitStep
from sslang.ir.partition import Unsplittable
from sslang.ir.program import Program
from sslang.model.recipe import AdamW, Group, Lars, Recipe, Sgd, TensorNorm
from sslang.ops.schedules import Clock, value_at
from sslang.passes import PIPELINE, Pass
from sslang.processes.group import ALONE, Processes
from sslang.processes.rows import shares
from sslang.train.optimizers import LarsRule, clip_gradients, make_optimizer

_SCHEDULED = ("lr", "weight_decay", "momentum")


@dataclass(frozen=True)
class StepReport:
    """What a step leaves to look at: tensors on the device, so that nothing waits for it.

    `counts` are the rows of `embedding` that each process has; None where all have all of it.
    """

    loss: Tensor
    embedding: Tensor | None
    scheduled: Mapping[str, float]
    counts: tuple[int, ...] | None = None


class Learner:
    """Method, optimizer and clock. `step` is the number of the next step, t.

    `images` is the size of the training set, which makes epochs into steps; `classes` the number
    of its classes, where the spec uses it. `weights` are tensors of nets to begin with, by name.

    A step may be split: over `processes`, each of which is given its own rows of the batch, and
    over micro-batches of `micro_batch` images. Neither changes what is computed; DiagnosticError
    E740-E743 where the spec does not allow it.
    """

    def __init__(
        self,
        program: Program,
        *,
        images: int,
        classes: int | None = None,
        seed: int = 0,
        weights: Mapping[str, Tensor] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        autocast: torch.dtype | None = None,
        channels_last: bool = True,
        passes: tuple[Pass, ...] = PIPELINE,
        processes: Processes = ALONE,
        micro_batch: int | None = None,
    ) -> None:
        recipe = program.spec.recipe
        assert recipe is not None, "the program has no recipe"
        self.program = program
        self.recipe: Recipe = recipe
        self.device = torch.device(device)
        self.autocast = autocast
        self.channels_last = channels_last
        self.steps_per_epoch = steps_per_epoch(recipe, images)
        self.total_steps = round(recipe.length.steps(self.steps_per_epoch))
        self.step = 0
        dims = {"dataset": images} | ({} if classes is None else {"classes": classes})
        self.method = Method(
            program, seed, dims=dims, weights=weights, passes=passes, device=device, dtype=dtype
        )
        if channels_last:
            self.method.nets.to(memory_format=torch.channels_last)
        self.method.train()
        self.groups = parameter_groups(self.method, program)
        self.optimizer = _optimizer(recipe, self.groups)
        self._parameters = [p for _, p in self.method.trained()]
        self.processes = processes
        self.unit = 1
        self.split: SplitStep | None = None
        if not processes.alone or micro_batch is not None:
            self.split = self._splitting(micro_batch)

    def _splitting(self, micro_batch: int | None) -> SplitStep:
        """The step in parts. Raises DiagnosticError where there can be none."""
        limits = limits_of(self.method.graphs, self.method.nets)
        self.unit = limits.unit
        batch = self.recipe.batch
        rows = max(shares(batch, self.processes.count, self.unit))
        if micro_batch is not None and micro_batch >= rows:
            micro_batch = None  # all of a process's images are one
        found = [processes_problem(limits, self.processes.count, batch)]
        if micro_batch is not None:
            found.append(micro_batch_problem(limits, micro_batch, rows))
        problems = [problem for problem in found if problem is not None]
        if problems:
            raise DiagnosticError(*problems)
        try:
            return SplitStep(
                self.method, self.processes, micro_batch, limits,
                channels_last=self.channels_last, precision=self.precision,
            )  # fmt: skip
        except Unsplittable as error:
            raise DiagnosticError(error.diagnostic) from None

    def compile(self, **options: Any) -> None:
        """Run the step through torch.compile; of a split step, the nets."""
        if self.split is None:
            self.method.compile(**options)
        else:
            self.split.compile(**options)

    @property
    def micro_batch(self) -> int | None:
        """How many images of its rows a process computes at a time; None for all of them."""
        return None if self.split is None else self.split.micro_batch

    def counts(self, batch: int) -> tuple[int, ...]:
        """How many images of a batch each process has."""
        return shares(batch, self.processes.count, self.unit)

    def share(self, batch: int) -> tuple[int, int]:
        """The rows of a batch, from and to, that this process has."""
        counts = self.counts(batch)
        start = sum(counts[: self.processes.rank])
        return start, start + counts[self.processes.rank]

    @property
    def clock(self) -> Clock:
        return Clock(self.step, self.total_steps, self.steps_per_epoch)

    def train_step(
        self,
        pixels: Tensor,
        sizes: NDArray[np.int64] | None = None,
        *,
        index: Tensor | None = None,
        label: Tensor | None = None,
        batch: int | None = None,
    ) -> StepReport:
        """One step on uint8 images [B, 3, H, W] on the device; `sizes` [B, 2] where they differ.

        `index` int64 [B] (the place of each image in the training set) and `label` int64 [B] are
        due where the spec reads them; ValueError where one is missing. With several processes
        these are the images of this one, those that `share` names of a batch of `batch` images.
        """
        if sizes is None:
            sizes = np.tile(np.array(pixels.shape[-2:], dtype=np.int64), (len(pixels), 1))
        clock = self.clock
        given = {"index": index, "label": label}
        inputs = {name: value for name, value in given.items() if value is not None}
        missing = sorted(self.program.reads - set(inputs))
        if missing:
            raise ValueError(f"the step reads `{missing[0]}`: pass {missing[0]}= for each image")
        counts = None
        if self.split is None:
            views = self.views(pixels, sizes)
            with self.precision():
                result = self.method(views, clock, inputs)
            result.loss.backward()
        else:
            images = Images(pixels, sizes, inputs, self.counts(batch or len(pixels)))
            result = self.split.run(images, clock)
            rows = self.split.rows_of_embedding(clock)
            counts = tuple(rows * n for n in images.counts) if rows else None
        self._freeze(clock)
        clip = self.recipe.clip
        if clip is not None:
            clip_gradients(self._parameters, clip.limit, isinstance(clip, TensorNorm))
        scheduled = self._schedule(clock)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.method.advance(result, clock)
        self.step += 1
        return StepReport(result.loss.detach(), result.embedding, scheduled, counts)

    def _freeze(self, clock: Clock) -> None:
        """What is frozen until later has no gradient at all."""
        frozen = self.method.still_frozen(clock)
        for name, parameter in self.method.trained() if frozen else ():
            if name in frozen:
                parameter.grad = None

    def views(self, pixels: Tensor, sizes: NDArray[np.int64]) -> tuple[Tensor, ...]:
        """The views of this step."""
        dtype = next(self.method.nets.parameters()).dtype
        views = tuple(v.to(dtype) for v in self.method.views(pixels, sizes, self.step))
        if self.channels_last:
            views = tuple(v.contiguous(memory_format=torch.channels_last) for v in views)
        return views

    def features(self, pixels: Tensor, sizes: NDArray[np.int64]) -> Tensor:
        """The spec's features in evaluation mode, float32 [B, width]."""
        with self.precision():
            return self.method.features(pixels, sizes).float()

    def state_dict(self) -> dict[str, Any]:
        """All of the state of a run but its position in the data, which is the step."""
        return {
            "step": self.step,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.method.load_state_dict(state["method"])
        self.method.constrain()
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])

    def precision(self) -> AbstractContextManager[Any]:
        """The context in which forwards run: autocast, or nothing."""
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast)

    def _schedule(self, clock: Clock) -> dict[str, float]:
        """Set every group's numbers to those of this step; the rate of the first is shown."""
        for group, plan in zip(self.optimizer.param_groups, self.groups, strict=True):
            for name, number in plan.numbers.items():
                if name in group:
                    group[name] = value_at(number, clock)
        shown = {"lr": value_at(self.groups[0].numbers["lr"], clock)}
        for average in self.method.averages:
            shown[f"momentum/{average.plan.branch}"] = value_at(average.plan.momentum, clock)
        for name, schedule in self.method.step_code.schedules:
            shown[f"schedule/{name}"] = value_at(schedule, clock)
        return shown


def steps_per_epoch(recipe: Recipe, images: int) -> int:
    """How many steps make an epoch of so many images."""
    if recipe.last_batch == "drop":
        return images // recipe.batch
    return -(-images // recipe.batch)


@dataclass(frozen=True)
class GroupPlan:
    """Parameters that share their numbers, each number perhaps a schedule."""

    names: tuple[str, ...]
    parameters: tuple[nn.Parameter, ...]
    numbers: Mapping[str, Any]
    adapt: bool


def parameter_groups(method: Method, program: Program) -> list[GroupPlan]:
    """The trained parameters by their settings; of the recipe's groups a later one wins."""
    recipe = program.spec.recipe
    assert recipe is not None
    base = {n: getattr(recipe.optimizer, n) for n in _SCHEDULED if hasattr(recipe.optimizer, n)}
    chosen = [(g, matching(g.selector, method.nets, program)) for g in recipe.groups]
    grouped: dict[tuple[int, ...], list[tuple[str, nn.Parameter]]] = {(): []}
    for name, parameter in method.trained():
        key = tuple(i for i, (_, names) in enumerate(chosen) if name in names)
        grouped.setdefault(key, []).append((name, parameter))
    return [
        _group([chosen[i][0] for i in key], members, base)
        for key, members in grouped.items() if members
    ]  # fmt: skip


def _group(
    settings: list[Group], members: list[tuple[str, nn.Parameter]], base: Mapping[str, Any]
) -> GroupPlan:
    numbers, adapt = dict(base), True
    for group in settings:
        for name in _SCHEDULED:
            if getattr(group, name) is not None:
                numbers[name] = getattr(group, name)
        adapt = adapt if group.adapt is None else group.adapt
    return GroupPlan(tuple(n for n, _ in members), tuple(p for _, p in members), numbers, adapt)


def _optimizer(recipe: Recipe, groups: list[GroupPlan]) -> torch.optim.Optimizer:
    listed = [{"params": list(g.parameters), "weight_decay": 0.0, "adapt": g.adapt} for g in groups]
    match recipe.optimizer:
        case Sgd(momentum=momentum, nesterov=nesterov):
            return make_optimizer("sgd", listed, momentum=momentum, nesterov=nesterov)
        case AdamW(beta1=beta1, beta2=beta2, eps=eps):
            return make_optimizer("adamw", listed, betas=(beta1, beta2), eps=eps)
        case Lars() as lars:
            rule = LarsRule(
                rate_inside=lars.rate_inside,
                decay_in_gradient=not lars.separate_norms,
                clip=lars.clip,
                zero_norm="plain" if lars.separate_norms else "decayed",
                trust=lars.trust,
                eps=lars.eps,
            )
            return make_optimizer("lars", listed, momentum=lars.momentum, rule=rule)
    raise AssertionError(recipe.optimizer)
