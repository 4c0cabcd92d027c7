from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sslang.diagnostics import DiagnosticError
from sslang.emit import draws
from sslang.evaluate import knn


def _normal(site: str, rows: int, columns: int) -> Tensor:
    return torch.from_numpy(draws.normal(draws.stream_key(0, site), 0, rows, columns)).float()


def _problem() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    labels = torch.arange(300) % 7
    centres = _normal("centres", 7, 12)
    bank = centres[labels] + 2 * _normal("bank", 300, 12)
    queries = centres[labels[:111]] + 2 * _normal("queries", 111, 12)
    return bank, labels, queries, labels[:111]


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (20, 0.07), (50, 1.0), (300, 0.2)])
def test_agrees_with_sklearn(k: int, temperature: float) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    bank, bank_labels, queries, labels = _problem()
    reference = KNeighborsClassifier(
        n_neighbors=k,
        metric="cosine",
        algorithm="brute",
        weights=lambda distance: np.exp((1 - distance) / temperature),
    )
    reference.fit(bank.numpy(), bank_labels.numpy())
    expected = reference.predict(queries.numpy()) == labels.numpy()
    hits = knn.knn_hits(bank, bank_labels, queries, labels, k=k, temperature=temperature)
    assert hits.dtype == torch.bool
    assert np.array_equal(hits.numpy(), expected)
    top1 = knn.knn_top1(bank, bank_labels, queries, labels, k=k, temperature=temperature)
    assert top1 == pytest.approx(expected.mean())
    assert 0.2 < top1 < 0.95


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = knn.knn_hits(*_problem(), k=20, temperature=0.07)
    monkeypatch.setattr(knn, "_SIMILARITIES_A_CHUNK", 1000)
    assert torch.equal(whole, knn.knn_hits(*_problem(), k=20, temperature=0.07))


def test_a_small_temperature_is_the_nearest_neighbour() -> None:
    cold = knn.knn_hits(*_problem(), k=20, temperature=1e-4)
    assert torch.equal(cold, knn.knn_hits(*_problem(), k=1, temperature=1.0))


def test_ties_go_to_the_earlier_image_and_the_lower_class() -> None:
    same = torch.ones(6, 3)
    query = torch.ones(1, 3)
    for labels, k, winner in (
        ([2, 1, 1, 0, 0, 0], 1, 2),  # the first image of six equal ones
        ([2, 1, 1, 0, 0, 0], 3, 1),  # the first three
        ([2, 2, 1, 1, 0, 0], 4, 1),  # classes 1 and 2 have two votes each
    ):
        hits = knn.knn_hits(
            same, torch.tensor(labels), query, torch.tensor([winner]), k=k, temperature=0.07
        )
        assert hits.tolist() == [True], (labels, k)


def test_labels_beyond_those_of_the_bank_are_misses() -> None:
    bank, bank_labels, queries, labels = _problem()
    hits = knn.knn_hits(bank, bank_labels, queries, labels + 100, k=5, temperature=0.1)
    assert not hits.any()


@pytest.mark.parametrize("k", [0, 301])
def test_too_few_images(k: int) -> None:
    with pytest.raises(DiagnosticError, match="E720"):
        knn.knn_hits(*_problem(), k=k, temperature=0.07)
