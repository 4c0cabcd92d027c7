"""The gradient that the check predicts is the one that torch computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import sslang
from sslang.checks.gradient import gradient_of

IMAGES, SIDE = 640, 32


def test_the_nets_that_get_a_gradient_are_those_predicted(
    spec: Path, tiny: tuple[str, ...]
) -> None:
    """No average, queue or bank lets any through, and nothing that is predicted lacks it."""
    first = sslang.load(spec, None, tiny)
    for program in first.phases:
        learner = sslang.compile(program, images=IMAGES, classes=10, device="cpu")
        rows = learner.recipe.batch
        pixels = torch.randint(0, 256, (rows, 3, SIDE, SIDE), dtype=torch.uint8)
        views = learner.views(pixels, np.full((rows, 2), SIDE))
        inputs = {"index": torch.arange(rows), "label": torch.arange(rows) % 10}
        given = {name: value for name, value in inputs.items() if name in program.reads}
        learner.method(views, learner.clock, given).loss.backward()
        found = {n for n, p in learner.method.nets.named_parameters() if p.grad is not None}
        names = {n.name for n in program.nets} | {w.name for w in program.weights}
        reached = {name for name in names if any(n.startswith(f"{name}.") for n in found)}
        assert reached == gradient_of(program)
