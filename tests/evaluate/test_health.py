from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sslang.emit import draws
from sslang.evaluate.health import effective_rank, embedding_std


def _normal(rows: int, columns: int) -> Tensor:
    return torch.from_numpy(draws.normal(draws.stream_key(0, "health"), 0, rows, columns)).float()


def test_spread_directions_have_std_one() -> None:
    assert embedding_std(_normal(4000, 64)).item() == pytest.approx(1.0, abs=0.01)
    assert embedding_std(_normal(4000, 64) * 1e3).item() == pytest.approx(1.0, abs=0.01)


def test_collapsed_directions_have_std_zero() -> None:
    same = _normal(1, 64) * torch.linspace(1, 9, 32)[:, None]
    assert embedding_std(same).item() == pytest.approx(0.0, abs=1e-5)
    assert embedding_std(_normal(1, 64)).item() == 0


def test_rank_counts_directions() -> None:
    assert effective_rank(torch.eye(8)).item() == pytest.approx(8, rel=1e-5)
    basis = torch.eye(16)[:5]
    rows = basis.repeat(20, 1)
    assert effective_rank(rows).item() == pytest.approx(5, rel=1e-4)
    assert effective_rank(torch.ones(32, 16)).item() == pytest.approx(1, rel=1e-3)


def test_rank_is_the_formula_in_float64() -> None:
    rows = _normal(50, 20) * torch.logspace(0, -3, 20)
    singular = np.linalg.svd(rows.double().numpy(), compute_uv=False)
    share = singular / singular.sum()
    expected = math.exp(-(share * np.log(share)).sum())
    assert effective_rank(rows).item() == pytest.approx(expected, rel=1e-4)


def test_odd_embeddings() -> None:
    assert effective_rank(torch.zeros(4, 4)).item() == 1
    assert math.isnan(effective_rank(torch.full((4, 4), math.inf)).item())
    half = _normal(32, 8).bfloat16().requires_grad_()
    assert embedding_std(half).dtype == effective_rank(half).dtype == torch.float32
    assert not effective_rank(half).requires_grad
