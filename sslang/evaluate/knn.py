"""Weighted k-nearest-neighbour classification of frozen features.

Source: Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance
Discrimination", 2018, section 3.4: the k nearest images by cosine similarity vote with
weight exp(similarity / temperature); k = 200, temperature = 0.07 on ImageNet.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from sslang.diagnostics import Diagnostic, DiagnosticError

_SIMILARITIES_A_CHUNK = 2**24


def knn_top1(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    labels: Tensor,
    *,
    k: int,
    temperature: float,
) -> float:
    """The share of `queries` that `knn_hits` classifies rightly, in [0, 1]."""
    hits = knn_hits(bank, bank_labels, queries, labels, k=k, temperature=temperature)
    return hits.double().mean().item()


def knn_hits(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    labels: Tensor,
    *,
    k: int,
    temperature: float,
) -> Tensor:
    """Whether each query is classified rightly: bool [M], on the CPU.

    `bank` [N, D] and `queries` [M, D] are features of any length and float type; they are
    normalised here, in float32. `bank_labels` [N] and `labels` [M] are integers >= 0. Of
    equally similar images the earlier one of the bank is the nearer; of classes with equal
    votes the lower wins. Raises DiagnosticError E720 where the bank has fewer than `k` images
    or nothing is to be classified.
    """
    _check(bank, bank_labels, queries, labels, k)
    assert temperature > 0, "a temperature is positive"
    known = functional.normalize(bank.float(), dim=1)
    classes = int(bank_labels.max()) + 1
    votes_for = bank_labels.cpu()
    rows = max(1, _SIMILARITIES_A_CHUNK // len(bank))
    predicted = []
    for chunk in torch.split(queries, rows):
        similarity = functional.normalize(chunk.float(), dim=1) @ known.T
        nearest = _nearest(similarity, k)
        predicted.append(_vote(*nearest, votes_for, temperature, classes))
    return torch.cat(predicted) == labels.cpu()


def _nearest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Similarities and places [M, k] of the k nearest, by place, on the CPU.

    `topk` takes any of those that are equal to the k-th; where there is a choice, a stable
    sort takes the earlier ones.
    """
    values, places = similarity.topk(k, dim=1)
    ambiguous = (similarity >= values[:, -1:]).sum(dim=1) > k
    if ambiguous.any():
        order = similarity[ambiguous].sort(dim=1, descending=True, stable=True)
        values[ambiguous], places[ambiguous] = order.values[:, :k], order.indices[:, :k]
    values, places = values.cpu(), places.cpu()
    order_of_places = places.argsort(dim=1)
    return values.gather(1, order_of_places), places.gather(1, order_of_places)


def _vote(
    similarity: Tensor, places: Tensor, labels: Tensor, temperature: float, classes: int
) -> Tensor:
    """The class [M] with the greatest sum of weights. Computed on the CPU, in float64, where
    the order of the sums is fixed."""
    nearest = similarity.max(dim=1, keepdim=True).values
    weight = ((similarity - nearest).double() / temperature).exp()  # up to a factor a row
    votes = weight.new_zeros(len(places), classes).scatter_add_(1, labels[places], weight)
    return votes.argmax(dim=1)


def _check(bank: Tensor, bank_labels: Tensor, queries: Tensor, labels: Tensor, k: int) -> None:
    assert bank.ndim == queries.ndim == 2
    assert bank.shape[1] == queries.shape[1]
    assert bank_labels.shape == bank.shape[:1]
    assert labels.shape == queries.shape[:1]
    if not 1 <= k <= len(bank) or len(queries) == 0:
        raise DiagnosticError(
            Diagnostic(
                code="E720",
                message=f"kNN with k = {k} on {len(bank)} labelled images, {len(queries)} to test",
                hint=f"take k from 1 to {len(bank)}" if len(bank) else "the data has no labels",
            )
        )
    assert int(bank_labels.min()) >= 0, "images without a label do not belong into the bank"
