"""Each method against its formulas, float64, six optimizer steps: loss, every gradient, every
parameter, averages, queue and running statistics, with a rate that changes every step.

Facts and sources: He et al. 2020 and Chen, Fan et al. 2020 (MoCo), Chen et al. 2020 (SimCLR),
Grill et al. 2020 (BYOL), Chen, Xie and He 2021 (MoCo v3), and their released code.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from lightly.loss import NegativeCosineSimilarity, NTXentLoss
from torch import Tensor, nn
from torch.nn import functional

import sslang
from sslang.emit import draws
from sslang.train.learner import Learner
from tests.conftest import ROOT
from tests.fidelity.formulas import (
    AdamW,
    Lars,
    Nets,
    Sgd,
    Vit,
    Watched,
    agree,
    average,
    by_groups,
    cosine,
    mlp,
    resnet18,
    softmax_of_first,
    unit,
)

STEPS, TOTAL, EPOCH = 6, 40, 10
ROWS, FEATURES, HIDDEN, DIM = 8, 256, 12, 6  # features of a ResNet-18 of half the width
SMALL = ("backbone=resnet18(width = 0.5)", "size=16", f"hidden={HIDDEN}", f"dim={DIM}",
         f"length={TOTAL} steps")  # fmt: skip


def learner_of(name: str, batch: int, *overrides: str, recipe: str = "default") -> Learner:
    given = (*SMALL, f"batch={batch}", *overrides)
    program = sslang.load(ROOT / "specs" / f"{name}.ssl", recipe, given)
    return sslang.compile(program, images=EPOCH * batch, seed=3, dtype=torch.float64)


def images(batch: int, step: int) -> Tensor:
    u = draws.uniform(draws.stream_key(9, "pictures"), step, batch, 3 * 20 * 20)
    return torch.from_numpy((u.reshape(batch, 3, 20, 20) * 256).astype(np.uint8))


def views_of(learner: Learner, pixels: Tensor) -> tuple[Tensor, ...]:
    return learner.views(pixels, np.full((len(pixels), 2), 20))


def test_simclr() -> None:
    """Default recipe's AdamW, and the released code's loss: both directions' means, added."""
    _simclr(
        learner_of("simclr", ROWS, "optimizer=adamw(lr = cosine(3e-3 -> 0, warmup = 3 steps), "
                   "weight_decay = 0.05)"),
        AdamW(0.05), 3e-3,
    )  # fmt: skip


def test_simclr_with_the_papers_lars() -> None:
    """The rate inside the momentum; biases and norms neither adapted nor decayed."""
    learner = learner_of(
        "simclr", ROWS, "optimizer=lars(lr = cosine(0.5 -> 0, warmup = 3 steps), momentum = 0.9, "
        "weight_decay = 1e-2, rate_inside = true)", "data=embedded()", "evaluate=knn()",
        recipe="imagenet",
    )  # fmt: skip
    _simclr(learner, Lars(1e-2, inside=True), 0.5)


def _simclr(learner: Learner, optimizer: AdamW | Lars, rate: float) -> None:
    temperature, rows = 0.1, ROWS
    head = nn.Sequential(
        nn.Linear(FEATURES, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU(),
        nn.Linear(HIDDEN, DIM, bias=False), nn.BatchNorm1d(DIM),
    )  # fmt: skip
    head[4].register_parameter("bias", None)  # a scale and no shift
    nets = Nets({"f": resnet18(), "g": head}, {"f": "f.0.", "g": "g."})
    nets.start_from(learner)
    watched = Watched(learner)
    for step in range(STEPS):
        pixels = images(rows, step)
        a, b = views_of(learner, pixels)
        ours = learner.train_step(pixels)
        z = unit(nets.modules["g"](nets.modules["f"](torch.cat([a, b]))))
        za, zb = z[:rows], z[rows:]
        big = 1e9 * torch.eye(rows, dtype=torch.float64)
        logits_a = torch.cat([za @ zb.T, za @ za.T - big], 1) / temperature
        logits_b = torch.cat([zb @ za.T, zb @ zb.T - big], 1) / temperature
        labels = torch.arange(rows)
        loss = functional.cross_entropy(logits_a, labels) + functional.cross_entropy(
            logits_b, labels
        )
        # Lightly's loss is the paper's mean over 2N rows, half of the code's.
        agree(ours.loss, 2 * NTXentLoss(temperature)(za, zb).detach(), "lightly's loss")
        _finish(nets, watched, ours.loss, loss, optimizer, ("f", "g"), rate, step, 3)


def _finish(
    nets: Nets,
    watched: Watched,
    ours: Tensor,
    loss: Tensor,
    optimizer: AdamW | Lars | Sgd,
    trained: tuple[str, ...],
    rate: float,
    step: int,
    warmup: int,
    frozen: tuple[str, ...] = (),
) -> None:
    """Gradients, the optimizer's step, running statistics; everything compared."""
    agree(ours, loss.detach(), f"loss of step {step}")
    parameters = {k: p for k, p in nets.named(trained).items() if k not in frozen}
    for parameter in parameters.values():
        parameter.grad = None
    loss.backward()
    watched.compare(parameters)
    optimizer.step(parameters, cosine(rate, step, TOTAL, warmup))
    nets.settle()


def test_mocov2() -> None:
    """Groups of 16 for the queries, shuffled groups for the keys; a queue over its end."""
    rows, group, memory, temperature, momentum = 32, 16, 96, 0.2, 0.99
    learner = learner_of(
        "mocov2", rows, f"memory={memory}", f"momentum={momentum}",
        f"online=f | g | l2_normalize with (batch_norm = groups({group}))",
        f"target=ema(online, momentum) with (batch_norm = shuffle({group}))",
        "optimizer=sgd(lr = cosine(0.03 -> 0), momentum = 0.9, weight_decay = 1e-4)",
    )  # fmt: skip
    modules: dict[str, nn.Module] = {n: resnet18() for n in ("f", "target.f")}
    for name in ("g", "target.g"):
        modules[name] = mlp([FEATURES, HIDDEN, DIM], norm=False, biases=[True, True])
    nets = Nets(
        modules, {"f": "f.0.", "g": "g.", "target.f": "target.f.0.", "target.g": "target.g."}
    )
    nets.start_from(learner)
    watched, optimizer = Watched(learner), Sgd(0.9, 1e-4)
    queue = [row.clone() for row in learner.method.state("negatives")]
    assert len(queue) == memory
    for step in range(STEPS):
        pixels = images(rows, step)
        query, key = views_of(learner, pixels)
        ours = learner.train_step(pixels)
        q = unit(by_groups(lambda x: modules["g"](modules["f"](x)), query, group))
        drawn = draws.stream_key(3, "pretrain", "shuffle/target/1")
        order = torch.from_numpy(draws.permutation(drawn, step, rows))
        with torch.no_grad():
            shuffled = by_groups(
                lambda x: modules["target.g"](modules["target.f"](x)), key[order], group
            )
            k = torch.empty_like(shuffled)
            k[order] = unit(shuffled)
        negatives = torch.stack(queue)
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ negatives.T], 1) / temperature
        loss = softmax_of_first(logits).mean()
        _finish(nets, watched, ours.loss, loss, optimizer, ("f", "g"), 0.03, step, 0)
        for name in ("f", "g"):
            average(modules[f"target.{name}"], modules[name], momentum)
        queue = [*queue[rows:], *k]  # the keys enter after the loss, the oldest leave
        nets.compare(learner)
        agree(learner.method.state("negatives"), torch.stack(queue), "queue")


def test_byol() -> None:
    """A target with a start of its own, cosine momentum, LARS with the rate outside."""
    rows = ROWS
    learner = learner_of(
        "byol", rows, "momentum=cosine(0.9 -> 1)", "data=embedded()", "evaluate=knn()",
        "optimizer=lars(lr = cosine(0.4 -> 0, warmup = 2 steps), momentum = 0.9, "
        "weight_decay = 1e-2)", recipe="imagenet",
    )  # fmt: skip
    modules: dict[str, nn.Module] = {n: resnet18() for n in ("f", "target.f")}
    widths = {"projector": FEATURES, "target.projector": FEATURES, "predictor": DIM}
    for name, width in widths.items():
        modules[name] = mlp([width, HIDDEN, DIM], norm=True, biases=[True, False])
    prefixes = {n: f"{n}.0." if n.endswith("f") else f"{n}." for n in modules}
    nets = Nets(modules, prefixes)
    nets.start_from(learner)
    assert not torch.equal(modules["f"].conv1.weight, modules["target.f"].conv1.weight)
    watched, optimizer = Watched(learner), Lars(1e-2, inside=False)
    for step in range(STEPS):
        pixels = images(rows, step)
        views = views_of(learner, pixels)
        ours = learner.train_step(pixels)
        p = [modules["predictor"](modules["projector"](modules["f"](v))) for v in views]
        with torch.no_grad():
            t = [modules["target.projector"](modules["target.f"](v)) for v in views]
        distance = (unit(p[0]) - unit(t[1])).square().sum(1)
        distance = distance + (unit(p[1]) - unit(t[0])).square().sum(1)
        loss = distance.mean()
        similarity = NegativeCosineSimilarity()  # lightly leaves out + 4 and the factor 2
        theirs = 4 + 2 * (similarity(p[0], t[1]) + similarity(p[1], t[0]))
        agree(ours.loss, theirs.detach(), "lightly's loss")
        trained = ("f", "projector", "predictor")
        _finish(nets, watched, ours.loss, loss, optimizer, trained, 0.4, step, 2)
        momentum = 1 - (1 - 0.9) * 0.5 * (1 + math.cos(math.pi * step / TOTAL))
        for name in ("f", "projector"):
            average(modules[f"target.{name}"], modules[name], momentum)
        nets.compare(learner)


def test_mocov3() -> None:
    """Symmetric, negatives are the other view's keys, 2 tau, a frozen patch projection."""
    rows, tau = ROWS, 0.2
    learner = learner_of(
        "mocov3_vit", rows, "backbone=vit(patch = 4, width = 16, depth = 2, heads = 4)",
        "momentum=cosine(0.9 -> 1, shift = 1 step)",
        "optimizer=adamw(lr = cosine(1e-3 -> 0, warmup = 2 steps), weight_decay = 0.1)",
    )  # fmt: skip
    modules: dict[str, nn.Module] = {}
    for name in ("f", "target.f"):
        modules[name] = Vit(patch=4, width=16, depth=2, heads=4, tokens=16)
    for name in ("projector", "target.projector"):
        modules[name] = nn.Sequential(
            nn.Linear(16, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, DIM, bias=False), nn.BatchNorm1d(DIM, affine=False),
        )  # fmt: skip
    modules["predictor"] = nn.Sequential(
        nn.Linear(DIM, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU(),
        nn.Linear(HIDDEN, DIM, bias=False), nn.BatchNorm1d(DIM, affine=False),
    )  # fmt: skip
    nets = Nets(modules, {n: f"{n}.0." if n.endswith("f") else f"{n}." for n in modules})
    nets.start_from(learner)
    watched, optimizer = Watched(learner), AdamW(0.1)
    frozen = ("f.0.patch_embed.proj.weight", "f.0.patch_embed.proj.bias")
    before = modules["f"].patch_embed["proj"].weight.clone()
    for step in range(STEPS):
        pixels = images(rows, step)
        views = views_of(learner, pixels)
        ours = learner.train_step(pixels)
        q = [unit(modules["predictor"](modules["projector"](modules["f"](v)))) for v in views]
        with torch.no_grad():
            k = [unit(modules["target.projector"](modules["target.f"](v))) for v in views]
        labels = torch.arange(rows)
        loss = sum(
            2 * tau * functional.cross_entropy(q[i] @ k[1 - i].T / tau, labels) for i in (0, 1)
        )
        assert isinstance(loss, Tensor)
        trained = ("f", "projector", "predictor")
        _finish(nets, watched, ours.loss, loss, optimizer, trained, 1e-3, step, 2, frozen)
        # The code's m(t) acts before the keys of step t: after step t that is m(t + 1).
        momentum = 1 - (1 - 0.9) * 0.5 * (1 + math.cos(math.pi * (step + 1) / TOTAL))
        for name in ("f", "projector"):
            average(modules[f"target.{name}"], modules[name], momentum)
        nets.compare(learner)
    torch.testing.assert_close(modules["f"].patch_embed["proj"].weight, before, rtol=0, atol=0)


def test_mocov3_with_a_resnet() -> None:
    """The ResNet-50 recipe: LARS, temperature 1, a predictor that ends without a norm, nothing
    frozen; momentum from 0.99 to 1 along a cosine."""
    rows, tau = ROWS, 1.0
    learner = learner_of(
        "mocov3_vit", rows, "data=embedded()", "evaluate=knn()",
        "optimizer=lars(lr = cosine(0.4 -> 0, warmup = 2 steps), momentum = 0.9, "
        "weight_decay = 1e-2)", recipe="resnet50_100",
    )  # fmt: skip
    modules: dict[str, nn.Module] = {n: resnet18() for n in ("f", "target.f")}
    for name in ("projector", "target.projector"):
        modules[name] = nn.Sequential(
            nn.Linear(FEATURES, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, DIM, bias=False), nn.BatchNorm1d(DIM, affine=False),
        )  # fmt: skip
    modules["predictor"] = mlp([DIM, HIDDEN, DIM], norm=True, biases=[False, False])
    nets = Nets(modules, {n: f"{n}.0." if n.endswith("f") else f"{n}." for n in modules})
    nets.start_from(learner)
    watched, optimizer = Watched(learner), Lars(1e-2, inside=False)
    for step in range(STEPS):
        pixels = images(rows, step)
        views = views_of(learner, pixels)
        ours = learner.train_step(pixels)
        q = [unit(modules["predictor"](modules["projector"](modules["f"](v)))) for v in views]
        with torch.no_grad():
            k = [unit(modules["target.projector"](modules["target.f"](v))) for v in views]
        labels = torch.arange(rows)
        terms = [
            2 * tau * functional.cross_entropy(q[i] @ k[1 - i].T / tau, labels) for i in (0, 1)
        ]
        trained = ("f", "projector", "predictor")
        _finish(nets, watched, ours.loss, terms[0] + terms[1], optimizer, trained, 0.4, step, 2)
        momentum = 1 - (1 - 0.99) * 0.5 * (1 + math.cos(math.pi * (step + 1) / TOTAL))
        for name in ("f", "projector"):
            average(modules[f"target.{name}"], modules[name], momentum)
        nets.compare(learner)
