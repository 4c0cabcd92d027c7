"""SimSiam against its formulas, float64: loss, gradients, parameters, running statistics.

Facts and sources: Chen and He 2021 (arXiv:2011.10566), algorithm 1 and section 3, and their
released code; lightly's loss as a second witness.
"""

from __future__ import annotations

import math

import lightly.loss
import torch
from torch import Tensor, nn

from sslang.train.learner import Learner
from tests.fidelity.formulas import Nets, Sgd, Watched, agree, mlp, unit
from tests.fidelity.multicrop import (
    FEATURES,
    AtOptimizer,
    backward,
    batch_of,
    learner_of,
    small_resnet,
)

ROWS, HIDDEN, DIM = 8, 5, 12
STEPS, TOTAL, EPOCH = 7, 20, 2
RATE, DECAY = 0.05, 1e-4
SMALL = (
    "backbone=resnet18(width = 0.125, stem = small, zero_init_residual = true)",
    f"hidden={HIDDEN}", f"dim={DIM}", f"optimizer=sgd(lr = cosine({RATE} -> 0, per = epoch), "
    f"momentum = 0.9, weight_decay = {DECAY})", "groups=[]",
)  # fmt: skip


def _projector() -> nn.Sequential:
    """Three layers of one width, batch norm after each, the last without scale and shift."""
    return nn.Sequential(
        nn.Linear(FEATURES, DIM, bias=False), nn.BatchNorm1d(DIM), nn.ReLU(),
        nn.Linear(DIM, DIM, bias=False), nn.BatchNorm1d(DIM), nn.ReLU(),
        nn.Linear(DIM, DIM, bias=False), nn.BatchNorm1d(DIM, affine=False),
    )  # fmt: skip


def _rate(step: int) -> float:
    """Half a cosine to 0, constant within an epoch."""
    return RATE * 0.5 * (1 + math.cos(math.pi * (step // EPOCH) / (TOTAL // EPOCH)))


def _simsiam(
    learner: Learner, *, fixed_predictor: bool = False, bias: Tensor | None = None
) -> None:
    """Holds a learner against the formulas.

    `fixed_predictor`: the rate of the predictor stays `RATE`. `bias` is that of the projector's
    last linear layer, never trained.
    """
    modules: dict[str, nn.Module] = {
        "f": small_resnet(),
        "projector": _projector(),
        "predictor": mlp([DIM, HIDDEN, DIM], norm=True, biases=[False, True]),
    }
    nets = Nets(modules, {"f": "f.0.", "projector": "projector.", "predictor": "predictor."})
    nets.start_from(learner)
    _assert_zero_residuals(modules["f"])
    last, norm = modules["projector"][6], modules["projector"][7]  # type: ignore[index]
    if bias is not None:
        last.register_forward_hook(lambda _, __, out: out + bias)
    watched, given = Watched(learner), AtOptimizer(learner)
    encoder, predictor = Sgd(0.9, DECAY), Sgd(0.9, DECAY)
    parameters = nets.named(modules)
    assert parameters.keys() == {name for name, _ in learner.method.trained()}
    cosine = lightly.loss.NegativeCosineSimilarity()
    for step in range(STEPS):
        pixels, views = batch_of(learner, ROWS, step, (16, 16))
        ours = learner.train_step(pixels)
        z = [modules["projector"](modules["f"](view)) for view in views]  # a batch norm a view
        p = [modules["predictor"](rows) for rows in z]
        distances = [
            -(unit(p[0]) * unit(z[1].detach())).sum(1).mean(),
            -(unit(p[1]) * unit(z[0].detach())).sum(1).mean(),
        ]
        loss = 0.5 * (distances[0] + distances[1])
        witness = 0.5 * (cosine(p[0], z[1].detach()) + cosine(p[1], z[0].detach()))
        agree(witness.detach(), loss.detach(), f"lightly's loss of step {step}")
        agree(ours.loss, loss.detach(), f"loss of step {step}")
        backward(loss, parameters)
        watched.compare(parameters)
        given.compare(parameters)
        encoder.step(nets.named(["f", "projector"]), _rate(step))
        predictor.step(nets.named(["predictor"]), RATE if fixed_predictor else _rate(step))
        nets.settle()
        if bias is None:
            nets.compare(learner)
            continue
        shifted = norm.running_mean.clone()
        norm.running_mean -= bias * (1 - 0.9 ** (step + 1))  # all that the bias has changed
        nets.compare(learner)
        norm.running_mean.copy_(shifted)


def _assert_zero_residuals(net: nn.Module) -> None:
    """Each residual branch begins as 0."""
    scales = [p for name, p in net.named_parameters() if name.endswith("bn2.weight")]
    assert len(scales) == 8
    assert all(not bool(scale.any()) for scale in scales)


def test_simsiam() -> None:
    """SGD with decay on all parameters, a rate that falls from epoch to epoch."""
    _simsiam(learner_of("simsiam", ROWS, TOTAL, EPOCH, *SMALL))


def test_simsiam_with_a_fixed_predictor_rate() -> None:
    """`--fix-pred-lr` of the released code: the predictor has a rate of its own, constant."""
    groups = f"groups=[group(predictor, lr = {RATE})]"
    learner = learner_of("simsiam", ROWS, TOTAL, EPOCH, *SMALL, groups)
    _simsiam(learner, fixed_predictor=True)


def test_the_frozen_bias_of_the_released_code_changes_nothing() -> None:
    """Its projector's last linear layer has a bias, random and frozen, which batch norm cancels:
    only the running mean is shifted, by the bias.
    """
    bias = torch.linspace(-1, 1, DIM, dtype=torch.float64)
    _simsiam(learner_of("simsiam", ROWS, TOTAL, EPOCH, *SMALL), bias=bias)
