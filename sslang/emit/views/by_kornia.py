"""The view ops by kornia's functional API: what each op means, before a faster form replaces it.

Each function takes what the function of the same name in `sslang.emit.views` takes, reads the
same numbers in `u` and agrees with it to 1e-5 (of 100 in Lab). What kornia has not, or has
otherwise, is not here and stays ours: crops, resizes and padding (kornia's crop does not
antialias), patches, channels, clipping, and the ops in `CLOSED`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from kornia import color, enhance, filters
from kornia.geometry import transform
from torch import Tensor

from sslang.emit.views.filters import Border, blur_taps, drawn_sigmas
from sslang.emit.views.jitter import (
    Mode,
    Step,
    Style,
    drawn_factors,
    drawn_order,
    take_steps,
    without_idle,
)
from sslang.emit.views.rows import Draws, apply_to_rows, drawn_rows, to_device

CLOSED: dict[str, str] = {
    "to_ycbcr": "kornia's YCbCr is of full range in 0..1 with weights rounded to three digits, "
    "where CMC's code has skimage's Y in 16..235 and Cb, Cr in 16..240.",
}


def horizontal_flip(x: Tensor, u: Draws, *, probability: float = 1.0) -> Tensor:
    """Return `x`, [B, C, H, W], with the drawn rows mirrored left to right; `u` is [B, 1]."""
    return apply_to_rows(x, drawn_rows(u, probability), transform.hflip)


def vertical_flip(x: Tensor, u: Draws, *, probability: float = 1.0) -> Tensor:
    """Return `x`, [B, C, H, W], with the drawn rows mirrored top to bottom; `u` is [B, 1]."""
    return apply_to_rows(x, drawn_rows(u, probability), transform.vflip)


def grayscale(x: Tensor, u: Draws, *, probability: float = 1.0) -> Tensor:
    """Return `x`, [B, 3, H, W], with the drawn rows without colour; `u` is [B, 1]."""

    return apply_to_rows(
        x,
        drawn_rows(u, probability),
        lambda part: color.grayscale_to_rgb(color.rgb_to_grayscale(part)),
    )


def solarize(x: Tensor, u: Draws, *, probability: float = 1.0, threshold: float = 0.5) -> Tensor:
    """Return `x` with every value of the drawn rows at or above `threshold` inverted.

    `u` is [B, 1]. kornia gets the threshold as a tensor, for with a number it waits for the device.
    """
    rows = drawn_rows(u, probability)
    thresholds = np.full(len(rows), threshold)
    return apply_to_rows(
        x, rows, lambda part: enhance.solarize(part, to_device(thresholds, part.device))
    )


def normalize(x: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return (x - mean) / std for each channel of `x`, [B, C, H, W]."""
    means, deviations = to_device(np.array([mean, std]), x.device).unbind(0)
    normal: Tensor = enhance.normalize(x, means, deviations)
    return normal


def to_gray(x: Tensor) -> Tensor:
    """Return the grey value of RGB `x`, [B, 3, H, W], alone: [B, 1, H, W]."""
    gray: Tensor = color.rgb_to_grayscale(x)
    return gray


def to_lab(x: Tensor) -> Tensor:
    """Return RGB `x` in 0..1, [B, 3, H, W], as CIE L*a*b*, L in 0..100.

    Off the CPU kornia waits for the device twice: it copies a matrix and the white point there.
    """
    with _float32_throughout(x.device):
        lab: Tensor = color.rgb_to_lab(x)
    return lab


def gaussian_blur(
    x: Tensor,
    u: Draws,
    *,
    probability: float = 1.0,
    sigma: tuple[float, float] = (0.1, 2.0),
    kernel: int | None = None,
    border: Border = "reflect",
) -> Tensor:
    """Return `x`, [B, C, H, W], with the drawn rows blurred, sigma uniform in `sigma`.

    `u` is [B, 1 + 1]; the settings are those of `sslang.emit.views.gaussian_blur`, and so is the
    ValueError. The sigmas stay on the host until kornia has seen that they are positive, so that
    it doesn't wait for the device.
    """
    taps = blur_taps(x, kernel)
    rows = drawn_rows(u, probability)
    sigmas = torch.from_numpy(drawn_sigmas(u[rows], sigma).astype(np.float32))
    beyond = "reflect" if border == "reflect" else "constant"

    def blur(part: Tensor) -> Tensor:
        both = sigmas[:, None].expand(-1, 2)
        with _float32_throughout(part.device):
            blurred: Tensor = filters.gaussian_blur2d(part, (taps, taps), both, beyond)
        return blurred

    return apply_to_rows(x, rows, blur)


def color_jitter(
    x: Tensor,
    u: Draws,
    *,
    probability: float = 1.0,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
    brightness_mode: Mode = "multiplicative",
    style: Style = "torchvision",
) -> Tensor:
    """Return `x` with random brightness, contrast, saturation and hue of the drawn rows.

    `u` is [B, 1 + 8], read as `sslang.emit.views.color_jitter` reads it.
    """
    strengths = np.array([brightness, contrast, saturation, hue])
    rows = drawn_rows(u, probability)
    if len(rows) == 0 or not strengths.any():
        return x
    factors = drawn_factors(u[rows], strengths, brightness_mode)
    sequence = without_idle(drawn_order(u[rows]), strengths != 0)
    steps = _steps(brightness_mode, style)
    return apply_to_rows(x, rows, lambda part: take_steps(part, sequence, factors, steps))


def _steps(brightness_mode: Mode, style: Style) -> tuple[Step, Step, Step, Step]:
    """Return brightness, contrast, saturation and hue as functions of images and factors [n]."""
    added = brightness_mode == "additive"
    brightness = enhance.adjust_brightness if added else enhance.adjust_brightness_accumulative
    if style == "tensorflow":
        return brightness, _contrast_by_channel, _saturation_of_hsv, _hue
    return (
        brightness,
        enhance.adjust_contrast_with_mean_subtraction,
        enhance.adjust_saturation_with_gray_subtraction,
        _hue,
    )


def _contrast_by_channel(x: Tensor, factor: Tensor) -> Tensor:
    """Return each channel moved away from its mean, by giving it to kornia as a grey image."""
    planes = x.flatten(0, 1)[:, None]
    factors = factor.repeat_interleave(x.shape[1], output_size=len(planes))
    moved: Tensor = enhance.adjust_contrast_with_mean_subtraction(planes, factors)
    return moved.view_as(x)


def _saturation_of_hsv(x: Tensor, factor: Tensor) -> Tensor:
    """Return `x` with HSV's saturation multiplied; kornia's rounding may leave 0..1, so clamped."""
    scaled: Tensor = enhance.adjust_saturation(x, factor)
    return scaled.clamp_(0.0, 1.0)


def _hue(x: Tensor, turns: Tensor) -> Tensor:
    """Return `x` with its hue moved by `turns`, which kornia takes in radians."""
    moved: Tensor = enhance.adjust_hue(x, turns * (2 * math.pi))
    return moved


@contextmanager
def _float32_throughout(device: torch.device) -> Iterator[None]:
    """Compute kornia's convolutions in float32: without autocast, and without TF32 on a card."""
    with (
        torch.autocast(device_type=device.type, enabled=False),
        torch.backends.cudnn.flags(
            enabled=None, benchmark=None, benchmark_limit=None, deterministic=None,
            allow_tf32=False, fp32_precision=None,
        ),
    ):  # fmt: skip
        yield
