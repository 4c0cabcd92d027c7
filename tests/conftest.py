"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# The nets of the tests are tiny: threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent
SPECS = sorted((ROOT / "specs").glob("*.ssl"))

# A spec small enough to train in a second: overrides that fit every spec of the project.
TINY = {
    "simclr": ("backbone=resnet18(width = 0.125, stem = small)", "size=16", "hidden=16", "dim=8",
               "batch=64", "length=12 steps", "evaluate=knn()",
               "optimizer=adamw(lr = cosine(1e-3 -> 0))"),
    "mocov2": ("backbone=resnet18(width = 0.125, stem = small)", "size=16", "hidden=16", "dim=8",
               "batch=64", "length=12 steps", "memory=256", "evaluate=knn()",
               "optimizer=adamw(lr = cosine(1e-3 -> 0))"),
    "byol": ("backbone=resnet18(width = 0.125, stem = small)", "size=16", "hidden=16", "dim=8",
             "batch=64", "length=12 steps", "evaluate=knn()",
             "groups=[]",
             "optimizer=adamw(lr = cosine(1e-3 -> 0))"),
    "mocov3_vit": ("backbone=vit(patch = 8, width = 16, depth = 1, heads = 2)", "size=16",
                   "hidden=16", "dim=8", "batch=64", "length=12 steps", "evaluate=knn()",
                   "optimizer=adamw(lr = cosine(1e-3 -> 0))"),
}  # fmt: skip


@pytest.fixture(params=SPECS, ids=lambda p: p.stem)
def spec(request: pytest.FixtureRequest) -> Path:
    """Each spec of the project."""
    path = request.param
    assert isinstance(path, Path)
    return path


@pytest.fixture
def tiny(spec: Path) -> tuple[str, ...]:
    """Overrides that make the spec small."""
    return TINY[spec.stem]
