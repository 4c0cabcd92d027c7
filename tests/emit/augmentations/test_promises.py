"""What the types of the ops of kornia promise, on real and on odd images of odd sizes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from sslang.data.embedded import embedded
from sslang.emit.method import Method
from sslang.types import ViewType
from tests.emit.augmentations.table import CASES
from tests.emit.augmentations.test_ranges import errors
from tests.emit.test_view_draws import method

ROWS = 8
ROUNDING = 1e-6  # of a weighted mean of values of which the largest is 1

# Settings at which an op is at its strongest, beside those of the table.
STRONG = [
    "color_jiggle(1, 1, 9, 0.5)", "brightness(0..2)", "contrast(9)", "saturation(9)", "hue(0.5)",
    "gamma(0..9, gain = 0..9)", "clahe(0..99, grid = 2)", "posterize(0..8)",
    "random_solarize(0..1, addition = -0.5..0.5)", "rgb_shift(1, 1, 1)",
    "resize(1)", "resize(20, interpolation = nearest)", "resize(31, interpolation = bicubic)",
    "pad_to(50, value = 2)", "pad_to(50, border = replicate)", "box_blur(3, border = circular)",
    "median_blur(9)", "motion_blur(3..9, border = replicate, interpolation = bilinear)",
    "sharpness(0..9)", "jpeg(1)", "jpeg(100)", "rotation(360, interpolation = bicubic)",
    "affine(360, translate = 1, scale = 0.01..10, shear = 89)", "shear(89, 89)",
    "translate(1, 1)", "perspective(1)", "perspective(1, sampling = area_preserving)",
    "thin_plate_spline(1)", "elastic_transform", "elastic_transform(999, sigma = 0.1)",
    "fisheye(-1..1, -1..1, gamma = 0.01..9)", "fisheye(0..0, 0..0, gamma = 0.01..0.01)",
    "gaussian_illumination(1, center = 0..1, sigma = 0.001..1)", "linear_illumination(1)",
    "linear_corner_illumination(1)", "plasma_brightness(0..1, 1..1)", "plasma_contrast(1..1)",
    "plasma_shadow(0..1, -1..-1)", "mosaic(0..1)", "cutmix(0.01)", "jigsaw(11)", "jigsaw(2)",
    "gaussian_noise(9)", "salt_and_pepper_noise(1)", "random_erasing(0..1, ratio = 0.01..99)",
    "rand_augment(15, 29)", "rain(99..999, height = 1..5, width = -5..5)",
    "snow(0..1, brightness = 1..99)",
]  # fmt: skip
CHAINS = [*(c.written for c in CASES), *STRONG]
BEFORE = ["random_crop(17)", "random_crop(33, padding = 1)",
          "random_crop(32) | patches(16, stride = 16)",
          "random_crop(9) | to_gray", "random_crop(6) | channels(0, 1)",
          "random_crop(1)"]  # fmt: skip


@cache
def images() -> Tensor:
    """Black, white, grey, noise, few values, a bright corner, and two drawings."""
    noise = torch.randint(0, 256, (3, 48, 48), generator=torch.Generator().manual_seed(0))
    pixels = torch.zeros(ROWS, 3, 48, 48, dtype=torch.uint8)
    pixels[1], pixels[2], pixels[3], pixels[4] = 255, 128, noise, noise // 100 * 100
    pixels[5, :, :8, :8] = 255
    source = embedded("train")
    for row in (6, 7):
        drawing = torch.from_numpy(source.read(row)).permute(2, 0, 1)
        pixels[row] = drawing.repeat(1, 2, 2)[:, :48, :48]
    return pixels


def type_of(of: Method) -> ViewType:
    """The type of the view `a`."""
    (found,) = {n.type for n in of.program.step.nodes if n.name == "a"}
    assert isinstance(found, ViewType)
    return found


@pytest.mark.parametrize("chain", CHAINS)
def test_images_are_what_their_type_says(chain: str) -> None:
    accepted = 0
    for before in BEFORE:
        written = f"{before} | {chain}"
        found = errors(written)
        assert {code for code, _ in found} <= {"E301", "E302", "E309"}, found
        if found:
            continue
        accepted += 1
        of = method(written, passes=())
        (view,) = of.views(images(), np.full((ROWS, 2), 48), 5)
        due = type_of(of)
        assert view.shape == (ROWS * due.patches, due.channels, due.size, due.size)
        assert view.dtype == torch.float32
        assert view.isfinite().all()
        if due.unit:
            assert view.min() >= -ROUNDING and view.max() <= 1 + ROUNDING
    assert accepted
