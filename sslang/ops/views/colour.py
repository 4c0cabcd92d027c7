"""Colours: what becomes of the values of pixels, each by itself or by its image's mean."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from sslang.ops.declare import Misfit, Number, Settings, kornia_op, view_op
from sslang.ops.views.inputs import (
    Amount,
    Per,
    about_one,
    about_zero,
    as_list,
    at_least,
    coloured,
    ends,
    rgb,
    shown,
    sized,
    spread,
    unit,
    within,
)  # fmt: skip
from sslang.types import Interval, ViewType

_NUMBERS = "sslang.emit.views.numbers"


@view_op(
    "sslang.emit.views.by_kornia.color_jitter", draws=8, fused="sslang.emit.views.color_jitter",
    kornia="ColorJitter",
    numbers={
        "brightness": Number(f"{_NUMBERS}.brightness", "the factor, or what is added",
                             idle=lambda s, x: float(s["brightness_mode"] == "multiplicative")),
        "contrast": Number(f"{_NUMBERS}.contrast", "the factor of the contrast", idle=1),
        "saturation": Number(f"{_NUMBERS}.saturation", "the factor of the saturation", idle=1),
        "hue": Number(f"{_NUMBERS}.hue", "the turn of the hue"),
    },
)  # fmt: skip
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
    rgb(x, "color_jitter")
    return sized(x, "color_jitter")


@view_op(
    "sslang.emit.views.by_kornia.grayscale", fused="sslang.emit.views.grayscale",
    kornia="RandomGrayscale",
)  # fmt: skip
def grayscale(x: ViewType) -> ViewType:
    """The grey value 0.299 R + 0.587 G + 0.114 B in all three channels."""
    rgb(x, "grayscale")
    return sized(x, "grayscale")


@view_op(
    "sslang.emit.views.by_kornia.solarize", fused="sslang.emit.views.solarize",
    kornia="RandomSolarize",
)  # fmt: skip
def solarize(x: ViewType, threshold: float = 0.5) -> ViewType:
    """Values at or above the threshold are inverted: v becomes 1 - v."""
    if not 0 <= threshold <= 1:
        raise Misfit(f"the threshold is {threshold}; it must lie in 0..1", code="E309")
    unit(x, "solarize")
    return sized(x, "solarize")


@kornia_op(
    "ColorJiggle",
    arguments={
        "brightness": ("brightness", about_one),
        "contrast": ("contrast", about_one),
        "saturation": ("saturation", about_one),
        "hue": ("hue", about_zero),
    },
    form="grouped.Jiggle",
    numbers={
        "brightness": Number("brightness_factor", "the factor; what is added is it less 1", idle=1),
        "contrast": Number("contrast_factor", "the factor of all values", idle=1),
        "saturation": Number("saturation_factor", "the factor of HSV's saturation", idle=1),
        "hue": Number("hue_factor", "the turn of the hue"),
    },
)
def color_jiggle(
    x: ViewType,
    brightness: Amount = 0.0,
    contrast: Amount = 0.0,
    saturation: Amount = 0.0,
    hue: Amount = 0.0,
    per: Per = "image",
) -> ViewType:
    """Change brightness, contrast, saturation and hue in a random order, in kornia's older way.

    Brightness is added, contrast multiplies all values, saturation is HSV's. `color_jitter` is
    torchvision's way, which the papers use. A number d stands for 1 - d..1 + d, of the hue for
    -d..d turns. The order is drawn for each image.
    """
    spread(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
    within("brightness", about_one(brightness), 0, 2)
    at_least("contrast", about_one(contrast)[0], 0)
    at_least("saturation", about_one(saturation)[0], 0)
    within("hue", about_zero(hue), -0.5, 0.5)
    return coloured(x, "color_jiggle")


@kornia_op("RandomBrightness",
           arguments={"amount": ("brightness", about_one), "clip": "clip_output"},
           numbers={"factor": Number("brightness_factor", "what is added is it less 1", idle=1)},
)  # fmt: skip
def brightness(x: ViewType, amount: Amount, clip: bool = True, per: Per = "image") -> ViewType:
    """Add f - 1 to all values.

    f is uniform in the range `amount`, or for a number d in 1 - d..1 + d.

    Without `clip` the result leaves 0..1.
    """
    spread(amount=amount)
    within("amount", about_one(amount), 0, 2)
    shown(x, "brightness")
    return x if clip else replace(x, unit=False)


@kornia_op("RandomContrast", arguments={"amount": ("contrast", about_one), "clip": "clip_output"},
           numbers={"factor": Number("contrast_factor", "the factor of all values", idle=1)},
)  # fmt: skip
def contrast(x: ViewType, amount: Amount, clip: bool = True, per: Per = "image") -> ViewType:
    """Multiply all values by a factor.

    It is uniform in the range `amount`, or for a number d in 1 - d..1 + d.

    So kornia's op makes images darker or brighter, too; the contrast of `color_jitter` keeps the
    mean. Without `clip` the result leaves 0..1.
    """
    spread(amount=amount)
    at_least("amount", about_one(amount)[0], 0)
    shown(x, "contrast")
    return x if clip else replace(x, unit=False)


@kornia_op("RandomSaturation", arguments={"amount": ("saturation", about_one)},
           numbers={"factor": Number("saturation_factor", "the factor of HSV's saturation",
                                     idle=1)},
)  # fmt: skip
def saturation(x: ViewType, amount: Amount, per: Per = "image") -> ViewType:
    """Multiply HSV's saturation by a factor uniform in `amount`.

    A number d stands for 1 - d..1 + d.
    """
    spread(amount=amount)
    at_least("amount", about_one(amount)[0], 0)
    return coloured(x, "saturation")


@kornia_op("RandomHue", arguments={"amount": ("hue", about_zero)},
           numbers={"turn": Number("hue_factor", "in turns, 1 for the whole circle")},
)  # fmt: skip
def hue(x: ViewType, amount: Amount, per: Per = "image") -> ViewType:
    """Turn the hue of HSV by a share of the circle uniform in `amount`; a number d is -d..d."""
    spread(amount=amount)
    within("amount", about_zero(amount), -0.5, 0.5)
    return coloured(x, "hue")


@kornia_op("RandomGamma", arguments={"gamma": ("gamma", ends), "gain": ("gain", ends)},
           numbers={"gamma": Number("gamma_factor", "the exponent", idle=1),
                    "gain": Number("gain_factor", "the factor", idle=1)})  # fmt: skip
def gamma(x: ViewType, gamma: Amount, gain: Amount = 1.0, per: Per = "image") -> ViewType:
    """Make each value gain * v ** gamma, clipped to 0..1; each is a number or a range."""
    at_least("gamma", ends(gamma)[0], 0)
    at_least("gain", ends(gain)[0], 0)
    return shown(x, "gamma")


@kornia_op("RandomAutoContrast", evaluation="sure")
def auto_contrast(x: ViewType) -> ViewType:
    """Stretch the values of each channel so that its darkest is 0 and its brightest 1."""
    return shown(x, "auto_contrast")


@kornia_op("RandomEqualize", evaluation="sure")
def equalize(x: ViewType) -> ViewType:
    """Equalize the histogram of each channel, in 256 steps, as PIL does."""
    return shown(x, "equalize")


@kornia_op("RandomClahe", arguments={"clip": ("clip_limit", ends), "grid": None},
           combined=lambda s: {"grid_size": (s["grid"], s["grid"])},
           numbers={"clip": Number("clip_limit_factor", "the limit of the histogram")},
)  # fmt: skip
def clahe(x: ViewType, clip: Amount = 40.0, grid: int = 8, per: Per = "image") -> ViewType:
    """Equalize histograms by tiles, with limited contrast (CLAHE; Zuiderveld, 1994).

    The image is cut into `grid` x `grid` tiles of at least 2 pixels a side. With a `clip` of 0 the
    contrast is not limited.
    """
    at_least("clip", ends(clip)[0], 0)
    size = shown(x, "clahe").size
    if grid < 1 or (size is not None and size < 2 * grid):
        raise Misfit(f"`grid` is {grid}; so many tiles do not suit images of {size}",
                     "each tile has at least 2 pixels a side", "E309")  # fmt: skip
    return x


@kornia_op("RandomInvert", fixed={"max_val": 1.0}, evaluation="sure")
def invert(x: ViewType) -> ViewType:
    """Make each value 1 - v."""
    return shown(x, "invert")


@kornia_op("RandomPosterize", arguments={"bits": ("bits", ends)},
           numbers={"bits": Number("bits_factor", "how many bits are kept", below=9, idle=8)},
)  # fmt: skip
def posterize(x: ViewType, bits: int | Interval, per: Per = "image") -> ViewType:
    """Keep the highest `bits` of each value in 0..255: a number, as in torchvision, or a range.

    (For a number n, kornia alone draws n..8.) The ends of a range are drawn half as often as what
    lies between, for kornia rounds a uniform number.
    """
    within("bits", ends(bits), 0, 8)
    if any(end != int(end) for end in ends(bits)):
        raise Misfit("`bits` are whole numbers", code="E309")
    return shown(x, "posterize")


@kornia_op("RandomSolarize",
           arguments={"threshold": ("thresholds", ends), "addition": ("additions", ends)},
           numbers={"threshold": Number("thresholds", "from which value on"),
                    "addition": Number("additions", "what is added before")})  # fmt: skip
def random_solarize(
    x: ViewType, threshold: Amount = 0.5, addition: Amount = 0.0, per: Per = "image"
) -> ViewType:
    """Add a number, then invert the values at or above a threshold; each is a number or a range.

    `solarize` is the same with one threshold and nothing added.
    """
    within("threshold", ends(threshold), 0, 1)
    within("addition", ends(addition), -0.5, 0.5)
    return shown(x, "random_solarize")


@kornia_op("RandomChannelDropout",
           arguments={"channels": "num_drop_channels", "fill": "fill_value"},
           form="plain.ChannelDropout",
           numbers={"channels": Number("channel_idx", "which are dropped",
                                       lambda s, x: (s["channels"],), lambda s, x: x.channels)},
)  # fmt: skip
def channel_dropout(
    x: ViewType, channels: int = 1, fill: float = 0.0, per: Per = "image"
) -> ViewType:
    """Fill `channels` of the channels, drawn for each image, with the value `fill`."""
    within("fill", (fill, fill), 0, 1)
    if not 1 <= channels <= x.channels:
        raise Misfit(f"`channels` is {channels}; the view has {x.channels}", code="E309")
    return shown(x, "channel_dropout")


@kornia_op("RandomChannelShuffle",
           numbers={"order": Number("channels", "where each channel comes from",
                                    lambda s, x: (x.channels,), lambda s, x: x.channels,
                                    lambda s, x: tuple(range(x.channels)))},
)  # fmt: skip
def channel_shuffle(x: ViewType, per: Per = "image") -> ViewType:
    """Put the channels into a random order."""
    return sized(x, "channel_shuffle")


@kornia_op("RandomRGBShift",
           arguments={"red": ("r_shift_limit", about_zero), "green": ("g_shift_limit", about_zero),
                      "blue": ("b_shift_limit", about_zero)},
           numbers={"red": Number("r_shift", "what is added"),
                    "green": Number("g_shift", "what is added"),
                    "blue": Number("b_shift", "what is added")})  # fmt: skip
def rgb_shift(
    x: ViewType, red: Amount = 0.5, green: Amount = 0.5, blue: Amount = 0.5, per: Per = "image"
) -> ViewType:
    """Add a number to each channel, uniform in a range or for a number d in -d..d; then clip."""
    spread(red=red, green=green, blue=blue)
    for name, value in (("red", red), ("green", green), ("blue", blue)):
        within(name, about_zero(value), -1, 1)
    return coloured(x, "rgb_shift")


_TEMPERATURES = {"blackbody": 25, "CIED": 23}


def _temperatures(settings: Settings) -> Sequence[int]:
    """Return the places in kornia's list that are drawn from."""
    return settings["select"] or range(_TEMPERATURES[settings["mode"]])


@kornia_op("RandomPlanckianJitter", arguments={"select": ("select_from", as_list)},
           numbers={"temperature": Number("idx", "which of the list, or of `select`, from 0 on",
                                          below=lambda s, x: len(_temperatures(s)))},
)  # fmt: skip
def planckian_jitter(
    x: ViewType,
    mode: Literal["blackbody", "CIED"] = "blackbody",
    select: tuple[int, ...] | None = None,
    per: Per = "image",
) -> ViewType:
    """Light the scene by another temperature (Zini et al., 2022).

    Of 25 black bodies of 3,000 to 15,000 K, or 23 phases of daylight (`CIED`), one is drawn; with
    `select` one of those of these numbers.
    """
    last = _TEMPERATURES[mode] - 1
    if select is not None and not (select and all(0 <= i <= last for i in select)):
        raise Misfit(f"`select` lists numbers in 0..{last}", code="E309")
    return coloured(x, "planckian_jitter")
