"""Filters: blur, sharpness, compression."""

from typing import Literal

from sslang.ops.declare import Misfit, Number, kornia_op, view_op
from sslang.ops.views.inputs import (
    Amount,
    Per,
    about_zero,
    above_zero,
    at_least,
    both,
    coloured,
    ends,
    odd,
    shown,
    sized,
    sizes_of_kernel,
    spread,
    within,
)  # fmt: skip
from sslang.types import Interval, ViewType

Edge = Literal["reflect", "zeros", "replicate", "circular"]


@view_op(
    "sslang.emit.views.by_kornia.gaussian_blur", draws=1, fused="sslang.emit.views.gaussian_blur",
    kornia="RandomGaussianBlur",
    numbers={"sigma": Number("sslang.emit.views.numbers.sigma", "in pixels")},
)  # fmt: skip
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
    above_zero("sigma", sigma.low)
    if kernel is not None:
        odd(kernel)
    size = sized(x, "gaussian_blur").size
    assert size is not None
    if (kernel or 3) // 2 >= size:
        raise Misfit(f"a `kernel` of {kernel or 3} is too large for images of {size}", code="E309")
    return x


def _edge(border: str) -> str:
    return "constant" if border == "zeros" else border


@kornia_op("RandomBoxBlur", arguments={"kernel": ("kernel_size", both),
                                       "border": ("border_type", _edge)},
           evaluation="sure")  # fmt: skip
def box_blur(x: ViewType, kernel: int = 3, border: Edge = "reflect") -> ViewType:
    """Blur by the mean over a window of kernel x kernel pixels."""
    odd(kernel, sized(x, "box_blur").size, border)
    return x


@kornia_op("RandomMedianBlur", arguments={"kernel": ("kernel_size", both)}, evaluation="sure")
def median_blur(x: ViewType, kernel: int = 3) -> ViewType:
    """Take the median over a window of kernel x kernel pixels."""
    odd(kernel, sized(x, "median_blur").size, "reflect")
    return x


@kornia_op(
    "RandomMotionBlur",
    arguments={"kernel": ("kernel_size", sizes_of_kernel), "angle": ("angle", about_zero),
               "direction": ("direction", about_zero), "border": ("border_type", _edge),
               "interpolation": "resample"},
    form="grouped.MotionBlur",
    numbers={"kernel": Number("ksize_factor", "the size of the window",
                              below=lambda s, x: int(ends(s["kernel"])[1]) + 1,
                              idle=1),
             "angle": Number("angle_factor", "in degrees, counter-clockwise"),
             "direction": Number("direction_factor", "-1 for backwards, 1 for forwards")},
)  # fmt: skip
def motion_blur(
    x: ViewType,
    kernel: int | Interval = 5,
    angle: Amount = 45.0,
    direction: Amount = 1.0,
    border: Edge = "zeros",
    interpolation: Literal["nearest", "bilinear"] = "nearest",
    per: Per = "image",
) -> ViewType:
    """Blur along a line, as of a camera that moves.

    `kernel` is the odd length of the line, or the range of odd lengths of which each image draws
    one; `angle` its angle in degrees, `direction` where it is strongest, each a range, or a number
    d for -d..d.
    """
    for end in ends(kernel):
        if end != int(end):
            raise Misfit(f"`kernel` is {end:g}; it must be a whole number", code="E309")
        odd(int(end), sized(x, "motion_blur").size, border, 3)
    spread(angle=angle, direction=direction)
    within("angle", about_zero(angle), -360, 360)
    within("direction", about_zero(direction), -1, 1)
    return x


@kornia_op("RandomSharpness", arguments={"factor": ("sharpness", ends)},
           numbers={"factor": Number("sharpness", "the factor", idle=1)})  # fmt: skip
def sharpness(x: ViewType, factor: Amount, per: Per = "image") -> ViewType:
    """Sharpen or blur: 0 gives a blurred image, 1 the image, 2 a sharper one, as in PIL.

    A number or a range. (Of a number n, kornia alone draws 0..n.)
    """
    at_least("factor", ends(factor)[0], 0)
    size = shown(x, "sharpness").size
    if size is not None and size < 3:
        raise Misfit("`sharpness` needs images of 3 pixels a side", code="E309")
    return x


@kornia_op("RandomJPEG", arguments={"quality": ("jpeg_quality", ends)},
           numbers={"quality": Number("jpeg_quality", "in 1..100")})  # fmt: skip
def jpeg(x: ViewType, quality: Amount = 50.0, per: Per = "image") -> ViewType:
    """Compress as JPEG with a quality in 1..100, a number or a range, and read it again."""
    within("quality", ends(quality), 1, 100)
    return coloured(x, "jpeg")
