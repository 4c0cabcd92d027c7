"""Crops, resizes, padding and patches: what makes a view of another size.

After `patches` what is said of an image holds of a patch.
"""

from dataclasses import replace
from typing import Literal

from sslang.ops.declare import Misfit, kornia_op, view_op
from sslang.ops.views.inputs import Sampling, both, positive, sampled, sized, unit
from sslang.types import Interval, ViewType

Interpolation = Literal["bilinear", "bicubic"]


@view_op(
    "sslang.emit.views.random_resized_crop", draws=22, evaluation="crop", takes_sizes=True,
    kornia="RandomResizedCrop",
)  # fmt: skip
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
    unit(x, "random_resized_crop")
    if not 0 < scale.low <= scale.high <= 1:
        raise Misfit(f"scale = {scale}: shares of the area lie in 0..1", code="E309")
    if not 0 < ratio.low <= ratio.high:
        raise Misfit(f"ratio = {ratio}: width over height is positive", code="E309")
    return replace(x, size=positive(size, "the size of the crop"))


@view_op("sslang.emit.views.evaluation_crop", evaluation="keep", takes_sizes=True)
def resize_and_crop(
    x: ViewType,
    size: int,
    crop: float = 0.875,
    interpolation: Interpolation = "bilinear",
    antialias: bool = True,
) -> ViewType:
    """The shorter side resized to round(size / crop), then the middle size x size cut out."""
    unit(x, "resize_and_crop")
    if not 0.1 <= crop <= 1:
        raise Misfit(f"crop is {crop}; it must lie in 0.1..1", code="E309")
    return replace(x, size=positive(size, "the size of the crop"))


@view_op(
    "sslang.emit.views.random_crop", draws=2, evaluation="crop", takes_sizes=True,
    kornia="RandomCrop",
)  # fmt: skip
def random_crop(x: ViewType, size: int, padding: int = 0) -> ViewType:
    """A size x size box at a random place, after `padding` black pixels on every side."""
    if not 0 <= padding <= 4096:
        raise Misfit(f"`padding` is {padding}; it must lie in 0..4096", code="E309")
    if x.size is not None and x.size + 2 * padding < size:
        raise Misfit(
            f"a crop of {size} does not fit images of {x.size} with a padding of {padding}",
            code="E309",
        )
    return replace(x, size=positive(size, "the size of the crop"))


@view_op(
    "sslang.emit.views.center_crop", evaluation="keep", takes_sizes=True, kornia="CenterCrop",
)  # fmt: skip
def center_crop(x: ViewType, size: int) -> ViewType:
    """The middle size x size of the image, without resizing; smaller images stand amid zeros."""
    if x.size is not None and x.size < size:
        hint = f"pad({size}) sets the image amid zeros"
        raise Misfit(f"a crop of {size} does not fit images of {x.size}", hint, "E309")
    return replace(x, size=positive(size, "the size of the crop"))


@view_op("sslang.emit.views.pad", evaluation="keep")
def pad(x: ViewType, size: int) -> ViewType:
    """The image in the middle of size x size zeros (an odd pixel goes below and on the right)."""
    inner = sized(x, "pad").size
    assert inner is not None
    if size < inner:
        raise Misfit(
            f"pad({size}) cannot hold images of {inner}", f"center_crop({size}) cuts them", "E309"
        )
    return replace(x, size=positive(size, "the size of the padded image"))


@view_op("sslang.emit.views.patches", evaluation="keep")
def patches(x: ViewType, size: int, stride: int) -> ViewType:
    """The image as overlapping patches of size x size, every `stride` pixels, row by row.

    Ops that follow draw once a patch. CPC (van den Oord et al., 2018): patches(64, stride = 32)
    makes 7 x 7 of an image of 256.
    """
    side = sized(x, "patches").size
    assert side is not None
    if x.grid is not None:
        raise Misfit(f"the images are in patches already: {x}", code="E301")
    if size < 1 or stride < 1 or size > side or (side - size) % stride != 0:
        raise Misfit(f"patches of {size} every {stride} pixels do not tile images of {side}",
                     "size + n * stride must be the size of the image", "E309")  # fmt: skip
    count = (side - size) // stride + 1
    return replace(x, size=size, grid=(count, count))


@kornia_op("Resize", arguments={"size": ("size", both), "interpolation": ("resample", str)},
           fixed={"align_corners": False}, evaluation="keep")  # fmt: skip
def resize(
    x: ViewType, size: int, interpolation: Sampling = "bilinear", antialias: bool = True
) -> ViewType:
    """Resize square images to size x size, pixel centres at half pixels.

    `antialias` blurs before an image is made smaller. Images that still differ in size are resized
    by `resize_and_crop` or `random_resized_crop`.

    Bicubic interpolation overshoots at edges: its result leaves 0..1.
    """
    x = sampled(x, "resize", interpolation)
    return replace(x, size=positive(size, "`size`"))


@kornia_op("LongestMaxSize", arguments={"size": "max_size", "interpolation": "resample"},
           fixed={"align_corners": False}, evaluation="keep")  # fmt: skip
def longest_max_size(x: ViewType, size: int, interpolation: Sampling = "bilinear") -> ViewType:
    """Resize images so that the longer side is `size`; of square images as `resize`.

    Bicubic interpolation overshoots at edges: its result leaves 0..1.
    """
    x = sampled(x, "longest_max_size", interpolation)
    return replace(x, size=positive(size, "`size`"))


@kornia_op("SmallestMaxSize", arguments={"size": "max_size", "interpolation": "resample"},
           fixed={"align_corners": False}, evaluation="keep")  # fmt: skip
def smallest_max_size(x: ViewType, size: int, interpolation: Sampling = "bilinear") -> ViewType:
    """Resize images so that the shorter side is `size`; of square images as `resize`.

    Bicubic interpolation overshoots at edges: its result leaves 0..1.
    """
    x = sampled(x, "smallest_max_size", interpolation)
    return replace(x, size=positive(size, "`size`"))


@kornia_op("PadTo", evaluation="keep",
           arguments={"size": ("size", both), "border": "pad_mode",
                      "value": "pad_value"})  # fmt: skip
def pad_to(
    x: ViewType,
    size: int,
    border: Literal["constant", "reflect", "replicate"] = "constant",
    value: float = 0.0,
) -> ViewType:
    """Widen images to size x size below and on the right; `pad` sets them in the middle.

    `border` says with what: the `value`, the image reflected, or its last row and column.
    """
    inner = sized(x, "pad_to").size
    assert inner is not None
    if size < inner:
        raise Misfit(f"`size` is {size}; that cannot hold images of {inner}", code="E309")
    if border == "reflect" and size >= 2 * inner:
        widest = 2 * inner - 1
        raise Misfit(f"`size` is {size}; an image of {inner} reflected once is {widest} wide",
                     code="E309")  # fmt: skip
    if border == "constant" and not 0 <= value <= 1:
        x = replace(x, unit=False)
    return replace(x, size=positive(size, "`size`"))
