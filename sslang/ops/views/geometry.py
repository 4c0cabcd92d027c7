"""Geometry: where the pixels of a view come from."""

from typing import Literal

from sslang.ops.declare import Misfit, Number, kornia_op, view_op
from sslang.ops.views.inputs import (
    Amount,
    Border,
    Per,
    Sampling,
    about_zero,
    above_zero,
    both,
    elastic_kernel,
    ends,
    if_given,
    odd,
    pair,
    sampled,
    sized,
    spread,
    within,
)  # fmt: skip
from sslang.types import Interval, ViewType

# The corners and the middle of an image, as kornia's thin plate spline has them.
_POINTS = ((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0), (0.0, 0.0))


def _corners(last: float) -> tuple[tuple[float, float], ...]:
    """Return the corners of an image whose last pixel is `last`, clockwise, (x, y) each."""
    return ((0, 0), (last, 0), (last, last), (0, last))


@view_op(
    "sslang.emit.views.by_kornia.horizontal_flip", fused="sslang.emit.views.horizontal_flip",
    kornia="RandomHorizontalFlip",
)  # fmt: skip
def horizontal_flip(x: ViewType) -> ViewType:
    """The image mirrored, left for right. Mostly `horizontal_flip @ 0.5`."""
    return sized(x, "horizontal_flip")


@view_op(
    "sslang.emit.views.by_kornia.vertical_flip", fused="sslang.emit.views.vertical_flip",
    kornia="RandomVerticalFlip",
)  # fmt: skip
def vertical_flip(x: ViewType) -> ViewType:
    """The image mirrored, top for bottom."""
    return sized(x, "vertical_flip")


@kornia_op("RandomRotation", arguments={"degrees": ("degrees", about_zero),
                                        "interpolation": "resample"},
           numbers={"degrees": Number("degrees", "the angle in degrees, counter-clockwise")},
)  # fmt: skip
def rotation(
    x: ViewType,
    degrees: Amount,
    interpolation: Sampling = "bilinear",
    per: Per = "image",
) -> ViewType:
    """Rotate about the middle by a uniform angle; black comes in at the corners.

    `degrees` is a range, or a number d for -d..d.

    Bicubic interpolation overshoots at edges: its result leaves 0..1.
    """
    spread(degrees=degrees)
    within("degrees", about_zero(degrees), -360, 360)
    return sampled(x, "rotation", interpolation)


@kornia_op("RandomRotation90", arguments={"times": ("times", ends)}, form="plain.QuarterTurns",
           numbers={"times": Number("times", "how many quarter turns, counter-clockwise",
                                    below=4)})  # fmt: skip
def rotation90(x: ViewType, times: int | Interval = Interval(0, 3), per: Per = "image") -> ViewType:
    """Rotate by quarter turns, each whole number of `times` equally likely.

    RotNet (Gidaris et al., 2018) predicts `times` of 0..3, which is what a loss reads: -1 is 3.
    (kornia alone draws the two ends of the range half as often as what lies between.)
    """
    low, high = ends(times)
    within("times", (low, high), -3, 3)
    if low != int(low) or high != int(high):
        raise Misfit("`times` are whole numbers", code="E309")
    return sized(x, "rotation90")


@kornia_op(
    "RandomAffine",
    arguments={"degrees": ("degrees", about_zero), "translate": ("translate", pair),
               "shear": ("shear", if_given(about_zero)), "interpolation": "resample",
               "border": "padding_mode"},
    numbers={
        "degrees": Number("angle", "the angle in degrees"),
        "translation": Number("translations", "x and y in pixels", (2,)),
        "scale": Number("scale", "the factors of x and y, which are equal", (2,), idle=1),
        "shear": Number("shear_x", "the angle of the horizontal shear in degrees"),
    },
)  # fmt: skip
def affine(
    x: ViewType,
    degrees: Amount,
    translate: float | tuple[float, ...] | None = None,
    scale: Interval | None = None,
    shear: Amount | None = None,
    interpolation: Sampling = "bilinear",
    border: Border = "zeros",
    per: Per = "image",
) -> ViewType:
    """Rotate, move, scale and shear at once, about the middle.

    `degrees` and `shear` (horizontal, in degrees) are ranges, or a number d for -d..d; `translate`
    is how far at most in shares of the image, one number or [x, y]; `scale` a range of factors.

    Bicubic interpolation overshoots at edges: its result leaves 0..1.
    """
    spread(degrees=degrees, shear=shear)
    within("degrees", about_zero(degrees), -360, 360)
    if translate is not None:
        within("translate", pair(translate), 0, 1)
    if scale is not None:
        above_zero("scale", scale.low)
    if shear is not None:
        within("shear", about_zero(shear), -89, 89)
    return sampled(x, "affine", interpolation)


@kornia_op(
    "RandomShear",
    arguments={"horizontal": None, "vertical": None, "interpolation": "resample",
               "border": "padding_mode"},
    combined=lambda s: {"shear": (*about_zero(s["horizontal"]), *about_zero(s["vertical"]))},
    numbers={"horizontal": Number("shear_x", "the angle in degrees"),
             "vertical": Number("shear_y", "the angle in degrees")},
)  # fmt: skip
def shear(
    x: ViewType,
    horizontal: Amount = 0.0,
    vertical: Amount = 0.0,
    interpolation: Sampling = "bilinear",
    border: Border = "zeros",
    per: Per = "image",
) -> ViewType:
    """Shear about the middle; each angle is a range in degrees, or a number d for -d..d.

    Bicubic interpolation overshoots at edges: its result leaves 0..1.
    """
    spread(horizontal=horizontal, vertical=vertical)
    if about_zero(horizontal) == about_zero(vertical) == (0.0, 0.0):
        raise Misfit("`shear` needs an angle: horizontal or vertical", code="E309")
    within("horizontal", about_zero(horizontal), -89, 89)
    within("vertical", about_zero(vertical), -89, 89)
    return sampled(x, "shear", interpolation)


@kornia_op(
    "RandomTranslate",
    arguments={"horizontal": ("translate_x", if_given(about_zero)),
               "vertical": ("translate_y", if_given(about_zero)),
               "interpolation": "resample", "border": "padding_mode"},
    numbers={"horizontal": Number("translate_x", "in pixels, to the right"),
             "vertical": Number("translate_y", "in pixels, downwards")},
)  # fmt: skip
def translate(
    x: ViewType,
    horizontal: Amount | None = None,
    vertical: Amount | None = None,
    interpolation: Sampling = "bilinear",
    border: Border = "zeros",
    per: Per = "image",
) -> ViewType:
    """Move the image by a share of its side, a range or a number d for -d..d.

    Bicubic interpolation overshoots at edges: its result leaves 0..1.
    """
    spread(horizontal=horizontal, vertical=vertical)
    if horizontal is None and vertical is None:
        raise Misfit("`translate` needs a share: horizontal or vertical", code="E309")
    for name, value in (("horizontal", horizontal), ("vertical", vertical)):
        if value is not None:
            within(name, about_zero(value), -1, 1)
    return sampled(x, "translate", interpolation)


@kornia_op(
    "RandomPerspective",
    arguments={"distortion": "distortion_scale", "interpolation": "resample",
               "sampling": "sampling_method"},
    numbers={"corners": Number("end_points", "where the corners go, (x, y) in pixels", (4, 2),
                              idle=lambda s, x: _corners((x.size or 1) - 1))},
)  # fmt: skip
def perspective(
    x: ViewType,
    distortion: float = 0.5,
    sampling: Literal["basic", "area_preserving"] = "basic",
    interpolation: Sampling = "bilinear",
    per: Per = "image",
) -> ViewType:
    """Move the four corners at random and see the image in that perspective.

    A corner moves by up to `distortion` of half a side: inwards (`basic`), or to any side
    (`area_preserving`).

    Bicubic interpolation overshoots at edges: its result leaves 0..1.
    """
    within("distortion", (distortion, distortion), 0, 1)
    return sampled(x, "perspective", interpolation)


@kornia_op("RandomThinPlateSpline", arguments={"border": "padding_mode"},
           numbers={"points": Number("dst", "where the corners and the middle go, in -1..1",
                                     (5, 2), idle=_POINTS)})  # fmt: skip
def thin_plate_spline(
    x: ViewType, scale: float = 0.2, border: Border = "zeros", per: Per = "image"
) -> ViewType:
    """Bend the image: its corners and its middle move, a thin plate spline takes the rest along.

    Each moves by up to `scale`, in units of half a side.
    """
    within("scale", (scale, scale), 0, 1)
    return sized(x, "thin_plate_spline")


@kornia_op(
    "RandomElasticTransform",
    arguments={"alpha": None, "sigma": ("sigma", both), "kernel": None,
               "interpolation": "resample", "border": "padding_mode"},
    combined=lambda s: {"kernel_size": both(elastic_kernel(s)),
                        "alpha": both(s["alpha"] / s["image_size"])},
    form="fields.Elastic",
)  # fmt: skip
def elastic_transform(
    x: ViewType,
    alpha: float = 50.0,
    sigma: float = 5.0,
    kernel: int | None = None,
    interpolation: Sampling = "bilinear",
    border: Border = "zeros",
    per: Per = "image",
) -> ViewType:
    """Move each pixel by smooth noise (Simard et al., 2003).

    Uniform noise in -1..1 is blurred with `sigma` pixels and multiplied by `alpha`: units and
    defaults are torchvision's, so that a shift of 1 before the blur is alpha / 2 pixels. `kernel`
    is the odd size of the blur, by default 8 sigma + 1.

    Bicubic interpolation overshoots at edges: its result leaves 0..1.
    """
    size = sized(x, "elastic_transform").size
    assert size is not None
    above_zero("sigma", sigma)
    within("sigma", (sigma, sigma), 0, size)
    if kernel is not None:
        odd(kernel)
    return sampled(x, "elastic_transform", interpolation)


@kornia_op(
    "RandomFisheye",
    form="plain.OfTensors",
    numbers={"center_x": Number("center_x", "in -1..1", (1,)),
             "center_y": Number("center_y", "in -1..1", (1,)),
             "gamma": Number("gamma", "the exponent", (1,))},
)  # fmt: skip
def fisheye(
    x: ViewType,
    center_x: Interval = Interval(-0.3, 0.3),
    center_y: Interval = Interval(-0.3, 0.3),
    gamma: Interval = Interval(0.9, 1.0),
    per: Per = "image",
) -> ViewType:
    """See the image through a fisheye lens whose centre and strength are drawn.

    A pixel at p (in -1..1) is read from p + p * distance(p, centre) ** gamma.
    """
    within("center_x", ends(center_x), -1, 1)
    within("center_y", ends(center_y), -1, 1)
    above_zero("gamma", gamma.low)
    within("gamma", ends(gamma), 0, 100)
    return sized(x, "fisheye")
