"""Noise and erasing."""

from dataclasses import replace

from sslang.ops.declare import Number, kornia_op
from sslang.ops.views.inputs import Amount, Per, above_zero, at_least, ends, shown, sized, within
from sslang.types import Interval, ViewType


@kornia_op("RandomGaussianNoise", form="fields.Fields")
def gaussian_noise(
    x: ViewType, std: float = 0.1, mean: float = 0.0, per: Per = "image"
) -> ViewType:
    """Add independent normal noise to every value; the result leaves 0..1.

    `clip_values` after it brings them back, as torchvision does. (kornia's own default is a std of
    1.)
    """
    at_least("std", std, 0)
    return replace(sized(x, "gaussian_noise"), unit=False)


@kornia_op("RandomSaltAndPepperNoise",
           arguments={"amount": ("amount", ends), "salt": ("salt_vs_pepper", ends)},
           form="fields.Fields",
           numbers={"amount": Number("amount_factor", "the share of pixels"),
                    "salt": Number("salt_and_pepper_factor", "the share of white among them")},
)  # fmt: skip
def salt_and_pepper_noise(
    x: ViewType,
    amount: Amount = Interval(0.01, 0.06),
    salt: Amount = Interval(0.4, 0.6),
    per: Per = "image",
) -> ViewType:
    """Make a share of the pixels white or black; `salt` is the share of white ones among them."""
    within("amount", ends(amount), 0, 1)
    within("salt", ends(salt), 0, 1)
    return shown(x, "salt_and_pepper_noise", (1, 3))


@kornia_op("RandomErasing",
           numbers={"left": Number("xs", "in pixels"), "top": Number("ys", "in pixels"),
                    "width": Number("widths", "in pixels"),
                    "height": Number("heights", "in pixels")})  # fmt: skip
def random_erasing(
    x: ViewType,
    scale: Interval = Interval(0.02, 0.33),
    ratio: Interval = Interval(0.3, 3.3),
    value: float = 0.0,
    per: Per = "image",
) -> ViewType:
    """Fill a random box with one value (Zhong et al., 2017).

    `scale` is the range of its area in shares of the image, `ratio` of its height over its width.
    With `ratio = 1..1` and one area, such as `scale = 0.25..0.25`, it is nearly Cutout (DeVries,
    Taylor, 2017), whose square may also reach beyond the image.
    """
    within("scale", ends(scale), 0, 1)
    above_zero("ratio", ratio.low)
    within("value", (value, value), 0, 1)
    return shown(x, "random_erasing")
