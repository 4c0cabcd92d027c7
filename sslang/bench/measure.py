"""Interleaved measurements: in every round each contestant takes one step, in turn."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from sslang.bench.handwritten import handwritten
from sslang.data.batches import Batches
from sslang.ir.program import Program
from sslang.train.learner import Learner
from sslang.train.options import RunOptions
from sslang.train.run import prepare

WARM_UP = 3


@dataclass(frozen=True)
class Row:
    """One contestant: median seconds a step, images a second, and our time over its time."""

    name: str
    seconds: float
    images_per_second: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Report:
    """The table, with what is only ours to know."""

    rows: tuple[Row, ...]
    views_share: float
    wait_share: float
    peak_memory_mb: float
    rounds: int
    threads: int
    device: str


def measure(program: Program, options: RunOptions, rounds: int) -> Report:
    """`rounds` interleaved steps of each contestant. Raises DiagnosticError."""
    data, learner = prepare(program, options)
    _, bare = prepare(program, options)  # the same options, nets and precision
    with Batches(
        data.train, learner.recipe.batch, last_batch=learner.recipe.last_batch,
        seed=options.seed, phase=program.phase, device=learner.device, workers=options.workers,
    ) as batches:  # fmt: skip
        contestants = _contestants(program, learner, bare, batches)
        times: dict[str, list[float]] = {name: [] for name in contestants}
        waited = 0.0
        for number in range(WARM_UP + rounds):
            before = batches.wait_seconds
            for name, step in contestants.items():
                seconds = _timed(step, learner.device)
                if number >= WARM_UP:
                    times[name].append(seconds)
            if number >= WARM_UP:
                waited += batches.wait_seconds - before
        views = _views_seconds(learner, batches)
    own = statistics.median(times["sslang"])
    return Report(
        tuple(_row(name, times, learner.recipe.batch) for name in times),
        views_share=views / own,
        wait_share=waited / sum(times["sslang"]),
        peak_memory_mb=_peak_memory(learner.device),
        rounds=rounds,
        threads=torch.get_num_threads(),
        device=str(learner.device),
    )


def _contestants(
    program: Program, learner: Learner, bare: Learner, batches: Batches
) -> dict[str, Callable[[], object]]:
    first = next(batches)

    def own() -> object:
        batch = next(batches)
        return learner.train_step(batch.pixels, batch.sizes, index=batch.index, label=batch.label)

    found: dict[str, Callable[[], object]] = {"sslang": own}
    rival = handwritten(program, learner.device)
    if rival is not None:
        found["hand-written, kornia on the batch"] = lambda: rival(first.pixels)
    views = learner.views(first.pixels, first.sizes)
    inputs = {"index": first.index, "label": first.label}

    def alone() -> object:
        with bare.precision():
            result = bare.method(views, bare.clock, inputs)
        result.loss.backward()
        bare.optimizer.step()
        bare.optimizer.zero_grad(set_to_none=True)
        bare.method.discard()
        return result

    found["forward, backward, optimizer on ready views"] = alone
    return found


def _timed(step: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _views_seconds(learner: Learner, batches: Batches) -> float:
    batch = next(batches)
    times = [
        _timed(lambda: learner.views(batch.pixels, batch.sizes), learner.device) for _ in range(9)
    ]
    return statistics.median(times)


def _row(name: str, times: dict[str, list[float]], batch: int) -> Row:
    own = times["sslang"]
    ratios = sorted(a / b for a, b in zip(own, times[name], strict=True))
    seconds = statistics.median(times[name])
    return Row(name, seconds, batch / seconds, statistics.median(ratios), ratios[len(ratios) // 10],
               ratios[-1 - len(ratios) // 10])  # fmt: skip


def _peak_memory(device: torch.device) -> float:
    """Of the device where it counts its own, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
