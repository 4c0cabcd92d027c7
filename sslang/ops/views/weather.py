"""Weather."""

from collections.abc import Callable

from sslang.ops.declare import Misfit, Number, Settings, kornia_op
from sslang.ops.views.inputs import Amount, Per, coloured, ends, shown, whole_ends, within
from sslang.types import Interval, ViewType


def _rain(settings: Settings, size: int) -> dict[str, tuple[int, int]]:
    """Return the ranges of the drops: those given, or for the size what kornia has for 224."""
    share = size / 224
    drops = (round(1000 * share**2), round(2000 * share**2))
    height = (max(1, round(5 * share)), max(2, round(20 * share)))
    width = (-max(1, round(5 * share)), max(1, round(5 * share)))
    defaults = {"drops": drops, "height": height, "width": width}
    return {
        name: default if settings[name] is None else whole_ends(settings[name])
        for name, default in defaults.items()
    }


def _above(name: str) -> Callable[[Settings, ViewType], int]:
    """Return what the whole numbers of a range of the rain stay below."""
    return lambda settings, x: _rain(settings, x.size or 1)[name][1] + 1


@kornia_op("RandomRain", arguments={"drops": None, "height": None, "width": None},
           combined=lambda s: {
               {"drops": "number_of_drops"}.get(name, f"drop_{name}"): pair
               for name, pair in _rain(s, s["image_size"]).items()
           },
           form="fields.Rain",
           numbers={"drops": Number("number_of_drops_factor", "how many", below=_above("drops")),
                    "height": Number("drop_height_factor", "in pixels", below=_above("height")),
                    "width": Number("drop_width_factor", "in pixels", below=_above("width"))},
)  # fmt: skip
def rain(
    x: ViewType,
    drops: Interval | None = None,
    height: Interval | None = None,
    width: Interval | None = None,
    per: Per = "image",
) -> ViewType:
    """Draw drops of rain, grey lines of `height` x `width` pixels; a negative width slants left.

    By default they are, for images of 224 pixels, kornia's 1000..2000 drops of 5..20 x -5..5, and
    of others as large a share of the area.
    """
    size = shown(x, "rain", (1, 3)).size
    assert size is not None
    if size < 4:
        raise Misfit("`rain` needs images of 4 pixels a side", code="E309")
    limits = {"drops": (1, 1_000_000), "height": (1, size - 1), "width": (1 - size, size - 1)}
    for name, value in (("drops", drops), ("height", height), ("width", width)):
        if value is None:
            continue
        within(name, ends(value), *limits[name])
        if value.low != int(value.low) or value.high != int(value.high):
            raise Misfit(f"`{name}` is a range of whole numbers", code="E309")
    return x


@kornia_op("RandomSnow",
           arguments={"coefficient": ("snow_coefficient", ends),
                      "brightness": ("brightness", ends)},
           numbers={"coefficient": Number("snow_coefficient", "below which lightness"),
                    "brightness": Number("brightness", "the factor there", idle=1)})  # fmt: skip
def snow(
    x: ViewType, coefficient: Amount = 0.5, brightness: Amount = 2.0, per: Per = "image"
) -> ViewType:
    """Whiten the image as snow does: what is darker than `coefficient`, a lightness of HLS, is
    brightened by the factor `brightness`. Each is a number or a range."""
    within("coefficient", ends(coefficient), 0, 1)
    within("brightness", ends(brightness), 1, 100)
    return coloured(x, "snow")
