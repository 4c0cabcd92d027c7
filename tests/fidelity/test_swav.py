"""SwAV against its formulas, float64: loss, gradients, parameters, queues, running statistics.

Facts and sources: Caron et al. 2020 (arXiv:2006.09882), eq. 2-5 and appendix A, their released
code for the order of things, apex's LARC for the optimizer; lightly's loss as a second witness.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import lightly.loss
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sslang.train.learner import Learner
from tests.fidelity.formulas import Nets, Watched, agree, mlp, unit
from tests.fidelity.multicrop import (
    BACKBONE,
    FEATURES,
    AtOptimizer,
    backward,
    batch_of,
    learner_of,
    ramp,
    small_resnet,
)

ROWS, MEMORY, HIDDEN, DIM, CLUSTERS = 8, 24, 12, 6, 10
STEPS, TOTAL, EPOCH = 8, 40, 2
TEMPERATURE, EPSILON, DECAY = 0.1, 0.05, 1e-6
SMALL = (BACKBONE, "local_size=8", f"hidden={HIDDEN}", f"dim={DIM}", f"clusters={CLUSTERS}",
         f"memory={MEMORY}")  # fmt: skip
PROTOTYPES = "prototypes.value"


class Prototypes(nn.Module):
    """Rows to scores, without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(CLUSTERS, DIM))

    def forward(self, z: Tensor) -> Tensor:
        return z @ self.value.T


@dataclass
class Larc:
    """apex's LARC without its clip, around SGD with momentum 0.9.

    g' = r (g + decay p) with r = 0.001 |p| / (|g| + decay |p| + 1e-8), or g' = g where a norm is
    0. Of every parameter, biases and norms too; one without gradient is left alone.
    """

    velocity: dict[str, Tensor] = field(default_factory=dict)

    def step(self, parameters: dict[str, nn.Parameter], rate: float) -> None:
        for name, p in parameters.items():
            if p.grad is None:
                continue
            g, norms = p.grad, (float(p.data.norm()), float(p.grad.norm()))
            if min(norms) > 0:
                trust = 0.001 * norms[0] / (norms[1] + DECAY * norms[0] + 1e-8)
                g = trust * (g + DECAY * p.data)
            self.velocity[name] = 0.9 * self.velocity.get(name, torch.zeros_like(g)) + g
            p.data -= rate * self.velocity[name]


def sinkhorn(scores: Tensor) -> Tensor:
    """Codes [rows, clusters] in the order of the paper's code: rows, then columns, of [K, B]."""
    q = torch.exp(scores / EPSILON).T
    clusters, rows = q.shape
    q = q / q.sum()
    for _ in range(3):
        q = q / q.sum(dim=1, keepdim=True) / clusters
        q = q / q.sum(dim=0, keepdim=True) / rows
    return (q * rows).T


@dataclass
class Queue:
    """The embeddings of the last batches of one view, newest first; zeros to begin with."""

    rows: Tensor = field(default_factory=lambda: torch.zeros(MEMORY, DIM, dtype=torch.float64))

    @property
    def full(self) -> bool:
        return bool(self.rows[-1].any())

    def push(self, z: Tensor) -> None:
        self.rows = torch.cat([z, self.rows[: -len(z)]])

    def oldest_first(self) -> Tensor:
        return self.rows.view(-1, ROWS, DIM).flip(0).flatten(0, 1)


def _swav(
    learner: Learner, rates: list[float], *, crops: int, thaw: int = 0, start: int | None = None
) -> list[int]:
    """Holds a learner against the formulas; the steps whose codes used the queue.

    `crops` small views a large pair; prototypes are trained from step `thaw` on, queues filled
    from step `start` on.
    """
    modules: dict[str, nn.Module] = {
        "f": small_resnet(),
        "g": mlp([FEATURES, HIDDEN, DIM], norm=True, biases=[True, True]),
        "prototypes": Prototypes(),
    }
    f, g, prototypes = modules.values()
    assert isinstance(prototypes, Prototypes)
    nets = Nets(modules, {"f": "f.0.", "g": "g.", "prototypes": "prototypes."})
    nets.start_from(learner)
    lengths = prototypes.value.data.norm(dim=1)  # as the initial draw, of float32's precision
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=0, atol=2e-7)
    watched, given, optimizer = Watched(learner), AtOptimizer(learner), Larc()
    parameters = nets.named(modules)
    assert parameters.keys() == {name for name, _ in learner.method.trained()}
    witness = lightly.loss.SwaVLoss(TEMPERATURE, 3, EPSILON)
    queues: list[Queue] | None = None
    used = []
    for step in range(STEPS):
        pixels, views = batch_of(learner, ROWS, step, (16, 16, *(8,) * crops))
        ours = learner.train_step(pixels)

        if step:  # before the forward, outside of it; unit at the start already
            prototypes.value.data = unit(prototypes.value.data)
        features = [f(torch.cat(same)) for same in (views[:2], views[2:]) if same]
        z = unit(g(torch.cat(features)))
        scores = list(prototypes(z).split(ROWS))
        if step == start:
            queues = [Queue(), Queue()]
        stored = _stored(queues, prototypes)
        used += [step] if stored is not None else []
        loss = _loss(scores, stored)
        theirs = witness(scores[:2], scores[2:], stored)
        agree(theirs.detach().squeeze(), loss.detach(), f"lightly's loss of step {step}")
        agree(
            torch.autograd.grad(theirs, prototypes.value, retain_graph=True)[0],
            torch.autograd.grad(loss, prototypes.value, retain_graph=True)[0],
            f"lightly's gradient of step {step}",
        )
        agree(ours.loss, loss.detach(), f"loss of step {step}")
        backward(loss, parameters)
        watched.compare(parameters)
        if step < thaw:
            prototypes.value.grad = None
        assert (PROTOTYPES in given.gradients) == (step >= thaw)
        given.compare(parameters)
        optimizer.step(parameters, rates[step])
        nets.settle()
        for i, queue in enumerate(queues or ()):
            queue.push(z[i * ROWS : (i + 1) * ROWS].detach())
        _compare(learner, nets, prototypes, queues)
    return used


def _stored(queues: list[Queue] | None, prototypes: Prototypes) -> list[Tensor] | None:
    """Scores of what is queued, by this step's prototypes, if the queues are full."""
    if queues is None or not all(queue.full for queue in queues):
        return None
    return [prototypes(queue.rows).detach() for queue in queues]


def _loss(scores: list[Tensor], stored: list[Tensor] | None) -> Tensor:
    """Half of the sum, over the large views, of the mean over all other views."""
    total = torch.zeros((), dtype=torch.float64)
    for i in (0, 1):
        with torch.no_grad():
            rows = scores[i] if stored is None else torch.cat([stored[i], scores[i]])
            code = sinkhorn(rows)[-ROWS:]
        others = [v for v in range(len(scores)) if v != i]
        terms = [
            -(code * functional.log_softmax(scores[v] / TEMPERATURE, dim=1)).sum(1).mean()
            for v in others
        ]
        total = total + 0.5 * torch.stack(terms).sum() / len(others)
    return total


def _compare(
    learner: Learner, nets: Nets, prototypes: Prototypes, queues: list[Queue] | None
) -> None:
    """All of the state, the rows of the prototypes made unit as the next step would have them."""
    trained = prototypes.value.data
    prototypes.value.data = unit(trained)
    nets.compare(learner)
    prototypes.value.data = trained
    for i in (0, 1):
        read = learner.method.state(f"recent.global_{i}")
        if queues is None or not queues[i].full:
            assert len(read) == 0
        else:
            agree(read, queues[i].oldest_first(), f"queue {i}")


def test_swav() -> None:
    """The released recipe, with two resolutions: LARC with cosine(0.6 -> 0.0006), frozen
    prototypes, and a queue that begins at step 2, is full after step 4 and is used from step 5.
    """
    learner = learner_of(
        "swav", ROWS, TOTAL, EPOCH, *SMALL, "locals=3", "data=embedded()", "evaluate=knn()",
        "freeze=[until(3 steps, prototypes)]", "recent=empty(dim) with (from = 1 epochs)",
        recipe="imagenet_256",
    )  # fmt: skip
    rates = [ramp(0.6, 0.6, 0, 0.0006, TOTAL, step) for step in range(STEPS)]
    assert _swav(learner, rates, crops=3, thaw=3, start=EPOCH) == [5, 6, 7]


@pytest.mark.parametrize("crops", [0, 2])
def test_swav_with_warmup(crops: int) -> None:
    """A linspace that does not start at 0, as for batch 4096; without small crops too.

    The queue never begins, and the prototypes are trained from the start.
    """
    learner = learner_of(
        "swav", ROWS, TOTAL, EPOCH, *SMALL, f"locals={crops}",
        "optimizer=lars(lr = linear(0.3 -> 4.8, over = 2 epochs, closed = true) then "
        "cosine(4.8 -> 0.0048), momentum = 0.9, weight_decay = 1e-6, separate_norms = true, "
        "eps = 1e-8)",
    )  # fmt: skip
    rates = [ramp(0.3, 4.8, 2 * EPOCH, 0.0048, TOTAL, step) for step in range(STEPS)]
    assert _swav(learner, rates, crops=crops) == []


def test_codes_share_the_clusters_out() -> None:
    """Each row of the codes sums to 1 exactly, as columns are last; the clusters only nearly."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(40, CLUSTERS, generator=generator, dtype=torch.float64) * 0.2
    codes = sinkhorn(scores)
    agree(codes.sum(1), torch.ones(40), "rows of the codes")
    shares = codes.sum(0) * CLUSTERS / 40
    assert 1e-9 < float((shares - 1).abs().max()) < 0.05
