"""Primitives on views: each draws once an image, and is a step of a chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from sslang.ops.declare import Misfit, view_op
from sslang.types import Interval, ViewType

Interpolation = Literal["bilinear", "bicubic"]


def _sized(x: ViewType, op: str) -> ViewType:
    if x.size is None:
        raise Misfit(
            f"`{op}` needs images of one size, and here they may still differ",
            "begin the chain with random_resized_crop(size), or resize(size) | center_crop(size)",
            "E603",
        )
    return x


def _positive(size: int, what: str) -> int:
    if not 1 <= size <= 4096:
        raise Misfit(f"{what} is {size}; it must lie in 1..4096", code="E309")
    return size


def _share(value: float, what: str) -> None:
    if not 0 <= value <= 1:
        raise Misfit(f"{what} is {value}; it must lie in 0..1", code="E309")


@view_op("sslang.emit.views.random_resized_crop", draws=22, evaluation="crop", takes_sizes=True)
def random_resized_crop(
    x: ViewType,
    size: int,
    scale: Interval = Interval(0.08, 1.0),
    ratio: Interval = Interval(0.75, 4 / 3),
    interpolation: Interpolation = "bilinear",
) -> ViewType:
    """A random box, resized to size x size.

    Its area is uniform in `scale` (shares of the image), the logarithm of its width over its
    height uniform in `ratio`; ten attempts to fit it, then the largest box in the middle: the
    algorithm of torchvision's RandomResizedCrop, with antialiased resampling. Draws a box for
    each image. In evaluation: resize and centre crop.
    """
    if not 0 < scale.low <= scale.high <= 1:
        raise Misfit(f"scale = {scale}: shares of the area lie in 0..1", code="E309")
    if not 0 < ratio.low <= ratio.high:
        raise Misfit(f"ratio = {ratio}: width over height is positive", code="E309")
    return replace(x, size=_positive(size, "the size of the crop"))


@view_op("sslang.emit.views.evaluation_crop", evaluation="keep", takes_sizes=True)
def resize_and_crop(
    x: ViewType, size: int, crop: float = 0.875, interpolation: Interpolation = "bilinear"
) -> ViewType:
    """The shorter side resized to round(size / crop), then the middle size x size cut out."""
    if not 0.1 <= crop <= 1:
        raise Misfit(f"crop is {crop}; it must lie in 0.1..1", code="E309")
    return replace(x, size=_positive(size, "the size of the crop"))


@view_op("sslang.emit.views.random_crop", draws=2, evaluation="crop", takes_sizes=True)
def random_crop(x: ViewType, size: int, padding: int = 0) -> ViewType:
    """A size x size box at a random place, after `padding` black pixels on every side."""
    if x.size is not None and x.size + 2 * padding < size:
        raise Misfit(
            f"a crop of {size} does not fit images of {x.size} with a padding of {padding}",
            code="E309",
        )
    return replace(x, size=_positive(size, "the size of the crop"))


@view_op("sslang.emit.views.horizontal_flip")
def horizontal_flip(x: ViewType) -> ViewType:
    """The image mirrored, left for right. Mostly `horizontal_flip @ 0.5`."""
    return _sized(x, "horizontal_flip")


@view_op("sslang.emit.views.vertical_flip")
def vertical_flip(x: ViewType) -> ViewType:
    """The image mirrored, top for bottom."""
    return _sized(x, "vertical_flip")


@view_op("sslang.emit.views.color_jitter", draws=8)
def color_jitter(
    x: ViewType,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
) -> ViewType:
    """Brightness, contrast, saturation and hue changed by random amounts, in a random order.

    The factors are uniform in 1 - b .. 1 + b (not below 0), the hue in -h .. h turns; brightness
    is multiplicative; each step clips to 0..1. Both the amounts and the order are drawn for each
    image. The formulas are torchvision's.
    """
    if min(brightness, contrast, saturation) < 0 or not 0 <= hue <= 0.5:
        raise Misfit("color_jitter takes amounts of 0 or more, and a hue in 0..0.5", code="E309")
    _rgb(x, "color_jitter")
    return _sized(x, "color_jitter")


@view_op("sslang.emit.views.grayscale")
def grayscale(x: ViewType) -> ViewType:
    """The grey value 0.299 R + 0.587 G + 0.114 B in all three channels."""
    _rgb(x, "grayscale")
    return _sized(x, "grayscale")


@view_op("sslang.emit.views.gaussian_blur", draws=1)
def gaussian_blur(
    x: ViewType, sigma: Interval = Interval(0.1, 2.0), kernel: int | None = None
) -> ViewType:
    """Gaussian blur, its sigma in pixels drawn for each image, borders reflected.

    `kernel` is the odd size of the window in pixels; without it a tenth of the image, made odd,
    at least 3 (23 at 224 pixels).
    """
    if not 0 < sigma.low <= sigma.high:
        raise Misfit(f"sigma = {sigma}: it must be positive", code="E309")
    if kernel is not None and (kernel % 2 == 0 or kernel < 1):
        raise Misfit(f"the kernel is {kernel}; it must be odd and positive", code="E309")
    return _sized(x, "gaussian_blur")


@view_op("sslang.emit.views.solarize")
def solarize(x: ViewType, threshold: float = 0.5) -> ViewType:
    """Values at or above the threshold are inverted: v becomes 1 - v."""
    _share(threshold, "the threshold")
    return _sized(x, "solarize")


@view_op("sslang.emit.views.normalize", evaluation="keep")
def normalize(x: ViewType, mean: tuple[float, ...], std: tuple[float, ...]) -> ViewType:
    """(v - mean) / std for each channel; values before it are in 0..1."""
    if len(mean) != x.channels or len(std) != x.channels:
        raise Misfit(f"normalize needs a mean and a std for each of {x.channels} channels")
    if min(std) <= 0:
        raise Misfit("a standard deviation is positive", code="E309")
    return _sized(x, "normalize")


def _rgb(x: ViewType, op: str) -> None:
    if x.space != "rgb" or x.channels != 3:
        raise Misfit(f"`{op}` is defined on RGB images; this view is {x}", code="E301")
