"""Whether two programs compute the same numbers: losses, gradients, writes, features, in float64.

Both are stepped with plain SGD from the same start on the same images, so that a parameter after
a step is its gradient. Each parameter is moved a little off its start, so that no zeros, no ones
and no average equal to its net hide a difference. The first steps must agree to 1e-12, the later
ones, which let queues fill and be read, to 1e-9 (rounding grows with the steps).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sslang.bench.mutations.small import BATCH, CLASSES, IMAGES, PIXELS
from sslang.ir.program import Program
from sslang.train.learner import Learner

STEPS = 6
_EXACT_STEPS, _EXACT, _CLOSE = 2, 1e-12, 1e-9


def trajectory(program: Program) -> Iterator[dict[str, Tensor]]:
    """After each step: the loss, the features, and everything that a checkpoint would hold."""
    learner = Learner(
        program, images=IMAGES, classes=CLASSES, seed=1, dtype=torch.float64, channels_last=False
    )
    _stir(learner)
    for step in range(STEPS):
        index = torch.arange(BATCH * step, BATCH * (step + 1)) % IMAGES
        drawn = torch.Generator().manual_seed(step)
        shape = (BATCH, 3, PIXELS, PIXELS)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=drawn)
        report = learner.train_step(pixels, index=index, label=index % CLASSES)
        found = {f"state/{k}": v.clone() for k, v in learner.method.state_dict().items()}
        found["loss"] = report.loss.clone()
        if program.features is not None:
            sizes = np.full((BATCH, 2), PIXELS, dtype=np.int64)
            found["features"] = learner.features(pixels, sizes).clone()
        yield found


@torch.no_grad()
def _stir(learner: Learner) -> None:
    for name, parameter in learner.method.nets.named_parameters():
        drawn = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        noise = torch.randn(parameter.shape, dtype=torch.float64, generator=drawn)
        parameter.add_(0.02 * noise)


@dataclass
class Recorded:
    """The trajectory of an original, computed as far as a mutant has followed it."""

    program: Program
    steps: list[dict[str, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rest = trajectory(self.program)

    def step(self, number: int) -> dict[str, Tensor]:
        while len(self.steps) <= number:
            self.steps.append(next(self._rest))
        return self.steps[number]


def first_difference(original: Recorded, mutant: Program) -> str:
    """Where the mutant first differs from the original, and by how much; empty if nowhere."""
    for number, found in enumerate(trajectory(mutant)):
        expected = original.step(number)
        if found.keys() != expected.keys():
            return f"other states: {', '.join(sorted(found.keys() ^ expected.keys())[:3])}"
        bound = _EXACT if number < _EXACT_STEPS else _CLOSE
        for name in ("loss", *sorted(found)):
            apart = _apart(found[name], expected[name])
            if not apart <= bound:
                return f"`{name}` differs by {apart:.1e} after step {number}"
    return ""


def _apart(found: Tensor, expected: Tensor) -> float:
    """The largest difference, against the size of what differs; infinite for other shapes."""
    if found.shape != expected.shape:
        return float("inf")
    if not found.numel():
        return 0.0
    scale = max(1.0, float(expected.double().abs().max()))
    return float((found.double() - expected.double()).abs().max()) / scale
