"""Primitives on views: each draws once an image, and is a step of a chain.

After `patches` what is said of an image holds of a patch.
"""

from dataclasses import replace
from typing import Literal

from sslang.ops.declare import Misfit, view_op
from sslang.types import Interval, ViewType

Interpolation = Literal["bilinear", "bicubic"]


@view_op("sslang.emit.views.random_resized_crop", draws=22, evaluation="crop", takes_sizes=True)
def random_resized_crop(
    x: ViewType,
    size: int,
    scale: Interval = Interval(0.08, 1.0),
    ratio: Interval = Interval(0.75, 4 / 3),
    interpolation: Interpolation = "bilinear",
    box: Literal["torchvision", "simclr", "byol"] = "torchvision",
    antialias: bool = True,
) -> ViewType:
    """A random box of the image, resized to size x size.

    `scale` is the range of its area, in shares of the image, `ratio` of its width over its
    height. `box` says whose algorithm draws it. `torchvision`: the area and the logarithm of the
    ratio are uniform, ten attempts to fit, then the largest box in the middle. `simclr`
    (TensorFlow's sample_distorted_bounding_box): the ratio and then the height are uniform, and
    no box is under a tenth of the image. `byol`: as torchvision, but what does not fit is cut off
    at the image's sides. Draws a box for each image. In evaluation: resize and centre crop.

    With `antialias = false` the filter does not widen where the image shrinks, as in TensorFlow.
    """
    _unit(x, "random_resized_crop")
    if not 0 < scale.low <= scale.high <= 1:
        raise Misfit(f"scale = {scale}: shares of the area lie in 0..1", code="E309")
    if not 0 < ratio.low <= ratio.high:
        raise Misfit(f"ratio = {ratio}: width over height is positive", code="E309")
    return replace(x, size=_positive(size, "the size of the crop"))


@view_op("sslang.emit.views.evaluation_crop", evaluation="keep", takes_sizes=True)
def resize_and_crop(
    x: ViewType,
    size: int,
    crop: float = 0.875,
    interpolation: Interpolation = "bilinear",
    antialias: bool = True,
) -> ViewType:
    """The shorter side resized to round(size / crop), then the middle size x size cut out."""
    _unit(x, "resize_and_crop")
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


@view_op("sslang.emit.views.center_crop", evaluation="keep", takes_sizes=True)
def center_crop(x: ViewType, size: int) -> ViewType:
    """The middle size x size of the image, without resizing; smaller images stand amid zeros."""
    if x.size is not None and x.size < size:
        hint = f"pad({size}) sets the image amid zeros"
        raise Misfit(f"a crop of {size} does not fit images of {x.size}", hint, "E309")
    return replace(x, size=_positive(size, "the size of the crop"))


@view_op("sslang.emit.views.pad", evaluation="keep")
def pad(x: ViewType, size: int) -> ViewType:
    """The image in the middle of size x size zeros (an odd pixel goes below and on the right)."""
    inner = _sized(x, "pad").size
    assert inner is not None
    if size < inner:
        raise Misfit(
            f"pad({size}) cannot hold images of {inner}", f"center_crop({size}) cuts them", "E309"
        )
    return replace(x, size=_positive(size, "the size of the padded image"))


@view_op("sslang.emit.views.patches", evaluation="keep")
def patches(x: ViewType, size: int, stride: int) -> ViewType:
    """The image as overlapping patches of size x size, every `stride` pixels, row by row.

    Ops that follow draw once a patch. CPC (van den Oord et al., 2018): patches(64, stride = 32)
    makes 7 x 7 of an image of 256.
    """
    side = _sized(x, "patches").size
    assert side is not None
    if x.grid is not None:
        raise Misfit(f"the images are in patches already: {x}", code="E301")
    if size < 1 or stride < 1 or size > side or (side - size) % stride != 0:
        raise Misfit(f"patches of {size} every {stride} pixels do not tile images of {side}",
                     "size + n * stride must be the size of the image", "E309")  # fmt: skip
    count = (side - size) // stride + 1
    return replace(x, size=size, grid=(count, count))


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
    brightness_mode: Literal["multiplicative", "additive"] = "multiplicative",
    style: Literal["torchvision", "tensorflow"] = "torchvision",
) -> ViewType:
    """Brightness, contrast, saturation and hue changed by random amounts, in a random order.

    The factors are uniform in 1 - b .. 1 + b (not below 0), the hue in -h .. h turns; additive
    brightness adds a number uniform in -b .. b instead (BYOL; SimCLR's first version). Each step
    clips to 0..1. The amounts and the order are drawn for each image.

    `style` says whose formulas: torchvision moves contrast away from the mean grey value and
    saturation from each pixel's grey value; tensorflow (SimCLR's and BYOL's code) moves contrast
    from each channel's mean, and multiplies the saturation of HSV. The hue is HSV's in both.
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
    x: ViewType,
    sigma: Interval = Interval(0.1, 2.0),
    kernel: int | None = None,
    per: Literal["image", "step"] = "image",
    border: Literal["reflect", "zeros"] = "reflect",
) -> ViewType:
    """Gaussian blur, its sigma in pixels drawn for each image, or with `per = step` for them all.

    `kernel` is the odd size of the window in pixels; without it a tenth of the image, made odd,
    at least 3 (23 at 224 pixels). Beyond the border the image is reflected, or is zeros as in
    SimCLR's and BYOL's code, which darkens the rim.
    """
    if not 0 < sigma.low <= sigma.high:
        raise Misfit(f"sigma = {sigma}: it must be positive", code="E309")
    if kernel is not None and (kernel % 2 == 0 or kernel < 1):
        raise Misfit(f"the kernel is {kernel}; it must be odd and positive", code="E309")
    return _sized(x, "gaussian_blur")


@view_op("sslang.emit.views.solarize")
def solarize(x: ViewType, threshold: float = 0.5) -> ViewType:
    """Values at or above the threshold are inverted: v becomes 1 - v."""
    if not 0 <= threshold <= 1:
        raise Misfit(f"the threshold is {threshold}; it must lie in 0..1", code="E309")
    _unit(x, "solarize")
    return _sized(x, "solarize")


@view_op("sslang.emit.views.clip_values", evaluation="keep")
def clip_values(x: ViewType) -> ViewType:
    """Values clamped to 0..1. Every op of an RGB chain before `normalize` does so by itself."""
    return replace(_sized(x, "clip_values"), unit=True)


@view_op("sslang.emit.views.to_gray", evaluation="keep")
def to_gray(x: ViewType) -> ViewType:
    """One channel, the grey value 0.299 R + 0.587 G + 0.114 B; in evaluation too."""
    _rgb(x, "to_gray")
    return replace(_sized(x, "to_gray"), channels=1, space="gray")


@view_op("sslang.emit.views.to_lab", evaluation="keep")
def to_lab(x: ViewType) -> ViewType:
    """CIE L*a*b* of sRGB values (D65, 2 degrees): L in 0..100, a and b around 0 within 110.

    The constants are those of skimage.color.rgb2lab, which CMC (Tian et al., 2019) uses.
    """
    _rgb(x, "to_lab")
    return replace(_sized(x, "to_lab"), space="lab", unit=False)


@view_op("sslang.emit.views.to_ycbcr", evaluation="keep")
def to_ycbcr(x: ViewType) -> ViewType:
    """ITU-R BT.601 YCbCr: Y in 16..235, Cb and Cr in 16..240, as skimage.color.rgb2ycbcr."""
    _rgb(x, "to_ycbcr")
    return replace(_sized(x, "to_ycbcr"), space="ycbcr", unit=False)


@view_op("sslang.emit.views.channels", evaluation="keep")
def channels(
    x: ViewType, first: int, second: int | None = None, third: int | None = None
) -> ViewType:
    """The channels of these numbers, from 0 on: of Lab, channels(1, 2) are a and b."""
    chosen = [c for c in (first, second, third) if c is not None]
    for channel in chosen:
        if not 0 <= channel < x.channels:
            raise Misfit(f"the view has channels 0..{x.channels - 1}; there is no {channel}",
                         code="E309")  # fmt: skip
    return replace(_sized(x, "channels"), channels=len(chosen))


@view_op("sslang.emit.views.normalize", evaluation="keep")
def normalize(x: ViewType, mean: tuple[float, ...], std: tuple[float, ...]) -> ViewType:
    """(v - mean) / std for each channel. RGB and grey values before it are in 0..1."""
    if len(mean) != x.channels or len(std) != x.channels:
        raise Misfit(f"normalize needs a mean and a std for each of {x.channels} channels")
    if min(std) <= 0:
        raise Misfit("a standard deviation is positive", code="E309")
    return replace(_sized(x, "normalize"), unit=False)


def _sized(x: ViewType, op: str) -> ViewType:
    if x.size is None:
        raise Misfit(
            f"`{op}` needs images of one size, and here they may still differ",
            "begin the chain with random_resized_crop(size), or resize_and_crop(size)",
            "E603",
        )
    return x


def _positive(size: int, what: str) -> int:
    if not 1 <= size <= 4096:
        raise Misfit(f"{what} is {size}; it must lie in 1..4096", code="E309")
    return size


def _unit(x: ViewType, op: str) -> None:
    if not x.unit:
        raise Misfit(
            f"`{op}` works on values in 0..1, and here they no longer are",
            "put it before `normalize` and before a change of colour space",
            "E301",
        )


def _rgb(x: ViewType, op: str) -> None:
    if x.space != "rgb" or x.channels != 3:
        raise Misfit(f"`{op}` is defined on RGB images; this view is {x}", code="E301")
    _unit(x, op)
