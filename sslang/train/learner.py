"""A method with its optimizer: one step at a time, on batches from anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslang.diagnostics import DiagnosticError
from sslang.emit.method import Method
from sslang.emit.nets.convolutions import upsets_onednn
from sslang.emit.sharding import SHARD_BYTES
from sslang.emit.split.limits import limits_of, micro_batch_problem, processes_problem
from sslang.emit.split.step import Images, SplitStep
from sslang.ir.program import Program
from sslang.model.recipe import Recipe, TensorNorm
from sslang.ops.schedules import Clock, value_at
from sslang.passes import Pass
from sslang.processes.group import ALONE, Processes
from sslang.processes.rows import shares
from sslang.processes.shards import gathered
from sslang.train.groups import optimizer_of, parameter_groups
from sslang.train.optimizers import Norms, clip_gradients
from sslang.train.own import OwnParameters
from sslang.train.state import (
    restored_optimizer,
    restored_tensors,
    state_of_optimizer,
    state_of_tensors,
)


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
    E740-E742 where the spec does not allow it. With `shard_nets`, the processes hold the parameters
    of nets, their gradients and the optimizer's state together (FSDP2), and layers of at least so
    many bytes are made whole one at a time. Banks and queues of at least `shard_states` bytes
    that are read by index, or in a product `x @ state.T`, are held together in any case.
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
        passes: tuple[Pass, ...] | None = None,
        processes: Processes = ALONE,
        micro_batch: int | None = None,
        shard_nets: int | None = None,
        shard_states: int = SHARD_BYTES,
    ) -> None:
        recipe = program.spec.recipe
        assert recipe is not None, "the program has no recipe"
        self.program = program
        self.recipe: Recipe = recipe
        self.device = torch.device(device)
        self.autocast = autocast
        self.steps_per_epoch = steps_per_epoch(recipe, images)
        self.total_steps = round(recipe.length.steps(self.steps_per_epoch))
        self.step = 0
        dims = {"dataset": images} | ({} if classes is None else {"classes": classes})
        self.method = Method(
            program, seed, dims=dims, weights=weights, passes=passes, device=device, dtype=dtype,
            processes=processes, shard_bytes=shard_states,
        )  # fmt: skip
        self.method.train()
        on_cpu = self.device.type == "cpu"
        self.channels_last = channels_last and not (on_cpu and upsets_onednn(self.method.nets))
        self.processes = processes
        self.shares_nets = shard_nets is not None
        if shard_nets is not None:
            self._shard(shard_nets)
        elif self.channels_last:
            self.method.nets.to(memory_format=torch.channels_last)
        self.groups = parameter_groups(self.method, program)
        self.own = OwnParameters(p for _, p in self.method.trained())
        self._norms = Norms(self.own.places, processes)
        self.optimizer = optimizer_of(recipe, self.groups, self.own, self._norms)
        self.unit = 1
        self.split: SplitStep | None = None
        if not processes.alone or micro_batch is not None:
            self.split = self._splitting(micro_batch)

    def _shard(self, unit_bytes: int) -> None:
        """Share the parameters of the nets out over the processes."""
        from sslang.emit.nets.sharded import shard  # half a second to import

        assert not self.processes.alone, "nobody to share parameters with"
        for plan in self.program.nets:
            net = self.method.net(plan.name)
            if any(True for _ in net.parameters()):
                shard(net, self.processes, unit_bytes=unit_bytes)

    @property
    def in_pieces(self) -> bool:
        """Whether the processes hold some tensor of the state together."""
        return self.shares_nets or bool(self.method.shared)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within, nets are applied without a word to the others; called by all processes."""
        if not self.shares_nets:
            yield
            return
        from sslang.emit.nets.sharded import gathered_parameters

        with gathered_parameters(self.method.nets):
            yield

    def _splitting(self, micro_batch: int | None) -> SplitStep:
        """The step in parts. Raises DiagnosticError where there can be none."""
        limits = limits_of(self.method)
        self.unit = limits.unit
        batch = self.recipe.batch
        rows = max(shares(batch, self.processes.count, self.unit))
        if micro_batch is not None and micro_batch >= rows:
            micro_batch = None  # all of a process's images are one
        found = [processes_problem(limits, self.processes.count, batch)]
        if micro_batch is not None:
            found.append(micro_batch_problem(limits, micro_batch, rows))
        problems = dict.fromkeys(problem for problem in found if problem is not None)
        if problems:
            raise DiagnosticError(*problems)
        return SplitStep(
            self.method, self.processes, micro_batch, limits,
            channels_last=self.channels_last, precision=self.precision,
        )  # fmt: skip

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
        self.own.take_gradients()
        if self.shares_nets:
            from sslang.emit.nets.sharded import forget_forwards

            forget_forwards(self.method.nets)
        clip = self.recipe.clip
        if clip is not None:
            per_tensor = isinstance(clip, TensorNorm)
            clip_gradients(self.own, clip.limit, per_tensor, self._norms)
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
        """All of the state of a run but its position in the data, which is the step.

        Of a tensor that the processes share out, it has the `Piece` that this one holds.
        """
        return {
            "step": self.step,
            "method": state_of_tensors(self.method.state_dict(), self.method.sharded),
            "optimizer": state_of_optimizer(self.optimizer, self.own),
        }

    def whole_state_dict(self, *, everywhere: bool = True) -> dict[str, Any]:
        """The state with no tensor in pieces, for all processes or the first; called by all."""
        own = self.state_dict()
        state: dict[str, Any] = gathered(own, self.processes, everywhere=everywhere)
        return state

    def whole_nets(self, *, everywhere: bool) -> dict[str, Tensor]:
        """The nets' state with no tensor in pieces, for the first process or all; called by all."""
        own = state_of_tensors(self.method.nets.state_dict())
        nets: dict[str, Tensor] = gathered(own, self.processes, everywhere=everywhere)
        return nets

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, of which this process takes what it holds."""
        own = self.method.state_dict()
        self.method.load_state_dict(restored_tensors(state["method"], own, self.method.sharded))
        self.method.constrain()
        self.optimizer.load_state_dict(
            restored_optimizer(state["optimizer"], self.optimizer, self.own)
        )
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
