"""Patches and padding."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import unfold

from sslang.emit import views
from sslang.emit.draws import stream_key, uniform
from sslang.emit.graph import square_sizes
from sslang.ops import PRIMITIVES


def test_patches_are_windows_row_by_row() -> None:
    x = torch.rand(3, 2, 20, 20)
    out = views.patches(x, size=8, stride=4)
    assert out.shape == (3 * 4 * 4, 2, 8, 8)
    for image in range(3):
        for row in range(4):
            for column in range(4):
                patch = x[image, :, 4 * row : 4 * row + 8, 4 * column : 4 * column + 8]
                assert torch.equal(out[16 * image + 4 * row + column], patch)
    columns = unfold(x, 8, stride=4)  # [B, C * 64, 16]
    assert torch.equal(out.view(3, 16, -1), columns.transpose(1, 2))


def test_an_image_of_256_has_cpcs_49_patches() -> None:
    assert views.patches(torch.zeros(2, 1, 256, 256), size=64, stride=32).shape[0] == 2 * 49


def test_padding_centres_the_image() -> None:
    x = torch.rand(2, 3, 5, 5) + 1
    out = views.pad(x, size=8)
    assert torch.equal(out[:, :, 1:6, 1:6], x)
    assert int(out.count_nonzero()) == x.numel()
    assert torch.equal(views.pad(x, size=5), x)


def test_a_patch_cropped_and_padded_keeps_values_beyond_0_to_1() -> None:
    """CPC's chain after `normalize`: 60 of 64 pixels at a random place, back amid zeros."""
    x = torch.randn(2, 1, 24, 24) * 3
    patches = views.patches(x, size=8, stride=8)
    count = 1 + PRIMITIVES["random_crop"].draws
    u = uniform(stream_key(0, "patches"), 0, len(patches), count)
    crops = views.random_crop(patches, square_sizes(patches), u, size=6)
    out = views.pad(crops, size=8)
    places = np.floor(u[:, 1:] * 3).astype(int)
    for patch, cropped, (top, left) in zip(patches, out, places, strict=True):
        expected = patch[:, top : top + 6, left : left + 6]
        torch.testing.assert_close(cropped[:, 1:7, 1:7], expected, rtol=0, atol=1e-6)
    assert len({tuple(place) for place in places.tolist()}) > 3
    middle = views.center_crop(patches, square_sizes(patches), size=6)
    torch.testing.assert_close(middle, patches[:, :, 1:7, 1:7], rtol=0, atol=1e-6)
