"""i-Mix against its formulas, float64: mixed images and mixed virtual labels, over three steps.

Facts and source: the released code of Lee et al. 2021 (i-Mix; builder.py, method npair). The
crops are the learner's; the mixtures, their partners and shares, the nets, loss and optimizer are
written here again.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sslang
from sslang.train.learner import Learner
from tests.conftest import ROOT
from tests.fidelity.formulas import Nets, Sgd, agree, unit
from tests.fidelity.test_banks import (
    DIM,
    SMALL,
    SmallResNet18,
    Trained,
    pictures,
    sgd_of,
    views_of,
)

SPEC = ROOT / "examples" / "imix.ssl"
ROWS, GROUP, STEPS, TEMPERATURE = 16, 8, 3, 0.2
CHAIN = "imix_views(size, crops, strength, gray)"
UNMIXED = (f"a={CHAIN}", "loss=info_nce_batch(z[a], z[b], temperature)")


def learner_of(recipe: str, *overrides: str) -> Learner:
    given = (*SMALL, "hidden=24", f"batch={ROWS}", f"group={GROUP}", sgd_of(1e-4), *overrides)
    program = sslang.load(SPEC, recipe, given)
    return sslang.compile(program, images=640, seed=3, dtype=torch.float64)


def nets_of() -> Nets:
    """The backbone; linear, batch norm, ReLU, linear, batch norm."""
    head = nn.Sequential(
        nn.Linear(64, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, DIM), nn.BatchNorm1d(DIM)
    )
    return Nets({"f": SmallResNet18(), "g": head}, {"f": "f.0.", "g": "g."})


def numbers_of(learner: Learner, step: int) -> dict[str, Tensor]:
    """The partner and the share of each image in a step."""
    drawing = learner.method.drawing(step, ROWS)
    read = [value.number for value in learner.method.step_code.values if value.number is not None]
    return {name: torch.from_numpy(drawing.number(draw, name)) for draw, name in read}


@pytest.mark.parametrize("recipe", ["default", "cutmix"])
def test_imix(recipe: str) -> None:
    """Query and key of an image are in one batch of 8 images; all 16 keys are compared, and each
    query has two of them as positives, by their shares."""
    learner, plain = learner_of(recipe), learner_of("default", *UNMIXED)
    nets = nets_of()
    reference = Trained(learner, nets, ("f", "g"), Sgd(0.9, 1e-4))
    for step in range(STEPS):
        pixels = pictures(ROWS, step)
        plain.step = step
        mixed, key = views_of(learner, pixels)
        own, same = views_of(plain, pixels)
        assert torch.equal(key, same)
        drawn = numbers_of(learner, step)
        partner, share = drawn["partner"], drawn["weight"].double()
        expect_mixture(recipe, mixed, own, own[partner], share)
        report = learner.train_step(pixels)
        queries, keys = [], []
        for at in range(0, ROWS, GROUP):
            images = torch.cat([mixed[at : at + GROUP], key[at : at + GROUP]])
            z = unit(nets.modules["g"](nets.modules["f"](images)))
            queries.append(z[:GROUP])
            keys.append(z[GROUP:])
        exponentials = (torch.cat(queries) @ torch.cat(keys).T / TEMPERATURE).exp()
        loss = z.new_zeros(())
        for i in range(ROWS):  # the virtual label of image i is i
            label = torch.zeros(ROWS, dtype=torch.float64)
            label[i] += 1 - share[i]
            label[partner[i]] += share[i]
            shares = exponentials[i] / exponentials[i].sum()
            loss = loss - (label * shares.log()).sum() / ROWS
        reference.finish(step, report.loss, loss)
        nets.compare(learner)


def expect_mixture(recipe: str, mixed: Tensor, own: Tensor, other: Tensor, share: Tensor) -> None:
    """(1 - share) of the own image and the share of its partner; or a box of it, of that area."""
    if recipe == "default":
        assert float(share.max()) <= 0.5 < 2 * float(share.max())
        weight = share[:, None, None, None]
        torch.testing.assert_close(mixed, (1 - weight) * own + weight * other, rtol=0, atol=1e-5)
        return
    for image, first, second, area in zip(mixed, own, other, share, strict=True):
        pasted = (image == second).all(0) & (image != first).any(0)
        assert torch.equal(image, torch.where(pasted, second, first))
        if not torch.equal(first, second):
            assert float(pasted.double().mean()) == pytest.approx(float(area), abs=0.02)


def test_an_image_keeps_the_larger_share_unless_the_range_says_otherwise() -> None:
    """The code takes max(lambda, 1 - lambda) of a lambda of Beta(1, 1), which is uniform."""
    code, whole = (numbers_of(learner_of("default", *more), 0)["weight"]
                   for more in ((), ("share=0..1",)))  # fmt: skip
    agree(code, whole / 2, "shares")
    assert float(whole.min()) >= 0 and 0.5 < float(whole.max()) <= 1
