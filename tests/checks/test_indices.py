"""An integer that a view draws names a place that is there."""

from __future__ import annotations

import pytest

from sslang.api import load_source
from sslang.diagnostics import DiagnosticError, Source


def codes(chain: str, loss: str, width: int) -> list[str]:
    text = (
        f'method "test"\nview a = random_crop(32) | {chain}\n'
        "encoder f = resnet18(stem = small, width = 0.0625)\n"
        f"head g = linear({width})\nz = g(f(a))\nloss = {loss}\nfeatures = f(a)\n"
        "recipe default : laptop { }\n"
    )
    try:
        return [d.code for d in load_source(Source("test.ssl", text)).diagnostics]
    except DiagnosticError as error:
        return [d.code for d in error.diagnostics]


@pytest.mark.parametrize(
    ("chain", "loss", "fitting"),
    [
        ("rotation90", "label_cross_entropy(z, a.times)", 4),
        ("trivial_augment", "label_cross_entropy(z, a.chosen[:, 0])", 12),
        ("jigsaw(grid = 2)", "label_cross_entropy(z, stop_grad(a.permutation)[:, 1])", 4),
        ("rotation90", "mean((z - one_hot(a.times, 4)) ** 2)", 4),
    ],
)
def test_as_many_places_as_integers(chain: str, loss: str, fitting: int) -> None:
    assert "E309" not in codes(chain, loss, fitting)
    assert "E309" not in codes(chain, loss.replace("one_hot(a.times, 4)", "one_hot(a.times, 5)"),
                               fitting + 1)  # fmt: skip
    narrow = loss.replace("one_hot(a.times, 4)", "one_hot(a.times, 3)")
    assert "E309" in codes(chain, narrow, fitting - 1)
