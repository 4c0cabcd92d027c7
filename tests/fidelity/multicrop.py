"""What the tests of SwAV, DINO and SimSiam share: small nets, and gradients as an optimizer sees
them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

import sslang
from sslang.emit import draws
from sslang.train.learner import Learner
from tests.conftest import ROOT

SEED = 3
BACKBONE = "backbone=resnet18(width = 0.125, stem = small)"
FEATURES = 64  # of that backbone


def small_resnet(*, zero_init_residual: bool = False) -> nn.Module:
    """torchvision's ResNet-18 of an eighth of the width, a 3 x 3 stem and no max-pool."""
    net = torchvision.models.resnet18(zero_init_residual=zero_init_residual)
    net.inplanes = 8
    net.conv1, net.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
    for n in range(4):
        layer = net._make_layer(BasicBlock, 8 * 2**n, 2, stride=2 if n else 1)
        setattr(net, f"layer{n + 1}", layer)
    net.maxpool, net.fc = nn.Identity(), nn.Identity()
    return net


def learner_of(
    name: str, rows: int, total: int, epoch: int, *overrides: str, recipe: str = "default"
) -> Learner:
    """A float64 learner: `total` steps of `rows` images, `epoch` of them an epoch."""
    given = ("size=16", f"batch={rows}", f"length={total} steps", *overrides)
    program = sslang.load(ROOT / "specs" / f"{name}.ssl", recipe, given)
    return sslang.compile(program, images=epoch * rows, seed=SEED, dtype=torch.float64)


def batch_of(
    learner: Learner, rows: int, step: int, shapes: tuple[int, ...]
) -> tuple[Tensor, list[Tensor]]:
    """Random images, and the views that the learner makes of them in its next step.

    `shapes` are the sizes that the views should have, in order.
    """
    u = draws.uniform(draws.stream_key(9, "pictures"), step, rows, 3 * 20 * 20)
    pixels = torch.from_numpy((u.reshape(rows, 3, 20, 20) * 256).astype(np.uint8))
    views = list(learner.views(pixels, np.full((rows, 2), 20)))
    assert [tuple(v.shape) for v in views] == [(rows, 3, s, s) for s in shapes]
    return pixels, views


class AtOptimizer:
    """Keeps, step by step, the gradients that the optimizer is given; a name without one has none.

    They differ from those of the backward pass by what is clipped and what is frozen.
    """

    def __init__(self, learner: Learner) -> None:
        self.gradients: dict[str, Tensor] = {}
        self._trained = learner.method.trained()
        learner.optimizer.register_step_pre_hook(self._keep)

    def _keep(self, *_: Any) -> None:
        self.gradients = {k: p.grad.clone() for k, p in self._trained if p.grad is not None}

    def compare(self, theirs: dict[str, nn.Parameter]) -> None:
        """The names with a gradient are the same, and so are the gradients."""
        expected = {k: p.grad for k, p in theirs.items() if p.grad is not None}
        assert self.gradients.keys() == expected.keys()
        for name, gradient in expected.items():
            scale = max(1.0, float(gradient.abs().max()))
            torch.testing.assert_close(
                self.gradients[name] / scale, gradient / scale, rtol=1e-9, atol=1e-9
            )


def backward(loss: Tensor, parameters: dict[str, nn.Parameter]) -> None:
    """Gradients of `loss` alone."""
    for parameter in parameters.values():
        parameter.grad = None
    loss.backward()  # type: ignore[no-untyped-call]


def ramp(first: float, last: float, steps: int, then: float, total: int, step: int) -> float:
    """`steps` numbers of a linspace with both ends, then half a cosine from `last` to `then`.

    SwAV's and DINO's code: the base rate occurs twice.
    """
    if step < steps:
        return float(np.linspace(first, last, steps)[step])
    angle = np.pi * (step - steps) / (total - steps)
    return float(then + 0.5 * (last - then) * (1 + np.cos(angle)))
