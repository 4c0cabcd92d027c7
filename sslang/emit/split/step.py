"""One step of one process: its own rows, in micro-batches, of a batch that all share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslang.emit import draws
from sslang.emit.graph import Emitted
from sslang.emit.method import Method, Sizes, StepResult, drawn_value
from sslang.emit.nets.norms import (
    recorded_statistics,
    restore_statistics,
    set_processes,
    share_statistics,
)
from sslang.emit.split.code import Embedded, SplitCode, Stage, emit_split
from sslang.emit.split.gradients import GradientSum
from sslang.emit.split.limits import Limits, partitions
from sslang.emit.split.part import Part, joined
from sslang.ops.schedules import Clock, value_at
from sslang.processes.group import Processes
from sslang.processes.rows import shares
from sslang.processes.shards import place_of
from sslang.types import Dim, Size

Pairs = list[tuple[Tensor, Tensor | None]]
Precision = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Images:
    """The images of this process: uint8 [b, 3, H, W], true sizes [b, 2], and what is read of them.

    `counts` are the images of each process, in the order of the batch.
    """

    pixels: Tensor
    sizes: Sizes
    inputs: Mapping[str, Tensor]
    counts: tuple[int, ...]


class SplitStep:
    """The step of a method in parts: the same loss, gradients, writes and statistics.

    `micro_batch` is the most images of a micro-batch, within `limits`; None for all.
    """

    def __init__(
        self,
        method: Method,
        processes: Processes,
        micro_batch: int | None,
        limits: Limits,
        *,
        channels_last: bool = False,
        precision: Precision,
    ) -> None:
        self.method = method
        self.sums: GradientSum | None = None
        if not processes.alone:
            kept_whole = [p for _, p in method.trained() if place_of(p) is None]
            self.sums = GradientSum(kept_whole, processes)  # of the others, FSDP2 sums them
        self.processes = processes
        self.micro_batch = micro_batch
        self.unit = limits.unit
        self.channels_last = channels_last
        self.precision = precision
        self._compiled: dict[int, Callable[..., Any]] = {}
        self.together = any(place_of(p) is not None for p in method.nets.parameters())
        set_processes(method.nets, processes)
        splits = partitions(method, micro_batches=micro_batch is not None)
        self.codes = tuple(emit_split(split, method.nets, method.dims) for split in splits)

    def run(self, images: Images, clock: Clock) -> StepResult:
        """Forward and backward, gradients of parameters and statistics of all processes."""
        code = self.codes[0 if clock.step == 0 else -1]
        result = _Run(self, code, images, clock).result()
        if self.sums is not None:
            self.sums.end()
        share_statistics(self.method.nets, self.processes)
        return result

    def compile(self, **options: Any) -> None:
        """Run the nets through torch.compile; what the processes tell each other is not part."""
        for stage in (stage for code in self.codes for stage in code.stages):
            compiled: Any = torch.compile(stage.step.module, **options)
            self._compiled[id(stage.step)] = compiled

    def call(self, code: Emitted) -> Callable[..., Any]:
        """The code as it is run."""
        return self._compiled.get(id(code), code.module.__call__)

    def rows_of_embedding(self, clock: Clock) -> int:
        """Rows an image of a step's embedding, of which a process has its own; 0 if all of it."""
        return self.codes[0 if clock.step == 0 else -1].rows_of_embedding

    def last_backward(self, code: SplitCode) -> None:
        """Called before the last backward pass of a step."""
        if self.sums is not None:
            self.sums.begin(id(code))


class _Run:
    """One forward and backward of one process."""

    def __init__(self, step: SplitStep, code: SplitCode, images: Images, clock: Clock) -> None:
        self.step, self.method, self.code = step, step.method, code
        self.images, self.clock = images, clock
        first = next(step.method.nets.parameters())
        self.dtype, self.device = first.dtype, first.device
        self.like = torch.empty((), dtype=first.dtype, device=first.device)
        self.sizes = {
            plan.name: step.method.rows(plan.name)
            for plan in step.method.program.states if plan.kind == "queue"
        }  # fmt: skip
        counts, rank = images.counts, step.processes.rank
        self.start, self.rows, self.batch = sum(counts[:rank]), counts[rank], sum(counts)
        self.part = self._part(self.start, self.rows)
        self.permuted: dict[str, tuple[Tensor, Sizes, NDArray[np.int64]]] = {}
        self.drawing = step.method.drawing(int(clock.step), self.batch)
        self.mixed = self._all_images()
        self.fetched = self._fetch()

    def _part(self, start: int, rows: int) -> Part:
        return Part(self.step.processes, self.images.counts, start, rows, self.like, self.sizes)

    def parts(self) -> list[Part]:
        """The micro-batches.

        Where the processes make nets whole together, all have as many, some without rows.
        """
        rows = max(self.images.counts) if self.step.together else self.rows
        if self.step.micro_batch is None or rows <= self.step.micro_batch:
            return [self.part]
        parts = -(-rows // self.step.micro_batch)
        found, start = [], self.start
        for rows in shares(self.rows, parts, self.step.unit):
            found.append(self._part(start, rows))
            start += rows
        return found

    def result(self) -> StepResult:
        parts, most = self.parts(), max(self.images.counts)
        # All processes take the same way, or their messages would not meet.
        if self.step.micro_batch is None or most <= self.step.micro_batch:
            return self._at_once(parts[0])
        if self.code.loss is not None:
            return self._accumulated(parts)
        return self._cached(parts)

    # --- three ways to the same gradients ------------------------------------------------

    def _at_once(self, part: Part) -> StepResult:
        with self.step.precision():
            embeddings = [v for stage in self.code.stages for v in self._embed(stage, part)]
            result = self._rest(self.code.rest, embeddings)
        self.step.last_backward(self.code)
        torch.autograd.backward(result.loss)
        return result

    def _accumulated(self, parts: list[Part]) -> StepResult:
        """The gradients of embeddings are known beforehand: each part goes back at once."""
        assert self.code.loss is not None
        found: list[list[list[Tensor]]] = [[] for _ in self.code.stages]
        gradients = self._gradients(self.code.loss, [self._zeros(e) for e in self.code.takes])
        for part in parts:
            at = 0
            pairs: Pairs = []
            for number, stage in enumerate(self.code.stages):
                with self.step.precision():
                    values = self._embed(stage, part)
                found[number].append([v.detach() for v in values])
                mine = gradients[at : at + len(values)]
                pairs += zip(values, self._cut(stage, part, mine), strict=True)
                at += len(values)
            if part is parts[-1]:
                self.step.last_backward(self.code)
            _backward(pairs)
        with torch.no_grad(), self.step.precision():
            return self._rest(self.code.rest, self._together(found))

    def _cached(self, parts: list[Part]) -> StepResult:
        """All embeddings first; their gradients from the rest; then backward part by part."""
        with torch.no_grad(), self.step.precision():
            found = [[self._embed(stage, part) for part in parts] for stage in self.code.stages]
        leaves = [_leaf(value) for value in self._together(found)]
        del found
        with self.step.precision():
            result = self._rest(self.code.rest, leaves)
        torch.autograd.backward(result.loss)
        gradients = [leaf.grad for leaf in leaves]
        del leaves
        kept = recorded_statistics(self.method.nets)  # those of the first pass count
        for part in parts:
            at = 0
            pairs: Pairs = []
            for stage in self.code.stages:
                mine = gradients[at : at + len(stage.gives)]
                at += len(stage.gives)
                if all(g is None for g in mine):
                    continue
                with self.step.precision():
                    values = self._embed(stage, part)
                pairs += zip(values, self._cut(stage, part, mine), strict=True)
            if part is parts[-1]:
                self.step.last_backward(self.code)
            _backward(pairs)
        restore_statistics(self.method.nets, kept)
        return result

    def _gradients(self, loss: Emitted, embeddings: list[Tensor]) -> list[Tensor | None]:
        leaves = [_leaf(value) for value in embeddings]
        kept = recorded_statistics(self.method.nets)  # those of the embeddings themselves count
        with self.step.precision():
            torch.autograd.backward(self._run(loss, leaves)["loss"])
        restore_statistics(self.method.nets, kept)
        return [leaf.grad for leaf in leaves]

    def _zeros(self, of: Embedded) -> Tensor:
        """Something of the shape that this process's rows give."""
        sizes = [self._size(s) for s in of.shape]
        if of.outer:
            sizes[0] = of.outer * of.inner * self.rows
        return torch.zeros(sizes, dtype=self.dtype, device=self.device)

    def _size(self, size: Size) -> int:
        if not isinstance(size, Dim):
            return size
        return size.at({**self.method.dims, **self.sizes, "batch": self.batch})

    def _fetch(self) -> tuple[Tensor, ...]:
        """The rows of shared states for this process's images, or for all alike."""
        if self.code.fetch is None:
            return ()
        with torch.no_grad(), self.step.precision():
            arguments = self._arguments(self.code.fetch, self.part, {})
            fetched: tuple[Tensor, ...] = self.code.fetch.module(*arguments)
        return fetched

    def _fetched(self, part: Part) -> dict[str, Any]:
        """Of what was fetched, what a part takes, by name."""
        within = self._within(part)
        return {
            f.name: within.cut(rows, f.outer, f.inner) if f.outer else rows
            for f, rows in zip(self.code.fetched, self.fetched, strict=True)
        }

    def _together(self, found: list[list[list[Tensor]]]) -> list[Tensor]:
        """Of each embedding, what the parts found, put together: [stage][part][value]."""
        whole: list[Tensor] = []
        for stage, parts in zip(self.code.stages, found, strict=True):
            for at, given in enumerate(stage.gives):
                values = [part[at] for part in parts]
                if given.outer:
                    whole.append(joined(values, given.outer))
                else:
                    whole.append(torch.stack(values).sum(0))
        return whole

    def _cut(
        self, stage: Stage, part: Part, gradients: Sequence[Tensor | None]
    ) -> list[Tensor | None]:
        """Of the gradients of this process's rows, those of a part."""
        within = self._within(part)
        return [
            g if g is None or not e.outer else within.cut(g, e.outer, e.inner)
            for e, g in zip(stage.gives, gradients, strict=True)
        ]

    def _within(self, part: Part) -> Part:
        """A part as one of this process's rows rather than of the batch."""
        return replace(part, counts=(self.rows,), start=part.start - self.start)

    # --- forward -------------------------------------------------------------------------

    def _embed(self, stage: Stage, part: Part) -> list[Tensor]:
        """The embeddings of a part's images, in the order of the stage."""
        dtype = self.dtype
        with torch.autocast(self.device.type, enabled=False):
            views = [v.to(dtype) for v in self._views(stage, part)]
        if self.step.channels_last:
            views = [
                v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v
                for v in views
            ]
        given = dict(zip(stage.step.views, views, strict=True))
        arguments = self._arguments(stage.step, part, given | self._fetched(part))
        values: tuple[Tensor, ...] = self.step.call(stage.step)(*arguments)
        return list(values)

    def _views(self, stage: Stage, part: Part) -> tuple[Tensor, ...]:
        """The views of the images that stand in a part's rows.

        Where images are mixed with others, those are made too, by their own draws.
        """
        code = stage.views
        drawing = self.drawing
        pixels, sizes, own = self._images(stage, part)
        rows = drawing.closure(code.draws, own)
        if len(rows) > len(own):
            pixels, sizes = self._of_batch(rows)
        made: tuple[Tensor, ...] = code.module(pixels, sizes, *drawing.all(code.draws, rows))
        if len(rows) == len(own):
            return made
        return tuple(view[: len(view) // len(rows) * len(own)] for view in made)

    def _of_batch(self, rows: NDArray[np.int64]) -> tuple[Tensor, Sizes]:
        """Pixels and sizes of any images of the batch."""
        pixels, sizes = (
            (self.images.pixels, self.images.sizes) if self.mixed is None else self.mixed
        )
        return pixels[torch.from_numpy(rows).to(pixels.device)], sizes[rows]

    def _all_images(self) -> tuple[Tensor, Sizes] | None:
        """The images of all processes, where some are mixed with those of others."""
        mixing = any(d.mixes for stage in self.code.stages for d in stage.views.draws)
        processes, images = self.step.processes, self.images
        if processes.alone or not mixing:
            return None
        pixels = processes.gather(self._padded(), images.counts)
        sizes = torch.from_numpy(np.ascontiguousarray(images.sizes)).to(pixels.device)
        return pixels, processes.gather(sizes, images.counts).cpu().numpy()

    def _padded(self) -> Tensor:
        """The pixels of this process's images, on a canvas of the size that all have."""
        pixels = self.images.pixels
        height, width = self.step.processes.largest(*pixels.shape[-2:])
        more = (0, width - pixels.shape[-1], 0, height - pixels.shape[-2])
        return torch.nn.functional.pad(pixels, more)

    def _images(self, stage: Stage, part: Part) -> tuple[Tensor, Sizes, NDArray[np.int64]]:
        """Pixels, sizes and places in the batch of the images that stand in a part's rows."""
        at = slice(part.start - self.start, part.start - self.start + part.rows)
        if stage.site is None:
            ids = np.arange(part.start, part.start + part.rows)
            return self.images.pixels[at], self.images.sizes[at], ids
        if stage.site not in self.permuted:
            self.permuted[stage.site] = self._permuted(stage.site)
        pixels, sizes, ids = self.permuted[stage.site]
        return pixels[at], sizes[at], ids[at]

    def _permuted(self, site: str) -> tuple[Tensor, Sizes, NDArray[np.int64]]:
        """The images that stand in this process's rows after a permutation of the batch."""
        key = self.method.key(site)
        order = draws.permutation(key, int(self.clock.step), self.batch)
        ids = order[self.start : self.start + self.rows]
        if self.step.processes.alone:
            taken = torch.from_numpy(ids).to(self.images.pixels.device)
            return self.images.pixels[taken], self.images.sizes[ids], ids
        pixels = self.step.processes.exchange(self._padded(), order, self.images.counts)
        sizes = self.step.processes.exchange(
            torch.from_numpy(np.ascontiguousarray(self.images.sizes)).to(pixels.device),
            order, self.images.counts,
        )  # fmt: skip
        return pixels, sizes.cpu().numpy(), ids

    def _rest(self, code: Emitted, embeddings: list[Tensor]) -> StepResult:
        results = self._run(code, embeddings)
        return StepResult(results["loss"], results.get("embedding"), results["writes"])

    def _run(self, code: Emitted, embeddings: list[Tensor]) -> dict[str, Any]:
        named = {e.name: v for e, v in zip(self.code.takes, embeddings, strict=True)}
        named |= self._fetched(self.part)
        results: dict[str, Any] = code.module(*self._arguments(code, self.part, named))
        return results

    def _arguments(self, code: Emitted, part: Part, found: dict[str, Any]) -> list[Any]:
        """What the code takes, as it lists it."""
        found |= {"part": part}
        step, method = int(self.clock.step), self.method
        at = slice(part.start, part.start + part.rows)
        mine = slice(part.start - self.start, part.start - self.start + part.rows)
        for parameter, name in code.inputs:
            found[parameter] = self.images.inputs[name].to(self.device)[mine]
        for draw in code.values:
            number = drawn_value(draw, self.drawing, method.dims)
            if draw.per == "row" and not draw.whole:
                number = number[at]
            drawn = torch.from_numpy(np.ascontiguousarray(number))
            dtype = self.dtype if drawn.is_floating_point() else drawn.dtype
            found[draw.parameter] = drawn.to(self.device, dtype, non_blocking=True)
        for parameter, site in code.permutations:
            order = draws.permutation(method.key(site), step, self.batch)
            found[parameter] = torch.from_numpy(order).to(self.device, non_blocking=True)
        for parameter, name in code.states:
            found[parameter] = method.state(name)
        for parameter, schedule in code.schedules:
            value = value_at(schedule, self.clock)
            found[parameter] = torch.tensor(value, dtype=self.dtype, device=self.device)
        names = [n.target for n in code.module.graph.nodes if n.op == "placeholder"]
        return [found[str(name)] for name in names]


def _leaf(value: Tensor) -> Tensor:
    value = value.detach()
    return value.requires_grad_() if value.is_floating_point() else value


def _backward(pairs: Sequence[tuple[Tensor, Tensor | None]]) -> None:
    """Backward from the values that have a gradient."""
    due = [(v, g.to(v.dtype)) for v, g in pairs if g is not None and v.requires_grad]
    if due:
        torch.autograd.backward([v for v, _ in due], [g for _, g in due])
