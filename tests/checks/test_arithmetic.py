"""The primitives in NumPy, beside what a run computes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch

from sslang.checks.arithmetic import OPS, cost
from sslang.ops import PRIMITIVES

DRAWN = np.random.default_rng(1)
X = DRAWN.standard_normal((4, 6))
Y = DRAWN.standard_normal((4, 6))
POSITIVE = np.abs(X) + 0.1
MASK = np.array([[True, True, False, True, False, True]] * 4)
SQUARE = X @ X.T + 4 * np.eye(4)
PLACES = np.array([3, 0, 2, 5])

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("add", (X, Y), {}), ("subtract", (X, 1.5), {}), ("multiply", (X, Y), {}),
    ("divide", (X, POSITIVE), {}), ("power", (POSITIVE, 2.0), {}), ("negative", (X,), {}),
    ("equal", (MASK, MASK), {}), ("less", (X, Y), {}), ("greater_equal", (X, 0.0), {}),
    ("logical_not", (MASK,), {}), ("exp", (X,), {}), ("log", (POSITIVE,), {}),
    ("sqrt", (POSITIVE,), {}), ("abs", (X,), {}), ("maximum", (X, 0.2), {}),
    ("minimum", (X, Y), {}), ("where", (MASK, X, 0.0), {}), ("stop_grad", (X,), {}),
    ("sum", (X,), {"axis": None, "keep": False}), ("sum", (X, MASK), {"axis": 1, "keep": True}),
    ("mean", (X,), {"axis": 0, "keep": False}), ("mean", (X, MASK), {"axis": 1, "keep": False}),
    ("variance", (X,), {"axis": 0, "keep": True, "unbiased": True}),
    ("max", (X,), {"axis": 1, "keep": False}), ("min", (X,), {"axis": 0, "keep": True}),
    ("argmax", (X,), {"axis": 1}), ("rank", (X,), {"axis": -1}),
    ("log_softmax", (X,), {"axis": -1}), ("log_softmax", (X, MASK), {"axis": 1}),
    ("log_sum_exp", (X,), {"axis": 1, "keep": False}),
    ("log_sum_exp", (X, MASK), {"axis": 1, "keep": True}),
    ("cumulative_sum", (X,), {"axis": 1}), ("cholesky", (SQUARE,), {}),
    ("solve_triangular", (np.linalg.cholesky(SQUARE), X), {"upper": False}),
    ("singular_values", (X,), {}), ("matmul", (X, Y.T.copy()), {}), ("transpose", (X,), {}),
    ("concat", (X, Y), {"axis": -1}), ("stack", (X, Y), {"axis": 1}),
    ("flatten", (X[None],), {"axis": 0, "last": 1}), ("unflatten", (X,), {"axis": 1, "first": 2}),
    ("roll", (X,), {"by": 3, "axis": 1}), ("take", (X, PLACES), {}), ("gather", (X.T, PLACES), {}),
    ("index", (X,), {"items": (slice(None), None, slice(1, -1))}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "inputs", "settings"), CASES)
def test_it_gives_what_a_run_computes(
    op: str, inputs: tuple[Any, ...], settings: dict[str, Any]
) -> None:
    module, _, name = PRIMITIVES[op].lowering.rpartition(".")
    lowered = getattr(import_module(module), name)
    tensors = [torch.as_tensor(x) if isinstance(x, np.ndarray) else x for x in inputs]
    expected = lowered(*tensors, **settings)
    np.testing.assert_allclose(OPS[op](*inputs, **settings), expected.numpy(), atol=1e-12)


def test_what_it_costs_is_known_before() -> None:
    assert cost("eye", [], {"n": 100_000}) == 10**10
    assert cost("one_hot", [np.arange(5)], {"n": 7}) == 35
    assert cost("add", [np.zeros((5, 1)), np.zeros((1, 9))], {}) == 45
    assert cost("gather", [np.zeros((3, 4)), np.zeros((10, 2), int)], {}) == 80
    assert cost("matmul", [np.zeros((8, 16)), np.zeros((16, 4))], {}) == 8 * 16 * 4 // 8 + 192
