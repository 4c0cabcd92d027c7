"""Gaussian blur against kornia and torchvision, with the same sigmas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference
from kornia.filters import gaussian_blur2d
from torch import Tensor
from torch.nn.functional import conv2d

from sslang.emit import views
from sslang.emit.draws import stream_key, uniform
from sslang.emit.views.filters import _by_matrices, _by_taps, default_kernel
from sslang.ops import PRIMITIVES

ROWS = 10


def draws() -> np.ndarray:
    return uniform(stream_key(0, "blur"), 0, ROWS, 1 + PRIMITIVES["gaussian_blur"].draws)


@pytest.mark.parametrize("shape", [(16, 16), (14, 20)])
@pytest.mark.parametrize("kernel", [3, 9, 23])
def test_blur_is_kornias_and_torchvisions(shape: tuple[int, int], kernel: int) -> None:
    x = torch.rand(ROWS, 3, *shape)
    u = draws()
    sigma = 0.1 + 1.9 * u[:, 1]
    out = views.gaussian_blur(x, u, sigma=(0.1, 2.0), kernel=kernel)
    both = torch.tensor(sigma, dtype=torch.float32)[:, None].expand(-1, 2)
    torch.testing.assert_close(out, gaussian_blur2d(x, kernel, both), rtol=0, atol=1e-5)
    for row in range(ROWS):
        theirs = reference.gaussian_blur(x[row], [kernel, kernel], [float(sigma[row])])
        torch.testing.assert_close(out[row], theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("taps", [3, 7, 15])
def test_the_two_ways_agree(taps: int) -> None:
    x = torch.rand(ROWS, 3, 9, 12)
    profile = torch.rand(ROWS, taps)
    profile = profile + profile.flip(1)
    torch.testing.assert_close(_by_taps(x, profile), _by_matrices(x, profile), rtol=0, atol=2e-4)


def test_the_default_kernel_is_a_tenth_of_the_image_made_odd() -> None:
    widths = (16, 32, 64, 96, 112, 128, 224)
    assert [default_kernel(width) for width in widths] == [3, 3, 7, 9, 11, 13, 23]
    x, u = torch.rand(ROWS, 3, 64, 64), draws()
    assert torch.equal(views.gaussian_blur(x, u), views.gaussian_blur(x, u, kernel=7))


def test_a_vanishing_sigma_is_the_identity_and_a_flat_image_stays_flat() -> None:
    x, u = torch.rand(ROWS, 3, 16, 16), draws()
    out = views.gaussian_blur(x, u, sigma=(0.05, 0.05))
    torch.testing.assert_close(out, x, rtol=0, atol=1e-6)
    flat = torch.full((ROWS, 3, 16, 16), 0.7)
    torch.testing.assert_close(views.gaussian_blur(flat, u, kernel=9), flat, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kernel", [4, 17])
def test_a_kernel_that_does_not_suit_the_image_is_refused(kernel: int) -> None:
    with pytest.raises(ValueError, match=f"kernel of {kernel} taps"):
        views.gaussian_blur(torch.rand(ROWS, 3, 8, 8), draws(), kernel=kernel)


def test_every_row_is_blurred_by_its_own_number() -> None:
    x, u = torch.rand(ROWS, 3, 16, 16), draws()
    out = views.gaussian_blur(x, u, probability=0.5, kernel=9)
    changed = [not torch.equal(a, b) for a, b in zip(out, x, strict=True)]
    assert changed == (u[:, 0] < 0.5).tolist(), "which rows are blurred is drawn for each"
    u[:, 1] = u[0, 1]
    same = views.gaussian_blur(x[:1].expand(ROWS, -1, -1, -1), u, kernel=9)
    torch.testing.assert_close(same, same[:1].expand(ROWS, -1, -1, -1), rtol=0, atol=0)
    assert len(views.gaussian_blur(x[:0], u[:0])) == 0


@pytest.mark.parametrize("way", [_by_taps, _by_matrices])
def test_zeros_beyond_the_border_are_a_plain_convolution(way: Callable[..., Tensor]) -> None:
    """TensorFlow's depthwise convolution with "SAME" padding, which darkens the rim."""
    x, taps = torch.rand(ROWS, 3, 12, 15), 7
    profile = torch.rand(ROWS, taps)
    profile = (profile + profile.flip(1)) / 2
    out = way(x, profile, "zeros")
    for row in range(ROWS):
        kernel = torch.outer(profile[row], profile[row]).expand(3, 1, taps, taps)
        expected = conv2d(x[row : row + 1], kernel, padding=taps // 2, groups=3)[0]
        torch.testing.assert_close(out[row], expected, rtol=0, atol=2e-5)


def test_the_border_matters_at_the_rim_alone() -> None:
    x, u = torch.rand(ROWS, 1, 16, 16), draws()
    reflected = views.gaussian_blur(x, u, kernel=5)
    zeros = views.gaussian_blur(x, u, kernel=5, border="zeros")
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    torch.testing.assert_close(reflected[inside], zeros[inside], rtol=0, atol=1e-6)
    assert not torch.equal(reflected, zeros)
