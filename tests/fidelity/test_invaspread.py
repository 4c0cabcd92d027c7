"""InvaSpread against its formula, a loop over all pairs, float64, six optimizer steps.

Facts and sources: Ye et al. 2019, and their released code (BatchAverage.py, demo_seen.py).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.fidelity.formulas import Nets, Sgd, agree, unit
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
    setting,
    small_learner,
    views_of,
)

IMAGES_A_STEP, TEMPERATURE = 8, 0.1


def spread(rows: Tensor, others: Tensor) -> Tensor:
    """-(1/2N) sum_i [log P(i+ | i) + sum_{j not i, i+} log(1 - P(j | i))], by loops.

    P(j | i) = exp(x_i y_j / tau) / sum over k other than i; x are `rows`, y `others`, the images
    are the same in order: rows i and i + N are views of one.
    """
    count, total = len(rows), rows.new_zeros(())
    for i in range(count):
        exponentials = {j: (rows[i] @ others[j] / TEMPERATURE).exp() for j in range(count)}
        whole = sum((e for j, e in exponentials.items() if j != i), rows.new_zeros(()))
        partner = (i + count // 2) % count
        for j in range(count):
            if j == partner:
                total = total + (exponentials[j] / whole).log()
            elif j != i:
                total = total + (1 - exponentials[j] / whole).log()
    return -total / count


def by_formula(x: Tensor) -> Tensor:
    """The gradient of `spread` with respect to x, others fixed, from the derivative by hand.

    With s_ij = x_i y_j / tau, w_ij = 1 at i+ and -P(j | i) / (1 - P(j | i)) elsewhere:
    dL/ds_ij = -(w_ij - P(j | i) sum_k w_ik) / 2N.
    """
    count = len(x)
    gradient = torch.zeros_like(x)
    for i in range(count):
        kept = [j for j in range(count) if j != i]
        e = torch.stack([(x[i] @ x[j] / TEMPERATURE).exp() for j in kept])
        p = e / e.sum()
        at = kept.index((i + count // 2) % count)
        w = -p / (1 - p)
        w[at] = 1.0
        gradient[i] = -((w - p * w.sum()) @ x[kept]) / TEMPERATURE / count
    return gradient


def test_invaspread() -> None:
    """One joint batch of 2N rows; every row pulls on itself alone."""
    learner = small_learner("invaspread", "cifar10", IMAGES_A_STEP, 5e-4)
    modules: dict[str, nn.Module] = {"f": SmallResNet18(), "g": nn.Linear(64, DIM)}
    nets = Nets(modules, {"f": "f.0.", "g": "g.0."})
    reference = Trained(learner, nets, ("f", "g"), Sgd(0.9, 5e-4))
    for step in range(STEPS):
        pixels = pictures(IMAGES_A_STEP, step)
        views = views_of(learner, pixels)
        ours = learner.train_step(pixels)
        x = unit(modules["g"](modules["f"](torch.cat(views))))
        reference.finish(step, ours.loss, spread(x, x.detach()))
        nets.compare(learner)


def test_the_gradient_passes_through_row_i_alone() -> None:
    """The loop's gradient is the derivative by hand, and not that of both factors."""
    x = unit(torch.randn(12, DIM, generator=torch.Generator().manual_seed(0)).double())
    x.requires_grad_()
    (one,) = torch.autograd.grad(spread(x, x.detach()), x)
    agree(one, by_formula(x.detach()), "gradient through row i")
    (both,) = torch.autograd.grad(spread(x, x), x)
    assert float((both - one).abs().max()) > 1e-3


def test_invaspread_recipe_is_the_codes() -> None:
    """demo_seen.py: two views alike, tau, SGD, batch 128, drop_last, 301 epochs, steps of lr."""
    program = program_of("invaspread", "cifar10")
    for view in ("a", "b"):
        assert operations(program, view) == [
            ("random_resized_crop", 1), ("color_jitter", 1), ("grayscale", 0.2),
            ("horizontal_flip", 0.5), ("normalize", 1),
        ]  # fmt: skip
    expect_strengths(program, jitter=0.4, least_crop=0.2)
    assert setting(program, "normalize", "std") == (0.2023, 0.1994, 0.201)
    expect_sgd(program, batch=128, epochs=301, decay=5e-4, last_batch="drop")
    assert rates_by_epoch(program, 0, 119, 120, 160, 199, 200, 300) == [
        0.03, 0.03, 0.003, 0.0015, 0.0015, 0.0003, 0.0003,
    ]  # fmt: skip
    assert "temperature = 0.1" in program.spec.text
    widths = {net.name: net.stages[0][1] for net in program.nets}
    assert (widths["f"]["depth"], widths["f"]["stem"]) == (18, "small")
    assert (widths["g"]["width"], widths["g"]["bias"]) == (128, True)
    assert program.states == ()
