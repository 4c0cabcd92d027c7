"""Weather."""

from collections.abc import Callable, Mapping
from typing import Any

from sslang.ops.declare import Misfit, Number, kornia_op
from sslang.ops.views.inputs import Amount, Per, coloured, ends, shown, whole_ends, within
from sslang.types import Interval, ViewType


def _above(name: str) -> Callable[[Mapping[str, Any], ViewType], int]:
    """Return what the whole numbers of a setting stay below."""
    return lambda settings, x: whole_ends(settings[name])[1] + 1


@kornia_op("RandomRain",
           arguments={"drops": ("number_of_drops", whole_ends),
                      "height": ("drop_height", whole_ends),
                      "width": ("drop_width", whole_ends)},
           form="fields.Rain",
           numbers={"drops": Number("number_of_drops_factor", "how many", below=_above("drops")),
                    "height": Number("drop_height_factor", "in pixels", below=_above("height")),
                    "width": Number("drop_width_factor", "in pixels", below=_above("width"))},
)  # fmt: skip
def rain(
    x: ViewType,
    drops: Interval = Interval(1000, 2000),
    height: Interval = Interval(5, 20),
    width: Interval = Interval(-5, 5),
    per: Per = "image",
) -> ViewType:
    """Draw drops of rain, grey lines of `height` x `width` pixels; a negative width slants left.

    The defaults are kornia's, for images of some hundred pixels; of 32 pixels, 20 to 60 drops of
    2..6 by -2..2 are about as many.
    """
    size = shown(x, "rain", (1, 3)).size
    assert size is not None
    within("drops", ends(drops), 1, 1_000_000)
    within("height", ends(height), 1, size - 1)
    within("width", ends(width), 1 - size, size - 1)
    for name, pair in (("drops", drops), ("height", height), ("width", width)):
        if pair.low != int(pair.low) or pair.high != int(pair.high):
            raise Misfit(f"`{name}` is a range of whole numbers", code="E309")
    return x


@kornia_op("RandomSnow",
           arguments={"coefficient": ("snow_coefficient", ends),
                      "brightness": ("brightness", ends)},
           numbers={"coefficient": Number("snow_coefficient", "below which lightness"),
                    "brightness": Number("brightness", "the factor there")})  # fmt: skip
def snow(
    x: ViewType, coefficient: Amount = 0.5, brightness: Amount = 2.0, per: Per = "image"
) -> ViewType:
    """Brighten what is darker than a lightness in HLS, as snow does; each a number or a range."""
    within("coefficient", ends(coefficient), 0, 1)
    within("brightness", ends(brightness), 1, 100)
    return coloured(x, "snow")
