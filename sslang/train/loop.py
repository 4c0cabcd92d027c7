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
from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.evaluate.health import effective_rank, embedding_std
from sslang.model.recipe import Knn
from sslang.train.evaluation import Evaluator, hits
from sslang.train.first_loss import first_loss
from sslang.train.learner import Learner, StepReport

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

    def wanted(self) -> bool: ...

    def save_due(self) -> bool: ...


def train(
    learner: Learner,
    batches: Batches,
    log: Log,
    display: Display,
    stopper: Stopper,
    save: Callable[[Interval], None],
    evaluator: Evaluator | None,
    interval: Interval,
) -> bool:
    """Run to the end of the recipe; False where the user or the system stopped it before.

    Raises DiagnosticError E703 where the loss is not a number.
    """
    while learner.step < learner.total_steps:
        batch = next(batches)
        report = learner.train_step(batch.pixels, batch.sizes, index=batch.index, label=batch.label)
        interval.add(report.loss, len(batch.pixels))
        if learner.step == 1:
            metrics, text = first_loss(learner, float(report.loss), len(batch.pixels))
            if text:
                log.log(0, metrics)
                display.say(text)
        done = bool(learner.step == learner.total_steps)
        if learner.step % LOG_EVERY == 0 or done:
            metrics = measured(learner, batches, report, interval)
            refuse_nan(learner, metrics["train/loss"], batch)
            log.log(learner.step, metrics)
            display.advance(learner.step, learner.total_steps, metrics)
            interval = Interval(waited=batches.wait_seconds)
        if not done and evaluator is not None:
            evaluate_if_due(learner, evaluator, log)
        stopped = stopper.wanted()
        if stopped or done or stopper.save_due():
            if interval.total is not None:  # no checkpoint of a run that has gone wrong
                refuse_nan(learner, float(interval.total), batch)
            save(interval)
        if stopped:
            return done
    return True


def measured(
    learner: Learner, batches: Batches, report: StepReport, interval: Interval
) -> dict[str, float]:
    """The metrics of a line: loss over the interval, health of the last embedding, rates, time."""
    assert interval.total is not None
    seconds = max(1e-9, time.perf_counter() - interval.began)
    metrics = {
        "train/loss": float(interval.total) / interval.steps,
        "train/epoch": learner.step / learner.steps_per_epoch,
    }
    metrics |= {f"train/{name}": value for name, value in report.scheduled.items()}
    if report.embedding is not None and math.isfinite(metrics["train/loss"]):
        metrics["health/embedding_std"] = float(embedding_std(report.embedding))
        metrics["health/effective_rank"] = float(effective_rank(report.embedding))
    metrics["time/images_per_second"] = interval.images / seconds
    metrics["time/wait_share"] = (batches.wait_seconds - interval.waited) / seconds
    return metrics


def refuse_nan(learner: Learner, loss: float, batch: Batch) -> None:
    """Stop where training has gone wrong, rather than train on."""
    if math.isfinite(loss):
        return
    first = batch.index[:8].tolist()
    raise DiagnosticError(
        Diagnostic(
            "E703",
            f"the loss was {loss} within the {LOG_EVERY} steps before step {learner.step}",
            learner.program.spans.get("loss"),
            hint="a lower learning rate or a longer warm-up mostly helps; the batch began with "
            f"images {first}; the last checkpoint is from before it",
        )
    )


def evaluate_if_due(learner: Learner, evaluator: Evaluator, log: Log) -> None:
    """The kNN of a recipe that asks for one every so often."""
    for evaluation in learner.recipe.evaluate:
        if not isinstance(evaluation, Knn) or evaluation.every is None:
            continue
        every = max(1, round(evaluation.every.steps(learner.steps_per_epoch)))
        if learner.step % every == 0:
            right = hits(evaluation, evaluator.features(learner), learner.method.seed)
            log.log(learner.step, {"eval/knn_top1": float(right.double().mean())})
