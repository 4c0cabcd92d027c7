from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sslang.diagnostics import DiagnosticError
from sslang.emit import draws
from sslang.evaluate import linear


def _normal(site: str, rows: int, columns: int) -> Tensor:
    return torch.from_numpy(draws.normal(draws.stream_key(0, site), 0, rows, columns)).float()


def _problem(sort: str) -> tuple[Tensor, Tensor]:
    labels = torch.arange(400) % 5
    features = _normal("centres", 5, 16)[labels] + 2 * _normal(sort, 400, 16)
    return features * torch.logspace(-2, 2, 16) + 3, labels


@pytest.mark.parametrize("l2", [1e-1, 1e-3, 1e-5])
def test_agrees_with_sklearn(l2: float) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    train, labels = _problem("train")
    test, test_labels = _problem("test")
    scaler = StandardScaler().fit(train.double().numpy())
    reference = LogisticRegression(C=1 / (l2 * len(train)), tol=1e-9, max_iter=10_000)
    reference.fit(scaler.transform(train.double().numpy()), labels.numpy())
    probe = linear.fit(train, labels, l2=l2)
    assert probe.gradient < 1e-5
    np.testing.assert_allclose(probe.weight.numpy(), reference.coef_, atol=2e-3, rtol=1e-3)
    bias = probe.bias - probe.bias.mean()  # adding a number to every bias changes nothing
    expected = reference.intercept_ - reference.intercept_.mean()
    np.testing.assert_allclose(bias.numpy(), expected, atol=2e-3)
    hits = linear.linear_probe(train, labels, test, test_labels, l2=l2)
    predicted = reference.predict(scaler.transform(test.double().numpy()))
    assert (hits.numpy() == (predicted == test_labels.numpy())).mean() > 0.995
    assert 0.4 < hits.double().mean().item() < 0.95


def test_same_bits_twice() -> None:
    train, labels = _problem("train")
    first, second = linear.fit(train, labels), linear.fit(train, labels)
    assert torch.equal(first.weight, second.weight)
    assert first.steps == second.steps


def test_works_without_gradient_mode() -> None:
    train, labels = _problem("train")
    with torch.no_grad():
        assert linear.linear_probe(train, labels, train, labels).double().mean() > 0.5


def test_a_constant_column_is_ignored() -> None:
    train, labels = _problem("train")
    constant = torch.full((len(train), 1), 0.3)
    without, having = (linear.fit(x, labels) for x in (train, torch.cat([train, constant], 1)))
    assert having.scale[-1] == 0
    torch.testing.assert_close(having.weight[:, :-1], without.weight, atol=1e-4, rtol=1e-3)


def test_one_class_is_too_few() -> None:
    train, labels = _problem("train")
    with pytest.raises(DiagnosticError, match="E720"):
        linear.fit(train, torch.zeros_like(labels))
