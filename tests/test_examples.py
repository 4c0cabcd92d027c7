"""The example specs: no findings, the one spelling, and a few steps that learn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import sslang
from sslang.diagnostics import Source
from sslang.syntax.formatter import format_text
from tests.conftest import ROOT
from tests.fidelity.test_methods import images

EXAMPLES = sorted((ROOT / "examples").glob("*.ssl"))
SMALL = {
    "mae": ("backbone=vit(patch, width = 24, depth = 1, heads = 2, init = mae)", "width=16"),
}
COMMON = ("batch=64", "length=40 steps", "optimizer=adamw(lr = 1e-3)")


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def example(request: pytest.FixtureRequest) -> Path:
    assert isinstance(request.param, Path)
    return request.param


def test_no_findings_in_the_one_spelling(example: Path) -> None:
    assert sslang.check(example) == []
    text = example.read_text(encoding="utf-8")
    assert format_text(Source(example.name, text)) == (text, [])


def test_four_steps(example: Path) -> None:
    """Finite losses, and every trained parameter has moved."""
    small = SMALL.get(example.stem, ("backbone=resnet18(width = 0.125, stem = small)",))
    learner = sslang.compile(sslang.load(example, None, [*COMMON, *small]), images=640, seed=1)
    before = {name: p.detach().clone() for name, p in learner.method.trained()}
    losses = [float(learner.train_step(images(64, 0)).loss) for _ in range(4)]
    assert all(map(torch.isfinite, map(torch.tensor, losses)))
    still = [n for n, p in learner.method.trained() if torch.equal(p, before[n])]
    assert not still
