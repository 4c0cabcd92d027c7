"""MoCo v1 against its formulas in the order of its code, float64, six optimizer steps.

Facts and sources: He et al. 2020 (MoCo) and its released code (builder.py, main_moco.py). The
loss of lightly, with its own memory, is a second witness on the same tensors.
"""

from __future__ import annotations

import pytest
import torch
from lightly.loss import NTXentLoss
from torch import Tensor, nn

import sslang
from sslang.emit import draws
from tests.fidelity.formulas import Nets, Sgd, agree, average, by_groups, unit
from tests.fidelity.test_banks import (
    DIM,
    STEPS,
    SmallResNet18,
    Trained,
    expect_sgd,
    expect_strengths,
    operations,
    pictures,
    program_of,
    rates_by_epoch,
    small_learner,
    views_of,
)

ROWS, GROUP, MEMORY, MOMENTUM, TEMPERATURE = 64, 32, 192, 0.99, 0.07


def test_moco_v1() -> None:
    """Query, average, key, loss against the old queue, enqueue, SGD: as builder.py orders it.

    The code averages before the keys of a step, so a target is compared when the next step has
    begun. Queries in groups of 32, keys in groups of a permutation; the queue passes its end.
    """
    learner = small_learner("mocov1", "imagenet", ROWS, 1e-4, f"memory={MEMORY}",
                            f"momentum={MOMENTUM}")  # fmt: skip
    modules: dict[str, nn.Module] = {}
    for prefix in ("", "target."):
        modules |= {f"{prefix}f": SmallResNet18(), f"{prefix}g": nn.Linear(64, DIM)}
    nets = Nets(modules, {name: f"{name}.0." for name in modules})
    reference = Trained(learner, nets, ("f", "g"), Sgd(0.9, 1e-4))
    for ours, theirs in ((modules["f"], modules["target.f"]), (modules["g"], modules["target.g"])):
        assert all(map(torch.equal, ours.state_dict().values(), theirs.state_dict().values()))
    ring, at = learner.method.state("negatives").clone(), 0
    witness = NTXentLoss(temperature=TEMPERATURE, memory_bank_size=(MEMORY, DIM)).double()
    witness.memory_bank.bank = ring.clone()
    for step in range(STEPS):
        _average(modules)
        nets.compare(learner)
        pixels = pictures(ROWS, step)
        query, key = views_of(learner, pixels)
        report = learner.train_step(pixels)
        q = unit(by_groups(lambda x: modules["g"](modules["f"](x)), query, GROUP))
        k = _keys(modules, key, step)
        negatives = ring.clone()
        shares = torch.cat([(q * k).sum(1, keepdim=True), q @ negatives.T], 1) / TEMPERATURE
        loss = -(shares[:, 0].exp() / shares.exp().sum(1)).log().mean()
        ring[at : at + ROWS] = k
        at = (at + ROWS) % MEMORY
        _witnessed(witness, q, k, loss)
        reference.finish(step, report.loss, loss)
        oldest_first = torch.cat([ring[at:], ring[:at]])
        agree(learner.method.state("negatives"), oldest_first, f"queue after step {step}")
        agree(witness.memory_bank.bank, ring, f"lightly's memory after step {step}")
    _average(modules)
    nets.compare(learner)


def _average(modules: dict[str, nn.Module]) -> None:
    for name in ("f", "g"):
        average(modules[f"target.{name}"], modules[name], MOMENTUM)


@torch.no_grad()
def _keys(modules: dict[str, nn.Module], key: Tensor, step: int) -> Tensor:
    """Keys whose batch statistics are of 32 images drawn from the whole batch."""
    drawn = draws.stream_key(3, "pretrain", "shuffle/target/1")
    order = torch.from_numpy(draws.permutation(drawn, step, ROWS))
    assert not torch.equal(order // GROUP, torch.arange(ROWS) // GROUP)
    shuffled = by_groups(lambda x: modules["target.g"](modules["target.f"](x)), key[order], GROUP)
    return unit(shuffled[torch.argsort(order)])


def _witnessed(witness: NTXentLoss, q: Tensor, k: Tensor, loss: Tensor) -> None:
    """lightly's loss and its gradient with respect to the queries are the same."""
    theirs = witness(q, k)
    agree(theirs, loss, "lightly's loss")
    gradients = [torch.autograd.grad(x, q, retain_graph=True)[0] for x in (loss, theirs)]
    # lightly divides by the length once more: its gradient has no part along the query.
    along = (gradients[0] * q).sum(1, keepdim=True) * q
    agree(gradients[1], gradients[0] - along, "lightly's gradient")


def test_the_queue_begins_on_the_sphere() -> None:
    """Normal numbers divided by their length: unit rows, no direction preferred."""
    overrides = ("backbone=resnet18(width = 0.125, stem = small)", "size=16", "memory=4096")
    program = program_of("mocov1", "imagenet", *overrides)
    queue = sslang.compile(program, images=512, seed=3).method.state("negatives")
    assert queue.shape == (4096, 128)
    torch.testing.assert_close(queue.norm(dim=1), torch.ones(4096))
    assert float(queue.mean(0).norm()) < 0.05
    assert float(queue.square().mean(0).max()) == pytest.approx(1 / 128, rel=0.2)


def test_moco_v1_recipe_is_the_codes() -> None:
    """main_moco.py: two draws of InstDisc's chain, tau, queue, constant 0.999, SGD, steps of lr."""
    program = program_of("mocov1", "imagenet")
    for view in ("query", "key"):
        assert operations(program, view) == [
            ("random_resized_crop", 1), ("grayscale", 0.2), ("color_jitter", 1),
            ("horizontal_flip", 0.5), ("normalize", 1),
        ]  # fmt: skip
    sites = [n.setting("site") for n in program.step.nodes if n.op == "random_resized_crop"]
    assert len(set(sites)) == 2
    expect_strengths(program, jitter=0.4, least_crop=0.2)
    expect_sgd(program, batch=256, epochs=200, decay=1e-4, last_batch="drop")
    assert rates_by_epoch(program, 0, 119, 120, 159, 160, 199) == [0.03, 0.03, *2 * [0.003],
                                                                  *2 * [0.0003]]  # fmt: skip
    (averages,) = program.averages
    assert (averages.momentum, averages.fresh, averages.buffers) == (0.999, False, False)
    (queue,) = program.states
    assert (queue.kind, queue.shape) == ("queue", (65536, 128))
    assert "temperature = 0.07" in program.spec.text
    applied = {n.setting("net"): n.setting("group") for n in program.step.nodes if n.op == "apply"}
    assert set(applied.values()) == {GROUP}
    permuted = {n.name for n in program.step.nodes if n.op == "permute_rows"}
    inputs = {n.setting("net"): set(n.inputs) for n in program.step.nodes if n.op == "apply"}
    assert inputs["target.f"] == permuted and not inputs["f"] & permuted  # the keys alone
    widths = {net.name: net.stages[0][1] for net in program.nets}
    assert (widths["g"]["in_width"], widths["g"]["width"], widths["g"]["bias"]) == (2048, 128, True)
