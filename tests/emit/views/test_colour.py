"""Colour ops against torchvision and kornia, with the same parameters."""

from __future__ import annotations

import math
from itertools import permutations

import kornia.color
import kornia.enhance
import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference
from torch import Tensor

from sslang.emit import views
from sslang.emit.draws import stream_key, uniform
from sslang.ops import PRIMITIVES

STRENGTHS = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2}
NAMES = tuple(STRENGTHS)


def images(rows: int) -> Tensor:
    """Noise, flat areas, grays, primary colours and ties between channels."""
    x = torch.rand(rows, 3, 8, 10, generator=torch.Generator().manual_seed(2))
    x[:, :, 0] = torch.tensor([0.0, 1.0, 0.5, 0.25, 0.75, 0.1, 0.2, 0.3, 0.9, 1.0])
    corners = torch.tensor([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)]).T
    x[:, :, 1, :8] = corners.float()
    x[:, 1, 2] = x[:, 0, 2]
    x[:, 2, 3] = x[:, 1, 3]
    x[:, 2, 4] = x[:, 0, 4]
    return x


def draws(rows: int, seed: int = 0) -> np.ndarray:
    return uniform(stream_key(seed, "jitter"), 0, rows, 1 + PRIMITIVES["color_jitter"].draws)


def factors_of(u: np.ndarray, strengths: dict[str, float]) -> np.ndarray:
    low = [max(0.0, 1 - strengths.get(n, 0.0)) for n in NAMES[:3]] + [-strengths.get("hue", 0.0)]
    high = [1 + strengths.get(n, 0.0) for n in NAMES[:3]] + [strengths.get("hue", 0.0)]
    return np.array(low) + (np.array(high) - np.array(low)) * u[:, 1:5]


def by_torchvision(x: Tensor, factors: np.ndarray, order: list[int]) -> Tensor:
    for op in order:
        adjust = getattr(reference, f"adjust_{NAMES[op]}")
        x = adjust(x, float(factors[op]))
    return x


def by_kornia(x: Tensor, factors: np.ndarray, order: list[int]) -> Tensor:
    ops = (
        kornia.enhance.adjust_brightness_accumulative,
        kornia.enhance.adjust_contrast_with_mean_subtraction,
        kornia.enhance.adjust_saturation_with_gray_subtraction,
        lambda image, turns: kornia.enhance.adjust_hue(image, turns * 2 * math.pi),
    )
    for op in order:
        x = ops[op](x[None], torch.tensor([factors[op]], dtype=torch.float32))[0]
    return x


@pytest.mark.parametrize(
    "strengths",
    [STRENGTHS]
    + [{name: value} for name, value in STRENGTHS.items()]
    + [{n: v for n, v in STRENGTHS.items() if n != left_out} for left_out in NAMES],
    ids=lambda strengths: "+".join(strengths),
)
def test_jitter_is_torchvisions_and_kornias(strengths: dict[str, float]) -> None:
    rows = 48
    x, u = images(rows), draws(rows)
    out = views.color_jitter(x, u, probability=0.8, **strengths)
    factors = factors_of(u, strengths)
    for row in range(rows):
        order = [op for op in np.argsort(u[row, 5:]) if NAMES[op] in strengths]
        if u[row, 0] >= 0.8:
            assert torch.equal(out[row], x[row])
            continue
        theirs = by_kornia(x[row], factors[row], order)
        torch.testing.assert_close(out[row], theirs, rtol=0, atol=1e-5)
        # torchvision's weight of red is 0.2989 where kornia and Pillow have 0.299
        theirs = by_torchvision(x[row], factors[row], order)
        torch.testing.assert_close(out[row], theirs, rtol=0, atol=3e-4)


def test_jitter_at_the_usual_strength_is_torchvisions() -> None:
    strengths = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
    rows = 64
    x, u = images(rows), draws(rows, seed=1)
    out = views.color_jitter(x, u, **strengths)
    factors = factors_of(u, strengths)
    theirs = [by_torchvision(x[r], factors[r], list(np.argsort(u[r, 5:]))) for r in range(rows)]
    torch.testing.assert_close(out, torch.stack(theirs), rtol=0, atol=1e-4)


def test_every_order_of_the_four_ops() -> None:
    orders = np.array(list(permutations(range(4))))
    x = images(24)
    factors = np.tile([1.7, 0.4, 1.9, 0.21], (24, 1))
    out = views.adjust_colour(x, np.arange(24), factors, orders, np.ones(4, dtype=bool))
    theirs = torch.stack([by_kornia(x[r], factors[r], list(orders[r])) for r in range(24)])
    torch.testing.assert_close(out, theirs, rtol=0, atol=1e-5)
    assert len({tuple(image.flatten().tolist()) for image in out[:, :, 5:] - x[:, :, 5:]}) == 24


def test_orders_are_drawn_per_image_and_equally_often() -> None:
    keys = uniform(stream_key(0, "jitter"), 0, 24_000, 9)[:, 5:]
    orders, counts = np.unique(np.argsort(keys, axis=1), axis=0, return_counts=True)
    assert len(orders) == 24
    assert np.abs(counts - 1000).max() < 5 * math.sqrt(1000)


def test_jitter_without_strength_is_the_identity() -> None:
    x, u = images(8), draws(8)
    assert views.color_jitter(x, u) is x
    neutral = np.tile([1.0, 1.0, 1.0, 0.0], (8, 1))
    order = np.argsort(u[:, 5:], axis=1)
    out = views.adjust_colour(x, np.arange(8), neutral, order, np.ones(4, dtype=bool))
    torch.testing.assert_close(out, x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("turns", [-0.5, -1 / 3, -0.1, 0.0, 1 / 6, 0.25, 0.5])
def test_hue_is_kornias_and_torchvisions(turns: float) -> None:
    x = images(4)
    factors = np.tile([1.0, 1.0, 1.0, turns], (4, 1))
    only_hue = np.array([False, False, False, True])
    order = np.tile(np.arange(4), (4, 1))
    out = views.adjust_colour(x, np.arange(4), factors, order, only_hue)
    theirs = kornia.enhance.adjust_hue(x, torch.full((4,), turns * 2 * math.pi))
    torch.testing.assert_close(out, theirs, rtol=0, atol=1e-5)
    torch.testing.assert_close(out, reference.adjust_hue(x, turns), rtol=0, atol=1e-5)


def test_grayscale_keeps_three_channels() -> None:
    x = images(8)
    out = views.grayscale(x, np.zeros((8, 1)))
    theirs = kornia.color.rgb_to_grayscale(x).expand(-1, 3, -1, -1)
    torch.testing.assert_close(out, theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(out, reference.rgb_to_grayscale(x, 3), rtol=0, atol=1.1e-4)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_solarize_is_torchvisions_and_kornias(threshold: float) -> None:
    x = images(8)
    out = views.solarize(x, np.zeros((8, 1)), threshold=threshold)
    assert torch.equal(out, reference.solarize(x, threshold))
    if threshold < 1.0:
        torch.testing.assert_close(out, kornia.enhance.solarize(x, threshold), rtol=0, atol=1e-6)


def test_normalize_is_torchvisions() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    x = images(8)
    before = x.clone()
    out = views.normalize(x, mean=mean, std=std)
    torch.testing.assert_close(out, reference.normalize(x, list(mean), list(std)))
    assert torch.equal(x, before)


def test_to_float_scales_bytes_alone() -> None:
    stored = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    theirs = reference.to_dtype(stored, torch.float32, scale=True)
    torch.testing.assert_close(views.to_float(stored), theirs, rtol=0, atol=1e-7)
    x = torch.rand(1, 3, 2, 2)
    assert views.to_float(x) is x
