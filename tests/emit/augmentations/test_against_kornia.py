"""Each op of kornia: the same images as kornia's class gives, bit for bit, by the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sslang.emit.augmentations import Drawn
from sslang.emit.augmentations.fields import Fields
from sslang.emit.augmentations.form import seeded
from sslang.emit.method import Method
from sslang.emit.view_draws import is_augmentation
from sslang.ops import PRIMITIVES
from tests.emit.augmentations.table import CASES, Case, of_policy
from tests.emit.test_view_draws import BATCH, in_parts, method, whole

RANDOM = [c for c in CASES if PRIMITIVES[c.op].evaluation != "keep"]
STEPPED = [c for c in RANDOM if any(p.name == "per" for p in PRIMITIVES[c.op].settings)]
PARTNERS = {"partner", "mixup_pairs", "mix_pairs"}
REDRAWN = {"order", "ksize_factor", "times"}  # what kornia draws otherwise, or once a batch
ROWS = np.arange(BATCH)


def test_every_op_of_kornia_has_a_case() -> None:
    ops = {n for n, p in PRIMITIVES.items() if p.kind == "view" and is_augmentation(n)}
    assert ops == {c.op for c in CASES}


def images() -> Tensor:
    """Noise, and images that are black, white, grey, of a ramp, and of few values."""
    pixels = torch.randint(0, 256, (BATCH, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    pixels[0], pixels[1], pixels[2] = 0, 255, 128
    pixels[3] = torch.arange(32) * 8
    pixels[4] = pixels[4] // 100 * 100
    pixels[5:12] = pixels[5:12] // 4  # dark ones
    return pixels.to(torch.uint8)


def originals() -> Tensor:
    """The images as the op is given them."""
    return whole(method("random_crop(32)", passes=()), images())


def of_case(written: str) -> Method:
    return method(f"random_crop(32) | {written}", passes=())


def drawn(of: Method) -> Drawn:
    found = of.drawing(5, BATCH).augmented(of.view_code.draws[-1], ROWS)
    assert isinstance(found, Drawn)
    return found


def same(found: Tensor, expected: Tensor) -> bool:
    """Whether two batches have the same bits."""
    return found.dtype == expected.dtype and torch.equal(found, expected)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.written)
def test_the_images_are_those_of_kornias_class(case: Case) -> None:
    of = of_case(case.written)
    x = originals()
    numbers = drawn(of).numbers if case in RANDOM else {}
    every = whole(of, images())
    assert same(every, case.expected(x, numbers))
    assert same(in_parts(of, images()), every)
    if case in RANDOM:
        half = of_case(f"{case.written} @ 0.5")
        rows = drawn(half).rows
        assert 0 < len(rows) < BATCH
        some = whole(half, images())
        others = np.setdiff1d(ROWS, rows)
        assert same(some[rows], every[rows]), "those drawn are as with 1"
        assert same(some[others], x[others]), "the others are untouched"
        assert same(in_parts(half, images()), some)


@pytest.mark.parametrize("case", STEPPED, ids=lambda c: c.written)
def test_with_per_step_all_rows_have_the_same_numbers(case: Case) -> None:
    """But for whom they are mixed with, and for the magnitudes of a policy's one choice."""
    of = of_case(case.with_setting("per = step"))
    numbers = drawn(of).numbers
    own = ("chosen",) if "chosen" in numbers else set(numbers) - PARTNERS
    for name in own:
        assert (numbers[name] == numbers[name][:1]).all(), name
    x = originals()
    every = whole(of, images())
    assert same(every, case.expected(x, numbers, per_step="chosen" not in numbers))
    assert same(in_parts(of, images()), every)


@pytest.mark.parametrize(
    "case", [c for c in RANDOM if c.applied is not of_policy], ids=lambda c: c.written
)
def test_the_numbers_are_drawn_by_kornias_class(case: Case) -> None:
    """By its own generator: of the whole batch under one seed, of fields row by row."""
    of = of_case(case.written)
    draw = of.view_code.draws[-1]
    numbers = drawn(of).numbers
    drawing = of.drawing(5, BATCH)
    source = draw.source(drawing.key, drawing.step, BATCH)
    module = case.kind(**case.arguments)
    if isinstance(draw.form, Fields):
        row = 7
        with seeded(source.seeds(ROWS)[row]):
            expected = module.generate_parameters(torch.Size((1, 3, 32, 32)))
        for name, value in expected.items():
            own = numbers[name][row]  # of rain, with drops of nothing behind its own
            assert torch.equal(own[: len(value[0])] if own.ndim else own, value[0]), name
        return
    with seeded(source.seed()):
        expected = module.generate_parameters(torch.Size((BATCH, 3, 32, 32)))
    compared = set(expected) & set(numbers) - REDRAWN
    assert compared or not numbers or case.op == "rotation90"
    for name in compared:
        whole_batch = expected[name][0] if case.op == "cutmix" else expected[name]
        assert torch.equal(numbers[name], whole_batch), name
