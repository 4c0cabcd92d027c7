"""The loss that a contrastive form predicts where nothing is known."""

from __future__ import annotations

import math

import pytest

from sslang.api import load_source
from sslang.checks.expected import expected_loss
from sslang.diagnostics import Source

SPEC = """method "x" (labels = true)
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
x = l2_normalize(f(a))
y = l2_normalize(f(b))
queue q[256] = sphere(128)
q <- y
assume no_collapse "about the form alone"
loss = {loss}
"""


@pytest.mark.parametrize(
    ("loss", "times", "classes"),
    [
        ("info_nce_batch(x, y, 0.1)", 1, 64),
        ("info_nce(x, stop_grad(y), q, 0.1)", 1, 257),
        ("2 * nt_xent([x, y], 0.1)", 2, 127),
        ("(info_nce_batch(x, y, 0.1) + mean(info_nce_batch(y, x, 0.1))) / 2", 1, 64),
    ],
)
def test_forms(loss: str, times: float, classes: int) -> None:
    program = load_source(Source("x.ssl", SPEC.format(loss=loss)))
    found = expected_loss(program, {"batch": 64, "dataset": 1000})
    assert found is not None
    assert found.loss == pytest.approx(times * math.log(classes))
    assert found.classes == classes


@pytest.mark.parametrize(
    "loss",
    [
        "-mean(cosine_similarity(x, stop_grad(y)))",
        "label_cross_entropy(10 * x, label)",
        "cross_entropy(x / 0.1, softmax(stop_grad(y) / 0.1))",
        "info_nce_batch(x, y, 0.1) + mean(x * y)",
        "info_nce_batch(x, y, 0.1) * mean(x * x)",
    ],
)
def test_other_forms_predict_nothing(loss: str) -> None:
    program = load_source(Source("x.ssl", SPEC.format(loss=loss)))
    assert expected_loss(program, {"batch": 64, "dataset": 1000}) is None
