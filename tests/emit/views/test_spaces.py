"""Colour spaces and channels against kornia and against skimage's formulas in float64."""

from __future__ import annotations

import kornia.color
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslang.emit import views

CORNERS = torch.tensor([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)]).float()


def images() -> Tensor:
    """Noise, the corners of the cube, and the dark values where the curves are straight."""
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x[0, :, 0] = CORNERS.T
    x[1] *= 0.05
    x[2] = x[2, :1]
    return x


def lab_of(x: Tensor) -> NDArray[np.float64]:
    """CIE's definition of L*a*b* over sRGB, with skimage's constants; [B, 3, H, W]."""
    rgb = x.double().numpy()
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    matrix = np.array([[0.412453, 0.357580, 0.180423],
                       [0.212671, 0.715160, 0.072169],
                       [0.019334, 0.119193, 0.950227]])  # fmt: skip
    xyz = np.einsum("ij,bjhw->bihw", matrix, linear) / np.reshape([0.95047, 1, 1.08883], (3, 1, 1))
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )


def test_lab_is_skimages_and_kornias() -> None:
    x = images()
    before = x.clone()
    out = views.to_lab(x)
    expected = torch.from_numpy(lab_of(x)).float()
    torch.testing.assert_close(out, expected, rtol=0, atol=3e-4)  # of 100: 3e-6 of the range
    torch.testing.assert_close(out, kornia.color.rgb_to_lab(x), rtol=0, atol=3e-4)
    assert torch.equal(x, before)


def test_known_colours_in_lab() -> None:
    """White, black, red, green and blue, as tables of sRGB colours under D65 have them."""
    colours = torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    known = [[100.0, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18],
             [32.30, 79.19, -107.86]]  # fmt: skip
    out = views.to_lab(colours[:, :, None, None])[:, :, 0, 0]
    torch.testing.assert_close(out, torch.tensor(known), rtol=0, atol=0.02)


def test_ycbcr_is_bt_601() -> None:
    """Y = 16 + 219 luma; Cb and Cr are 128 + 224 times the scaled distances of B and R from it."""
    x = images()
    red, green, blue = x.double().unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    expected = torch.stack(
        [
            16 + 219 * luma,
            128 + 224 * (blue - luma) / (2 - 2 * 0.114),
            128 + 224 * (red - luma) / (2 - 2 * 0.299),
        ],
        dim=1,
    )
    out = views.to_ycbcr(x)
    torch.testing.assert_close(out, expected.float(), rtol=0, atol=2e-3)  # rounded constants
    assert 16 - 1e-3 <= float(out[:, 0].min()) <= float(out[:, 0].max()) <= 235 + 1e-3


def test_ycbcr_has_skimages_constants() -> None:
    matrix = torch.tensor([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0],
                           [112.0, -93.786, -18.214]]).double()  # fmt: skip
    x = images()
    offset = torch.tensor([16.0, 128.0, 128.0]).double()[:, None, None]
    expected = torch.einsum("ij,bjhw->bihw", matrix, x.double()) + offset
    torch.testing.assert_close(views.to_ycbcr(x), expected.float(), rtol=0, atol=1e-4)


def test_gray_is_kornias_in_one_channel() -> None:
    x = images()
    out = views.to_gray(x)
    assert out.shape == (4, 1, 8, 8)
    torch.testing.assert_close(out, kornia.color.rgb_to_grayscale(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("chosen", [(0,), (2,), (1, 2), (2, 0), (2, 1, 0)])
def test_channels_are_picked_in_their_order(chosen: tuple[int, ...]) -> None:
    x = images()
    named = dict(zip(("first", "second", "third"), chosen, strict=False))
    out = views.channels(x, **named)
    assert torch.equal(out, x[:, list(chosen)])
    assert out.is_contiguous()


def test_clip_clamps_a_copy() -> None:
    x = images() * 3 - 1
    before = x.clone()
    assert torch.equal(views.clip_values(x), before.clamp(0, 1))
    assert torch.equal(x, before)


@pytest.mark.parametrize("op", ["to_lab", "to_ycbcr", "to_gray", "clip_values"])
def test_no_rows_is_no_rows(op: str) -> None:
    assert len(getattr(views, op)(images()[:0])) == 0
