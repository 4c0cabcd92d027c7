"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from sslang.data.batches import Batch, Batches
from sslang.diagnostics import DiagnosticError
from sslang.evaluate.health import effective_rank, embedding_std
from sslang.model.recipe import Knn
from sslang.processes.group import Processes
from sslang.train.evaluation import Evaluator, hits
from sslang.train.finite import LossWatch
from sslang.train.first_loss import first_loss
from sslang.train.learner import Learner, StepReport
from sslang.train.memory import explaining_memory
from sslang.train.out_of_range import naming_index
from sslang.train.skips import Skips
from sslang.train.together import at_first, attempt, ended_elsewhere

LOG_EVERY = 10


class Log(Protocol):
    """Where measurements go."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...


class Display(Protocol):
    """Who watches."""

    def advance(self, step: int, total: int, metrics: Mapping[str, float]) -> None: ...

    def say(self, text: str) -> None: ...


@dataclass
class Interval:
    """The loss summed since the last line of the log; saved with the run, so that a resumed
    run logs the same numbers."""

    total: Tensor | None = None
    steps: int = 0
    images: int = 0
    began: float = field(default_factory=time.perf_counter)
    waited: float = 0.0

    def add(self, loss: Tensor, images: int) -> None:
        loss = loss.double()
        self.total = loss if self.total is None else self.total + loss
        self.steps += 1
        self.images += images

    def state(self) -> dict[str, Any]:
        total = None if self.total is None else float(self.total)
        return {"total": total, "steps": self.steps, "images": self.images}

    def load(self, state: Mapping[str, Any], device: torch.device) -> None:
        total = state["total"]
        self.total = (
            None if total is None else torch.tensor(total, dtype=torch.float64, device=device)
        )
        self.steps, self.images = state["steps"], state["images"]


class Stopper(Protocol):
    """Says when to stop, and when to save on the way."""

    signal: int | None

    def save_due(self) -> bool: ...

    def saved(self) -> None: ...


class Saver(Protocol):
    """Takes checkpoints, of which one may be on its way to the disk."""

    @property
    def busy(self) -> bool: ...

    def check(self) -> None:
        """Raise what the last one failed with."""
        ...

    def wait(self) -> None:
        """Back when the last one is on the disk. Raises as `check`."""
        ...

    def save(self, interval: Interval) -> None:
        """Called by all processes at once."""
        ...


class WentWrongError(Exception):
    """The loss of `step` (from 0) is no number. Internal: users see E703."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss of step {step} is not a number")
        self.step = step


@dataclass
class Loop:
    """Steps to the end of the recipe, or to where the user or the system stops them.

    After each step the processes agree, in one message of numbers, on what comes next.
    """

    processes: Processes
    learner: Learner
    batches: Batches
    log: Log
    display: Display
    stopper: Stopper
    saver: Saver
    evaluator: Evaluator | None
    interval: Interval
    skips: Skips
    _failure: DiagnosticError | None = None  # of this process, until all know

    def run(self) -> bool:
        """False where the run was stopped before its end.

        Raises WentWrongError at all processes where the loss is no number, and DiagnosticError:
        its own at the process where something failed, E721 at the others.
        """
        learner, watch = self.learner, LossWatch()
        batch = self._next()
        self._agree(0)
        while True:
            assert batch is not None, "a failure to read one was raised"
            number = learner.step
            with naming_index(learner), explaining_memory(learner, batch, self.processes):
                report = learner.train_step(
                    batch.pixels,
                    batch.sizes,
                    index=batch.index,
                    label=batch.label,
                    batch=batch.rows,
                )
            self.interval.add(report.loss, batch.rows)
            done = learner.step == learner.total_steps
            due = done or learner.step % LOG_EVERY == 0
            watch.note(number, report.loss)
            bad = watch.bad(wait=due)
            if not bad:
                self._measure(report, batch, due)
            batch = None if done or bad else self._next()
            stop, saving = self._agree(bad)
            if stop or done or saving:
                self._save(watch)
            if stop or done:
                return bool(done)

    def _next(self) -> Batch | None:
        """The next batch; None where it cannot be had, which all are told in `_agree`."""
        found = self._attempt(lambda: next(self.batches))
        return None if found is None else found[0]

    def _attempt(self, work: Callable[[], Any]) -> tuple[Any] | None:
        found, error = attempt(work)
        self._failure = self._failure or error
        return found

    def _agree(self, bad: int) -> tuple[bool, bool]:
        """Whether to stop and whether to save; raises at all where something failed at one."""
        first, saver, stopper = self.processes.is_first, self.saver, self.stopper
        self._attempt(saver.check)
        due = first and stopper.save_due() and not saver.busy
        failed = 0 if self._failure is None else 1 + self.processes.rank
        signal, due_, bad, failed, skipped = self.processes.largest(
            stopper.signal or 0, int(due), bad, failed, int(self.skips.new)
        )
        if bad:
            raise WentWrongError(bad - 1)
        if failed:
            raise self._failure or ended_elsewhere(failed - 1, self.processes.count)
        if skipped:
            self.skips.share()
        stopper.signal = signal or None
        return bool(signal), bool(due_)

    def _save(self, watch: LossWatch) -> None:
        """No checkpoint of a run that has gone wrong."""
        self._attempt(self.saver.wait)
        lost = not all_finite(self.learner)
        mine = 0 if self._failure is None else 1 + self.processes.rank
        bad, failed = self.processes.largest(watch.bad(wait=True) or self.learner.step * lost, mine)
        if bad:
            raise WentWrongError(bad - 1)
        if failed:
            raise self._failure or ended_elsewhere(failed - 1, self.processes.count)
        self.saver.save(self.interval)
        self.stopper.saved()

    def _measure(self, report: StepReport, batch: Batch, due: bool) -> None:
        """The lines of the log that this step brings."""
        learner, log = self.learner, self.log
        if learner.step == 1:
            metrics, text = first_loss(learner, float(report.loss), batch.rows)
            if text:
                self._attempt(lambda: log.log(0, metrics))
                self._attempt(lambda: self.display.say(text))
        if due:
            line = measured(learner, self.batches, report, self.interval, self.processes)
            self._attempt(lambda: log.log(learner.step, line))
            self._attempt(lambda: self.display.advance(learner.step, learner.total_steps, line))
            self.interval = Interval(waited=self.batches.wait_seconds)
        if self.evaluator is not None and learner.step < learner.total_steps:
            self._evaluate(self.evaluator)

    def _evaluate(self, evaluator: Evaluator) -> None:
        """The kNN of a recipe that asks for one every so often."""
        learner = self.learner
        for evaluation in learner.recipe.evaluate:
            if not isinstance(evaluation, Knn) or evaluation.every is None:
                continue
            every = max(1, round(evaluation.every.steps(learner.steps_per_epoch)))
            if learner.step % every == 0:
                self._knn(evaluator, evaluation)

    def _knn(self, evaluator: Evaluator, evaluation: Knn) -> None:
        learner = self.learner
        features = evaluator.features(learner)

        def measured() -> float:
            evaluator.watch(features)
            return float(hits(evaluation, features, learner).double().mean())

        rate = at_first(self.processes, measured)
        self._attempt(lambda: self.log.log(learner.step, {"eval/knn_top1": rate}))


def all_finite(learner: Learner) -> bool:
    """Whether every trained parameter is a number: a loss that is one may have spoilt them."""
    parameters = [p.detach() for p in learner.own]
    return bool(torch.stack([p.isfinite().all() for p in parameters]).all())


def measured(
    learner: Learner,
    batches: Batches,
    report: StepReport,
    interval: Interval,
    processes: Processes,
) -> dict[str, float]:
    """The metrics of a line: loss over the interval, health of the last embedding, rates, time.

    Called by all processes, for the embedding is gathered; the first has its health.
    """
    assert interval.total is not None
    seconds = max(1e-9, time.perf_counter() - interval.began)
    metrics = {
        "train/loss": float(interval.total) / interval.steps,
        "train/epoch": learner.step / learner.steps_per_epoch,
    }
    metrics |= {f"train/{name}": value for name, value in report.scheduled.items()}
    embedding = report.embedding
    if embedding is not None:
        if report.counts is not None:
            embedding = processes.gather(embedding, report.counts)
        if processes.is_first and math.isfinite(metrics["train/loss"]):
            metrics["health/embedding_std"] = float(embedding_std(embedding))
            metrics["health/effective_rank"] = float(effective_rank(embedding))
    metrics["time/images_per_second"] = interval.images / seconds
    metrics["time/wait_share"] = (batches.wait_seconds - interval.waited) / seconds
    return metrics
