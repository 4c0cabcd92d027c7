"""What ops of views ask of the images they are given, and of their settings."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from sslang.ops.declare import Misfit
from sslang.types import Interval, ViewType

Per = Literal["image", "step"]
Sampling = Literal["bilinear", "bicubic", "nearest"]
Border = Literal["zeros", "border", "reflection"]
Amount = float | Interval  # a range to draw from, or one number
LARGEST_KERNEL = 4095  # in pixels, as the largest images
Written = Amount | tuple[float, float]  # the same, or as the code of a step has it: a pair


def sized(x: ViewType, op: str) -> ViewType:
    if x.size is None:
        raise Misfit(
            f"`{op}` needs images of one size, and here they may still differ",
            "begin the chain with random_resized_crop(size), or resize_and_crop(size)",
            "E603",
        )
    return x


def positive(size: int, what: str) -> int:
    if not 1 <= size <= 4096:
        domain = "in 1..4096"
        raise Misfit(f"{what} is {size}; it must lie {domain}", "", "E309", (what, domain))
    return size


def unit(x: ViewType, op: str) -> None:
    if not x.unit:
        raise Misfit(
            f"`{op}` works on values in 0..1, and here they no longer are",
            "put it before `normalize` and before a change of colour space; after an op of noise, "
            "`clip_values` brings them back",
            "E301",
        )


def rgb(x: ViewType, op: str) -> None:
    if x.space != "rgb" or x.channels != 3:
        raise Misfit(f"`{op}` is defined on RGB images; this view is {x}", code="E301")
    unit(x, op)


def ends(value: Written) -> tuple[float, float]:
    """Return both ends of a range; a number is a range of its own."""
    if isinstance(value, Interval):
        return (value.low, value.high)
    return value if isinstance(value, tuple) else (value, value)


def whole_ends(value: Written) -> tuple[int, int]:
    """Return both ends of a range of whole numbers."""
    return (int(ends(value)[0]), int(ends(value)[1]))


def sizes_of_kernel(kernel: Written) -> int | tuple[int, int]:
    """Return an odd size, or the smallest and the largest."""
    return int(kernel) if isinstance(kernel, int | float) else whole_ends(kernel)


def as_list(numbers: tuple[int, ...] | None) -> list[int] | None:
    """Return the numbers as a list."""
    return None if numbers is None else list(numbers)


def elastic_kernel(settings: Mapping[str, Any]) -> int:
    """Return the odd size of the blur of `elastic_transform`, by default 8 sigma + 1."""
    return settings["kernel"] or int(8 * settings["sigma"] + 1) | 1


def about_zero(value: Written) -> tuple[float, float]:
    """Return both ends of a range; a number d stands for -d..d."""
    return (-value, value) if isinstance(value, int | float) else ends(value)


def about_one(value: Written) -> tuple[float, float]:
    """Return both ends of a range of factors; a number d stands for 1 - d..1 + d, from 0 on."""
    return (max(0.0, 1 - value), 1 + value) if isinstance(value, int | float) else ends(value)


def if_given(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the conversion of a setting that may be left out, which stays None."""
    return lambda value: None if value is None else convert(value)


def both(value: float) -> tuple[float, float]:
    """Return a number for the two axes."""
    return (value, value)


def pair(value: float | tuple[float, ...] | None) -> tuple[float, ...] | None:
    """Return one number for each of the two axes."""
    return (value, value) if isinstance(value, int | float) else value


def within(name: str, pair: tuple[float, ...] | None, low: float, high: float) -> None:
    """Raise a Misfit where an end of a range lies outside of low..high."""
    if pair is not None and not all(low <= end <= high for end in pair):
        shown = f"{pair[0]:g}" if len(set(pair)) == 1 else "..".join(f"{end:g}" for end in pair)
        domain = f"in {low:g}..{high:g}"
        raise Misfit(f"`{name}` is {shown}; it must lie {domain}", "", "E309", (name, domain))
    if pair is not None and len(pair) != 2:
        raise Misfit(f"`{name}` takes two numbers, not {len(pair)}", code="E309")


def at_least(name: str, value: float, least: float) -> None:
    """Raise a Misfit for a number below `least`."""
    if value < least:
        domain = f"{least:g} or more"
        raise Misfit(f"`{name}` is {value:g}; it must be {domain}", "", "E309", (name, domain))


def spread(**amounts: Amount | None) -> None:
    """Raise a Misfit for a number that stands for a range about another and is negative."""
    for name, amount in amounts.items():
        if isinstance(amount, int | float) and amount < 0:
            raise Misfit(f"`{name}` is {amount:g}; a number that stands for a range to both sides "
                         "must be 0 or more", "a range has both ends: -2..3", "E309",
            )  # fmt: skip


def above_zero(name: str, value: float) -> None:
    """Raise a Misfit for a number that is not positive."""
    if value <= 0:
        domain = "positive"
        raise Misfit(f"`{name}` is {value:g}; it must be {domain}", "", "E309", (name, domain))


def odd(kernel: int, size: int | None = None, border: str = "zeros", least: int = 1) -> None:
    """Raise a Misfit for a window that is even, or too large, or so for what is beyond the border.

    The image can be reflected once, by a pixel less than its size, or repeated once.
    """
    if kernel % 2 == 0 or not least <= kernel <= LARGEST_KERNEL:
        domain = f"odd, in {least}..{LARGEST_KERNEL}"
        raise Misfit(f"`kernel` is {kernel}; it must be {domain}", "", "E309", ("kernel", domain))
    beyond = {"reflect": 1, "circular": 0}.get(border)
    if size is not None and beyond is not None and kernel // 2 > size - beyond:
        raise Misfit(f"a `kernel` of {kernel} is too large for images of {size}, `{border}` beyond "
                     "the border", "a border of `zeros` or `replicate` takes any", "E309",
        )  # fmt: skip


def shown(x: ViewType, op: str, channels: tuple[int, ...] = ()) -> ViewType:
    """Return x, images of one size in 0..1; with `channels`, of so many."""
    unit(x, op)
    if channels and x.channels not in channels:
        counts = " or ".join(map(str, channels))
        raise Misfit(f"`{op}` works on images of {counts} channels; this view is {x}", code="E301")
    return sized(x, op)


def sampled(x: ViewType, op: str, interpolation: str) -> ViewType:
    """Return x, images of one size; with bicubic interpolation values leave 0..1 at edges."""
    return replace(sized(x, op), unit=x.unit and interpolation != "bicubic")


def coloured(x: ViewType, op: str) -> ViewType:
    """Return x, RGB images of one size in 0..1."""
    rgb(x, op)
    return sized(x, op)


def whole(x: ViewType, op: str) -> ViewType:
    """Return x, images of one size that are not in patches."""
    if x.grid is not None:
        raise Misfit(f"`{op}` mixes whole images, and these are in patches: {x}",
                     "put it before `patches`", "E301")  # fmt: skip
    return sized(x, op)
