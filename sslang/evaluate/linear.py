"""A linear classifier on frozen features.

Protocol. The features of the unaugmented training images are standardised: from each column
its mean, divided by its standard deviation (both of the training images; a constant column
becomes zero). On them multinomial logistic regression is fitted to its optimum,

    mean of cross-entropy + l2 / 2 * sum of squared weights   (the bias is free),

by full-batch L-BFGS from zero in float64. The problem is convex: the result depends on no
seed, learning rate, batch or order, and two runs differ by the features alone. (The papers'
probes train by SGD on augmented images; their figures are higher by what augmentation gives.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sslang.diagnostics import Diagnostic, DiagnosticError


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe: class scores are ``(x - mean) * scale @ weight.T + bias``.

    `weight` is [classes, D], `bias` [classes], `mean` and `scale` are [D]; float64. `steps`
    is the number of L-BFGS steps, `gradient` the greatest derivative that is left.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor
    steps: int
    gradient: float

    def predict(self, features: Tensor) -> Tensor:
        """The class [M] of each row of `features` [M, D]."""
        standard = (features.double() - self.mean) * self.scale
        return functional.linear(standard, self.weight, self.bias).argmax(dim=1)


def linear_probe(
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    *,
    l2: float = 1e-3,
    max_steps: int = 500,
) -> Tensor:
    """Whether each test image is classified rightly: bool [M], on the CPU.

    `train` [N, D] and `test` [M, D] are features, `labels` [N] and `test_labels` [M] integers
    >= 0. The mean of the result is the top-1 accuracy. Raises DiagnosticError E720 where there
    are fewer than two classes.
    """
    probe = fit(train, labels, l2=l2, max_steps=max_steps)
    return (probe.predict(test) == test_labels).cpu()


def fit(train: Tensor, labels: Tensor, *, l2: float = 1e-3, max_steps: int = 500) -> LinearProbe:
    """Fit the probe of this module's protocol; `labels` may leave classes out."""
    assert train.ndim == 2
    assert labels.shape == train.shape[:1]
    assert l2 > 0
    present = torch.unique(labels).numel()
    if present < 2:
        raise DiagnosticError(
            Diagnostic(
                code="E720",
                message=f"a linear probe on {len(train)} images of {present} classes",
                hint="it needs labelled images of at least two classes",
            )
        )
    assert int(labels.min()) >= 0, "images without a label cannot be fitted"
    features, mean, scale = _standardise(train.double())
    classes = int(labels.max()) + 1
    weight = features.new_zeros(classes, features.shape[1], requires_grad=True)
    bias = features.new_zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=max_steps,
        max_eval=2 * max_steps,
        tolerance_grad=1e-6,
        tolerance_change=1e-12,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        scores = functional.linear(features, weight, bias)
        loss = functional.cross_entropy(scores, labels) + l2 / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        closure()
    assert weight.grad is not None
    assert bias.grad is not None
    gradient = max(weight.grad.abs().max().item(), bias.grad.abs().max().item())
    steps = int(optimizer.state[weight]["n_iter"])
    return LinearProbe(weight.detach(), bias.detach(), mean, scale, steps, gradient)


def _standardise(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean = features.mean(dim=0)
    deviation = features.std(dim=0, correction=0)
    constant = deviation <= 1e-8 * features.abs().amax(dim=0).clamp(min=1e-30)
    scale = torch.where(constant, 0.0, 1.0 / deviation.clamp(min=1e-300))
    return (features - mean) * scale, mean, scale
