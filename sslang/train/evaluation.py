"""What a recipe's `evaluate` measures on `features`: during the run, at its start, at its end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslang.data.batches import all_images
from sslang.data.source import Source
from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.emit.views import evaluation_crop
from sslang.evaluate.bootstrap import paired_difference
from sslang.evaluate.health import effective_rank, embedding_std
from sslang.evaluate.knn import knn_hits
from sslang.evaluate.linear import linear_probe
from sslang.evaluate.sgd_probe import sgd_probe
from sslang.model.recipe import Accuracy, Knn, LinearProbe, Recipe
from sslang.processes.group import ALONE, Processes
from sslang.processes.rows import shares
from sslang.track.files import write_atomic
from sslang.track.run_folder import Result, RunFolder
from sslang.train.learner import Learner
from sslang.train.together import at_all, at_first

_BATCH = 256


_PIXELS = 32  # a side of the images whose raw pixels are compared
MOST_PIXELS = 50_000  # training images for which they are


@dataclass(frozen=True)
class Features:
    """Features of the labelled images of both splits."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


@dataclass
class Evaluator:
    """Evaluates a learner on the labelled images of a data set.

    Each process extracts the features of its share of the images, and has them all then. `watch`
    is given the features of each evaluation, at the first process.
    """

    train: Source
    test: Source
    workers: int = 0
    processes: Processes = ALONE
    watch: Callable[[Features], None] = lambda features: None

    def possible(self) -> bool:
        """Whether both splits have labelled images."""
        return _labelled(self.train) and _labelled(self.test)

    def features(self, learner: Learner) -> Features:
        return self._of_both(learner, learner.features)

    def pixels(self, learner: Learner) -> Features | None:
        """Return the images themselves as features, cut and resized to 32 pixels a side.

        They are what a method has to be better than. None where there are too many images.
        """
        if len(self.train) > MOST_PIXELS:
            return None
        return self._of_both(learner, raw_pixels)

    def _of_both(self, learner: Learner, make: Make) -> Features:
        with learner.whole():
            train, train_labels = self._collected(learner, self.train, make)
            test, test_labels = self._collected(learner, self.test, make)
        return Features(train, train_labels, test, test_labels)

    def _collected(self, learner: Learner, source: Source, make: Make) -> tuple[Tensor, Tensor]:
        """Features [N, D] and labels [N] of the labelled images, from all processes."""
        processes = self.processes
        ends = (0, *accumulate(shares(len(source), processes.count, _BATCH)))
        own = ends[processes.rank], ends[processes.rank + 1]
        found = at_all(processes, lambda: collect(learner, source, self.workers, own, make))
        count = torch.tensor([len(found[0])], device=learner.device)
        counts = processes.gather(count, [1] * processes.count).tolist()
        features, labels = (processes.gather(part, counts) for part in found)
        return features, labels


@dataclass(frozen=True)
class Evaluation:
    """What was measured at one time: hits by metric, bool [M], and the health of the features.

    `pixels` has the rates of the raw pixels by metric, where they were measured.
    """

    hits: dict[str, Tensor]
    health: dict[str, float]
    pixels: dict[str, float] = field(default_factory=dict)

    def rates(self) -> dict[str, float]:
        """Every figure by its name."""
        return {n: float(right.double().mean()) for n, right in self.hits.items()} | self.health

    def state(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return {"hits": self.hits, "health": self.health, "pixels": self.pixels}

    @staticmethod
    def load(state: dict[str, Any]) -> Evaluation:
        return Evaluation(state["hits"], state["health"], state.get("pixels", {}))

    def results(self, before: Evaluation, recipe: Recipe) -> tuple[Result, ...]:
        """Return each share of test images beside what it was `before` training."""
        return tuple(self._result(evaluation, before) for evaluation in recipe.evaluate)

    def _result(self, evaluation: Wanted, before: Evaluation) -> Result:
        name = metric_name(evaluation)
        after, initial = self.hits[name], before.hits[name]
        rate = float(after.double().mean())
        gain = paired_difference(after, initial)
        return Result(
            metric=name,
            value=rate,
            error=math.sqrt(rate * (1 - rate) / len(after)),
            initial=float(initial.double().mean()),
            gain=gain.mean,
            gain_error=gain.standard_error,
            protocol=protocol(evaluation),
            pixels=before.pixels.get(name),
        )


def evaluate_pixels(learner: Learner, evaluator: Evaluator) -> dict[str, float]:
    """Return what the neighbours of a recipe reach on the raw pixels, by metric.

    Empty where it asks for no neighbours, and where there are too many images.
    """
    wanted = [e for e in learner.recipe.evaluate if isinstance(e, Knn)]
    features = evaluator.pixels(learner) if wanted else None
    if features is None:
        return {}
    return at_first(
        evaluator.processes,
        lambda: {metric_name(e): float(hits(e, features, learner).double().mean()) for e in wanted},
    )


def evaluate(learner: Learner, evaluator: Evaluator) -> Evaluation:
    """Every evaluation of the recipe, and the spread and rank of the test features.

    All processes give features; the first evaluates them and tells the others.
    """
    features = evaluator.features(learner)
    state = at_first(evaluator.processes, lambda: _evaluated(learner, evaluator, features).state())
    return Evaluation.load(state)


def _evaluated(learner: Learner, evaluator: Evaluator, features: Features) -> Evaluation:
    evaluator.watch(features)
    found = {metric_name(e): hits(e, features, learner) for e in learner.recipe.evaluate}
    health = {
        "eval/embedding_std": float(embedding_std(features.test)),
        "eval/effective_rank": float(effective_rank(features.test)),
    }
    return Evaluation(found, health)


def write_evaluation(
    folder: RunFolder, learner: Learner, final: Evaluation, before: Evaluation, phase: str
) -> Path:
    """Protocols and, image by image, what was classified rightly: for comparisons in pairs."""
    record = {
        metric_name(e): {
            "protocol": protocol(e),
            "hits": _bits(final.hits[metric_name(e)]),
            "hits_at_init": _bits(before.hits[metric_name(e)]),
        }
        for e in learner.recipe.evaluate
    }
    path = folder.artifacts / (f"evaluation_{phase}.json" if phase else "evaluation.json")
    write_atomic(path, json.dumps(record, indent=1) + "\n")
    return path


def _bits(right: Tensor) -> str:
    return "".join("1" if r else "0" for r in right.tolist())


def _labelled(source: Source) -> bool:
    return any(source.label(i) >= 0 for i in range(len(source)))


Make = Callable[[Tensor, NDArray[np.int64]], Tensor]  # of pixels and sizes: features, a row each


def raw_pixels(pixels: Tensor, sizes: NDArray[np.int64]) -> Tensor:
    """Return the middle of each image at 32 pixels a side, [B, 3072] in 0..1."""
    return evaluation_crop(pixels, sizes, size=_PIXELS, crop=1.0).flatten(1)


def collect(
    learner: Learner, source: Source, workers: int, share: tuple[int, int], make: Make
) -> tuple[Tensor, Tensor]:
    """Features [n, D] and labels [n] of the labelled ones of images start..stop, in order."""
    features, labels = [], []
    for batch in all_images(source, _BATCH, learner.device, workers, lambda _: share):
        known = batch.label >= 0
        features.append(make(batch.pixels, batch.sizes)[known])
        labels.append(batch.label[known])
    if not features:  # a process without images: only the width must be that of the others
        image = torch.zeros((1, 3, *(source.resolution or (32, 32))), dtype=torch.uint8)
        sizes = np.array([image.shape[2:]], dtype=np.int64)
        features.append(make(image.to(learner.device), sizes)[:0])
        labels.append(torch.zeros(0, dtype=torch.int64, device=learner.device))
    return torch.cat(features), torch.cat(labels)


Wanted = Knn | LinearProbe | Accuracy


def hits(evaluation: Wanted, features: Features, learner: Learner) -> Tensor:
    """Whether each test image is classified rightly: bool [M], on the CPU.

    Raises DiagnosticError E720, with the place where the recipe asks for it.
    """
    try:
        return _hits(evaluation, features, learner.method.seed)
    except DiagnosticError as error:
        place = learner.program.spans.get("evaluate")
        raise DiagnosticError(*(replace(d, span=place) for d in error.diagnostics)) from None


def _hits(evaluation: Wanted, features: Features, seed: int) -> Tensor:
    data = (features.train, features.train_labels, features.test, features.test_labels)
    if isinstance(evaluation, Accuracy):
        return _argmax_hits(features)
    if isinstance(evaluation, Knn):
        k = min(evaluation.k, len(features.train))
        return knn_hits(*data, k=k, temperature=evaluation.temperature)
    if evaluation.lr is None:
        return linear_probe(*data, l2=evaluation.l2)
    per_epoch = max(1, len(features.train) // evaluation.batch)
    return sgd_probe(
        *data,
        lr=evaluation.lr,
        steps=round(evaluation.length.steps(per_epoch)),
        batch=evaluation.batch,
        weight_decay=evaluation.weight_decay,
        seed=seed,
    )


def _argmax_hits(features: Features) -> Tensor:
    labels = features.test_labels
    if int(labels.max()) >= features.test.shape[1]:
        message = (
            f"`accuracy` needs a feature for each class, and there are {features.test.shape[1]}"
        )
        raise DiagnosticError(
            Diagnostic("E720", message, hint="let `features` be the classifier's output")
        )
    return (features.test.argmax(1) == labels).cpu()


def metric_name(evaluation: Wanted) -> str:
    return _METRICS[type(evaluation)]


_METRICS = {Knn: "eval/knn_top1", LinearProbe: "eval/linear_top1", Accuracy: "eval/accuracy"}


def protocol(evaluation: Wanted) -> str:
    """The protocol in words, for the record of the run."""
    if isinstance(evaluation, Accuracy):
        return "the largest feature is the class"
    if isinstance(evaluation, Knn):
        return f"weighted kNN, k = {evaluation.k}, temperature = {evaluation.temperature:g}"
    if evaluation.lr is None:
        return f"logistic regression on standardised features, l2 = {evaluation.l2:g}"
    return f"SGD, lr = {evaluation.lr:g}, {evaluation.length}, batch {evaluation.batch}"
