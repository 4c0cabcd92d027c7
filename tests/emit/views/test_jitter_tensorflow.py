"""TensorFlow's colour jitter, and additive brightness, against HSV written out in float64."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslang.emit import views
from sslang.emit.draws import stream_key, uniform
from sslang.ops import PRIMITIVES

STRENGTHS = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2}
Image = NDArray[np.float64]


def images(rows: int) -> Tensor:
    """Noise, with a row of grays and one of primary colours."""
    x = torch.rand(rows, 3, 6, 8, generator=torch.Generator().manual_seed(4))
    x[:, :, 0] = torch.linspace(0, 1, 8)
    x[:, :, 1] = torch.tensor([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)]).float().T
    return x


def draws(rows: int) -> NDArray[np.float64]:
    return uniform(stream_key(3, "jitter"), 0, rows, 1 + PRIMITIVES["color_jitter"].draws)


def in_hsv(image: Image, change: Callable[[float, float, float], tuple[float, ...]]) -> Image:
    """`change` of (hue, saturation, value) at every pixel of [3, H, W]."""
    pixels = image.reshape(3, -1).T
    changed = [colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*p))) for p in pixels]
    return np.array(changed).T.reshape(image.shape)


def brighten(image: Image, f: float) -> Image:
    return image * f


def lift(image: Image, f: float) -> Image:
    return image + f


def contrast(image: Image, f: float) -> Image:
    mean = image.mean((1, 2), keepdims=True)
    return (image - mean) * f + mean


def saturate(image: Image, f: float) -> Image:
    return in_hsv(image, lambda h, s, v: (h, min(1.0, s * f), v))


def turn(image: Image, f: float) -> Image:
    return in_hsv(image, lambda h, s, v: ((h + f) % 1.0, s, v))


def by_hand(image: Tensor, factors: Image, order: list[int], additive: bool) -> Tensor:
    ops = (lift if additive else brighten, contrast, saturate, turn)
    x = image.double().numpy()
    for op in order:
        x = np.clip(ops[op](x, float(factors[op])), 0, 1)
    return torch.from_numpy(x).float()


@pytest.mark.parametrize("mode", ["multiplicative", "additive"])
@pytest.mark.parametrize(
    "names", [tuple(STRENGTHS), ("contrast",), ("saturation",), ("brightness", "hue")]
)
def test_the_tensorflow_style_is_tf_images(mode: str, names: tuple[str, ...]) -> None:
    rows, strengths = 24, {n: STRENGTHS[n] for n in names}
    x, u = images(rows), draws(rows)
    out = views.color_jitter(
        x, u, probability=0.8, style="tensorflow", brightness_mode=mode, **strengths
    )
    width = np.array([strengths.get(n, 0.0) for n in STRENGTHS])
    middle = np.array([0.0 if mode == "additive" else 1.0, 1.0, 1.0, 0.0])
    factors = middle + width * (2 * u[:, 1:5] - 1)
    for row in range(rows):
        if u[row, 0] >= 0.8:
            assert torch.equal(out[row], x[row])
            continue
        order = [op for op in np.argsort(u[row, 5:]) if list(STRENGTHS)[op] in names]
        expected = by_hand(x[row], factors[row], order, mode == "additive")
        torch.testing.assert_close(out[row], expected, rtol=0, atol=1e-5)


def test_every_order_in_the_tensorflow_style() -> None:
    orders = np.array(list(permutations(range(4))))
    x = images(24)
    factors = np.tile([0.3, 0.4, 1.9, 0.21], (24, 1))
    every = np.ones(4, dtype=bool)
    out = views.adjust_colour_by_channel(x, np.arange(24), factors, orders, every, "additive")
    expected = [by_hand(x[r], factors[r], list(orders[r]), True) for r in range(24)]
    torch.testing.assert_close(out, torch.stack(expected), rtol=0, atol=1e-5)


def test_additive_brightness_in_the_torchvision_style() -> None:
    rows = 24
    x, u = images(rows), draws(rows)
    out = views.color_jitter(x, u, brightness=0.5, brightness_mode="additive")
    amount = torch.from_numpy(u[:, 1] - 0.5).float()[:, None, None, None]
    torch.testing.assert_close(out, (x + amount).clamp(0, 1), rtol=0, atol=1e-6)
    jitter = {"brightness": 0.5, "contrast": 0.4, "brightness_mode": "additive"}
    both = views.color_jitter(x, u, **jitter)
    for row in range(rows):
        steps = {
            5: lambda image, row=row: views.color_jitter(
                image, u[row : row + 1], brightness=0.5, brightness_mode="additive"
            ),
            6: lambda image, row=row: views.color_jitter(image, u[row : row + 1], contrast=0.4),
        }
        expected = x[row : row + 1]
        for key in sorted(steps, key=lambda key, row=row: u[row, key]):
            expected = steps[key](expected)
        torch.testing.assert_close(both[row : row + 1], expected, rtol=0, atol=1e-6)
