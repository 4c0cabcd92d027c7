"""What a recipe's `evaluate` measures on `features`: during the run, at its start, at its end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sslang.data.batches import all_images
from sslang.data.source import Source
from sslang.evaluate.knn import knn_hits
from sslang.evaluate.linear import linear_probe
from sslang.evaluate.sgd_probe import sgd_probe
from sslang.model.recipe import Knn, LinearProbe
from sslang.train.learner import Learner

_BATCH = 256


@dataclass(frozen=True)
class Features:
    """Features of the labelled images of both splits."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


@dataclass
class Evaluator:
    """Evaluates a learner on the labelled images of a data set."""

    train: Source
    test: Source
    workers: int = 0

    def possible(self) -> bool:
        """Whether both splits have labelled images."""
        return _labelled(self.train) and _labelled(self.test)

    def features(self, learner: Learner) -> Features:
        train, train_labels = collect(learner, self.train, self.workers)
        test, test_labels = collect(learner, self.test, self.workers)
        return Features(train, train_labels, test, test_labels)


def _labelled(source: Source) -> bool:
    return any(source.label(i) >= 0 for i in range(len(source)))


def collect(learner: Learner, source: Source, workers: int) -> tuple[Tensor, Tensor]:
    """Features [N, D] and labels [N] of the labelled images of a source, in their order."""
    found, labels = [], []
    for batch in all_images(source, _BATCH, learner.device, workers):
        features = learner.features(batch.pixels, batch.sizes)
        known = batch.label >= 0
        found.append(features[known])
        labels.append(batch.label[known])
    return torch.cat(found), torch.cat(labels)


def hits(evaluation: Knn | LinearProbe, features: Features, seed: int) -> Tensor:
    """Whether each test image is classified rightly: bool [M], on the CPU."""
    data = (features.train, features.train_labels, features.test, features.test_labels)
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


def metric_name(evaluation: Knn | LinearProbe) -> str:
    return "eval/knn_top1" if isinstance(evaluation, Knn) else "eval/linear_top1"


def protocol(evaluation: Knn | LinearProbe) -> str:
    """The protocol in words, for the record of the run."""
    if isinstance(evaluation, Knn):
        return f"weighted kNN, k = {evaluation.k}, temperature = {evaluation.temperature:g}"
    if evaluation.lr is None:
        return f"logistic regression on standardised features, l2 = {evaluation.l2:g}"
    return f"SGD, lr = {evaluation.lr:g}, {evaluation.length}, batch {evaluation.batch}"
