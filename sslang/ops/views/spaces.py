"""Colour spaces, channels and normalisation."""

from dataclasses import replace

from sslang.ops.declare import Misfit, kornia_op, view_op
from sslang.ops.views.inputs import rgb, sized
from sslang.types import ViewType


@view_op("sslang.emit.views.clip_values", evaluation="keep")
def clip_values(x: ViewType) -> ViewType:
    """Values clamped to 0..1, for what leaves them: noise, bicubic interpolation, `denormalize`."""
    return replace(sized(x, "clip_values"), unit=True)


@view_op(
    "sslang.emit.views.by_kornia.to_gray", evaluation="keep", fused="sslang.emit.views.to_gray"
)
def to_gray(x: ViewType) -> ViewType:
    """One channel, the grey value 0.299 R + 0.587 G + 0.114 B; in evaluation too."""
    rgb(x, "to_gray")
    return replace(sized(x, "to_gray"), channels=1, space="gray")


@view_op("sslang.emit.views.by_kornia.to_lab", evaluation="keep", fused="sslang.emit.views.to_lab")
def to_lab(x: ViewType) -> ViewType:
    """CIE L*a*b* of sRGB values (D65, 2 degrees): L in 0..100, a and b around 0 within 110.

    The constants are those of skimage.color.rgb2lab, which CMC (Tian et al., 2019) uses.
    """
    rgb(x, "to_lab")
    return replace(sized(x, "to_lab"), space="lab", unit=False)


@view_op("sslang.emit.views.to_ycbcr", evaluation="keep")
def to_ycbcr(x: ViewType) -> ViewType:
    """ITU-R BT.601 YCbCr: Y in 16..235, Cb and Cr in 16..240, as skimage.color.rgb2ycbcr."""
    rgb(x, "to_ycbcr")
    return replace(sized(x, "to_ycbcr"), space="ycbcr", unit=False)


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
    return replace(sized(x, "channels"), channels=len(chosen))


@view_op(
    "sslang.emit.views.by_kornia.normalize", evaluation="keep", fused="sslang.emit.views.normalize",
    kornia="Normalize",
)  # fmt: skip
def normalize(x: ViewType, mean: tuple[float, ...], std: tuple[float, ...]) -> ViewType:
    """(v - mean) / std for each channel. RGB and grey values before it are in 0..1."""
    if len(mean) != x.channels or len(std) != x.channels:
        raise Misfit(f"normalize needs a mean and a std for each of {x.channels} channels")
    if min(std) <= 0:
        raise Misfit("a standard deviation is positive", code="E309")
    return replace(sized(x, "normalize"), unit=False)


@kornia_op("Denormalize", form="plain.OfTensors", evaluation="keep")
def denormalize(x: ViewType, mean: tuple[float, ...], std: tuple[float, ...]) -> ViewType:
    """Undo `normalize`: v * std + mean for each channel; `clip_values` then makes them 0..1."""
    if len(mean) != x.channels or len(std) != x.channels:
        raise Misfit(f"denormalize needs a mean and a std for each of {x.channels} channels")
    if min(std) <= 0:
        raise Misfit("`std`: a standard deviation is positive", code="E309")
    return replace(sized(x, "denormalize"), unit=False)
