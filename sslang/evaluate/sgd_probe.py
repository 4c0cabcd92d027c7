"""A linear classifier on frozen features, trained by SGD: the protocol of the methods' papers.

Momentum 0.9, the rate a cosine to 0 over all steps, no augmentation (features are computed
once), features as they are. The order of the images is a draw of (seed, epoch).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from sslang.emit import draws


def sgd_probe(
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    *,
    lr: float,
    steps: int,
    batch: int,
    weight_decay: float,
    seed: int = 0,
) -> Tensor:
    """Whether each test image is classified rightly: bool [M], on the CPU.

    `train` [N, D], `test` [M, D] are features, `labels` and `test_labels` integers >= 0.
    """
    classes = int(max(labels.max(), test_labels.max())) + 1
    weight = torch.zeros(classes, train.shape[1], device=train.device)
    bias = torch.zeros(classes, device=train.device)
    parameters = [weight, bias]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=weight_decay)
    per_epoch = max(1, len(train) // batch)
    key = draws.stream_key(seed, "evaluate", "sgd_probe")
    for step in range(steps):
        if step % per_epoch == 0:
            drawn = draws.permutation(key, step // per_epoch, len(train))
            order = torch.from_numpy(drawn).to(train.device)
        start = (step % per_epoch) * batch
        rows = order[start : start + batch]
        optimizer.param_groups[0]["lr"] = 0.5 * lr * (1 + math.cos(math.pi * step / steps))
        loss = functional.cross_entropy(functional.linear(train[rows], weight, bias), labels[rows])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    with torch.no_grad():
        predicted = functional.linear(test, weight, bias).argmax(dim=1)
    return (predicted == test_labels).cpu()
