"""An op of a view that gives what it says it does not is named, at the first batch and later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sslang.api import load_source
from sslang.data.batches import Batch
from sslang.diagnostics import DiagnosticError, Source
from sslang.emit.augmentations.form import Form
from sslang.train.learner import Learner
from sslang.train.view_values import expect_declared_values
from sslang.train.walk import origin
from tests.fidelity.test_methods import images

SPEC = """
method "test"
view a = random_crop(16) | rotation(30) | gamma(0.5..2) | imagenet_normalize
view b = random_crop(16) | imagenet_normalize
encoder f = resnet18(width = 0.0625, stem = small)
z = l2_normalize(f(a))
loss = info_nce_batch(z, l2_normalize(f(b)), 0.2)
features = f(b)
recipe default : laptop { batch = 32 }
"""


def learner() -> Learner:
    return Learner(load_source(Source("test.ssl", SPEC)), images=320, seed=0)


def spoilt(monkeypatch: pytest.MonkeyPatch, op: str, factor: float) -> None:
    """Make an op multiply one image, as a faulty kornia might."""
    plain = Form.call

    def call(self: Form, x: Tensor, numbers: dict[str, Tensor]) -> Tensor:
        found = plain(self, x, numbers).clone()
        if self.op == op:
            found[3] *= factor
        return found

    monkeypatch.setattr(Form, "call", call)


def batch() -> Batch:
    pixels = images(32, 0)
    sizes = np.tile(np.array(pixels.shape[-2:]), (len(pixels), 1))
    rows = torch.arange(len(pixels))
    return Batch(pixels, sizes, rows, torch.full_like(rows, -1), 0)


def test_what_is_declared_is_not_spoken_of() -> None:
    expect_declared_values(learner().method, batch())


def test_rows_of_another_alternative_may_leave_the_range() -> None:
    text = SPEC.replace("rotation(30) | gamma(0.5..2)", "one_of([gaussian_noise(0.3), equalize])")
    made = Learner(load_source(Source("test.ssl", text)), images=320, seed=0)
    expect_declared_values(made.method, batch())


@pytest.mark.parametrize(
    ("op", "factor", "code", "said"),
    [
        ("gamma", float("nan"), "E703", "`gamma` of the view `a` is the first to give nan"),
        ("rotation", float("inf"), "E703", "`rotation` of the view `a` is the first to give"),
        ("gamma", 3.0, "E731", "declared to stay within 0..1"),
    ],
)
def test_the_first_op_that_breaks_its_word_is_named(
    monkeypatch: pytest.MonkeyPatch, op: str, factor: float, code: str, said: str
) -> None:
    spoilt(monkeypatch, op, factor)
    with pytest.raises(DiagnosticError) as raised:
        expect_declared_values(learner().method, batch())
    (found,) = raised.value.diagnostics
    assert found.code == code and said in found.message and op in found.message
    assert found.span is not None and op in found.span.text and found.hint


def test_the_origin_of_a_nan_in_a_later_step_is_the_op(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = learner()
    made.train_step(images(32, 0))
    spoilt(monkeypatch, "gamma", float("nan"))
    found = origin(made, lambda: made.train_step(images(32, 1)))
    assert found is not None
    assert found.text == "`gamma` of the view `a` is the first to give nan"
    assert found.span is not None and found.span.text.startswith("gamma")
