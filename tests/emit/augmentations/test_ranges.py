"""The range of each parameter of an op of kornia: what we accept kornia takes, the rest we name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from sslang.api import load_source
from sslang.diagnostics import DiagnosticError, Source
from sslang.emit.view_draws import is_augmentation
from sslang.ops import PRIMITIVES
from sslang.types import Interval
from tests.emit.test_view_draws import method

SIZE = 32  # of the images that the ranges of sizes are about


@dataclass(frozen=True)
class Range:
    """Values just outside a parameter's range, and the ends of it, with what else is written."""

    outside: tuple[str, ...]
    ends: tuple[str, ...]
    others: str = ""


def span(low: str, high: str, below: str, above: str, others: str = "") -> Range:
    """A parameter that takes a number or a range within low..high."""
    return Range((below, above, f"{below}..{high}", f"{low}..{above}"),
                 (low, high, f"{low}..{high}"), others)  # fmt: skip


def about(low: str, high: str, below: str, above: str, others: str = "") -> Range:
    """A parameter of which a number stands for a range to both sides."""
    return Range(("-0.01", f"{below}..{high}", f"{low}..{above}"), ("0", f"{low}..{high}"), others)


def pair(low: str, high: str, below: str, above: str, others: str = "") -> Range:
    """A parameter that takes a range alone."""
    return Range((f"{below}..{high}", f"{low}..{above}"),
                 (f"{low}..{low}", f"{high}..{high}", f"{low}..{high}"), others)  # fmt: skip


SHARE = ("0", "1", "-0.01", "1.01")
TURN = about("-360", "360", "-360.5", "360.5")
SLANT = about("-89", "89", "-89.5", "89.5", "degrees = 0")
FACTOR = about("0", "2", "-0.01", "2.01")
AT_LEAST_0 = Range(("-0.01", "-0.01..2"), ("0", "0..0", "0..9"))
FACTOR_ABOVE_0 = Range(("-0.01", "-0.01..1"), ("0", "5", "0..9"))
HUE = Range(("-0.01", "0.51", "-0.51..0", "0..0.51"), ("0", "0.5", "-0.5..0.5"))
SHIFT = Range(("-0.01", "1.01", "-1.01..0", "0..1.01"), ("0", "1", "-1..1", "1..1"))
PIXELS = Range(("0", "4097"), ("1", "300"))
SIGN = span("-1", "1", "-1.01", "1.01")

RANGES: dict[str, dict[str, Range]] = {
    "color_jiggle": {
        "brightness": FACTOR,
        "contrast": FACTOR_ABOVE_0,
        "saturation": FACTOR_ABOVE_0,
        "hue": HUE,
    },
    "brightness": {"amount": Range((*FACTOR.outside, "1.01"), ("0", "1", "0..2"))},
    "contrast": {"amount": FACTOR_ABOVE_0},
    "saturation": {"amount": FACTOR_ABOVE_0},
    "hue": {"amount": HUE},
    "gamma": {"gamma": AT_LEAST_0, "gain": AT_LEAST_0},
    "clahe": {"clip": AT_LEAST_0, "grid": Range(("0", "17"), ("1", "16", "5"))},
    "posterize": {"bits": Range(("-1", "9", "-1..3", "3..9", "2.5..3"), ("0", "8", "0..8"))},
    "random_solarize": {
        "threshold": span(*SHARE),
        "addition": span("-0.5", "0.5", "-0.51", "0.51"),
    },
    "channel_dropout": {
        "channels": Range(("0", "4"), ("1", "3")),
        "fill": Range(("-0.01", "1.01"), ("0", "1")),
    },
    "rgb_shift": {"red": SHIFT, "green": SHIFT, "blue": SHIFT},
    "planckian_jitter": {
        "select": Range(("[]", "[-1]", "[25]"), ("[0]", "[24]", "[0, 24]")),
    },
    "resize": {"size": PIXELS},
    "longest_max_size": {"size": PIXELS},
    "smallest_max_size": {"size": PIXELS},
    "pad_to": {"size": Range(("31", "4097"), ("32", "99"))},
    "box_blur": {"kernel": Range(("0", "2", "65"), ("1", "63"))},
    "median_blur": {"kernel": Range(("0", "2", "4097"), ("1", "9"))},
    "motion_blur": {
        "kernel": Range(("1", "4", "3..6", "2..5", "67"), ("3", "65", "3..9"), "border = circular"),
        "angle": TURN,
        "direction": about("-1", "1", "-1.01", "1.01"),
    },
    "sharpness": {"factor": AT_LEAST_0},
    "jpeg": {"quality": span("1", "100", "0.9", "100.1")},
    "rotation": {"degrees": TURN},
    "rotation90": {"times": Range(("-4", "4", "-4..0", "0..4", "0.5..1"), ("-3", "3", "-3..3"))},
    "affine": {
        "degrees": TURN,
        "translate": Range(("-0.01", "1.01", "[0, 1.01]", "[0.1]"), ("0", "1", "[1, 0]"),
                           "degrees = 0"),
        "scale": Range(("0..1", "-1..1"), ("0.001..1", "1..100"), "degrees = 0"),
        "shear": SLANT,
    },
    "shear": {
        "horizontal": about("-89", "89", "-89.5", "89.5", "vertical = 1"),
        "vertical": about("-89", "89", "-89.5", "89.5", "horizontal = 1"),
    },
    "translate": {"horizontal": SHIFT, "vertical": SHIFT},
    "perspective": {"distortion": Range(("-0.01", "1.01"), ("0", "1"))},
    "thin_plate_spline": {"scale": Range(("-0.01", "1.01"), ("0", "1"))},
    "elastic_transform": {
        "sigma": Range(("0", "-1", "32.1", "1e10"), ("0.01", "32")),
        "kernel": Range(("0", "4", "-3", "4097", "1000000001"), ("1", "99")),
    },
    "fisheye": {
        "center_x": pair("-1", "1", "-1.01", "1.01"),
        "center_y": pair("-1", "1", "-1.01", "1.01"),
        "gamma": Range(("0..1", "-1..1", "1..101"), ("0.01..0.01", "1..100")),
    },
    "gaussian_illumination": {
        "gain": span(*SHARE),
        "center": span(*SHARE),
        "sigma": span("0.001", "1", "0", "1.01"),
        "sign": SIGN,
    },
    "linear_illumination": {"gain": span(*SHARE), "sign": SIGN},
    "linear_corner_illumination": {"gain": span(*SHARE), "sign": SIGN},
    "plasma_brightness": {"roughness": pair(*SHARE), "intensity": pair(*SHARE)},
    "plasma_contrast": {"roughness": pair(*SHARE)},
    "plasma_shadow": {
        "roughness": pair(*SHARE),
        "intensity": pair("-1", "0", "-1.01", "0.01"),
        "quantity": pair(*SHARE),
    },
    "mixup": {"weight": pair(*SHARE)},
    "cutmix": {
        "beta": Range(("0", "-1"), ("0.01", "99")),
        "keep": Range(("-0.01..1", "0..1.01", "1..1"), ("0..0", "0..1", "0.99..1")),
    },
    "patch_mix": {"size": Range(("0", "33"), ("1", "32"))},
    "mosaic": {"start": pair(*SHARE)},
    "jigsaw": {"grid": Range(("1", "3", "64"), ("2", "32"))},
    "gaussian_noise": {"std": Range(("-0.01",), ("0", "9"))},
    "salt_and_pepper_noise": {"amount": span(*SHARE), "salt": span(*SHARE)},
    "random_erasing": {
        "scale": pair(*SHARE),
        "ratio": Range(("0..1", "-1..1"), ("0.001..0.001", "1..999")),
        "value": Range(("-0.01", "1.01"), ("0", "1")),
    },
    "rand_augment": {
        "n": Range(("0", "16"), ("1", "15")),
        "m": Range(("0", "30"), ("1", "29")),
    },
    "denormalize": {
        "std": Range(("[1, 0, 1]",), ("[1e-6, 1, 9]",), "mean = [0, 0, 0]"),
    },
    "rain": {
        "drops": Range(("0..9", "1.5..3", "1..1000001"), ("1..1", "1..2000"),
                       "height = 1..2, width = 0..0"),
        "height": Range(("0..1", "1..32", "1..1.5"), ("1..1", "31..31", "1..31"),
                        "width = 0..0"),
        "width": Range(("-32..0", "0..32", "0.5..1"), ("-31..31", "31..31", "-31..-31"),
                       "height = 1..2"),
    },
    "snow": {
        "coefficient": span(*SHARE),
        "brightness": span("1", "100", "0.99", "100.5"),
    },
}  # fmt: skip

# Numbers that may be any.
UNBOUNDED = {
    ("pad_to", "value"): "the type says whether the result stays in 0..1",
    ("elastic_transform", "alpha"): "a negative one moves pixels the other way",
    ("gaussian_noise", "mean"): "the result leaves 0..1 anyway",
    ("denormalize", "mean"): "a mean may be any",
}
PARAMETERS = [(op, name) for op, ranges in RANGES.items() for name in ranges]


def written(op: str, name: str, value: str) -> str:
    others = RANGES[op][name].others
    if not others:
        required = [
            p.name for p in PRIMITIVES[op].settings if p.default is p.empty and p.name != name
        ]
        others = ", ".join(f"{p} = 1" for p in required)
    settings = ", ".join(filter(None, (f"{name} = {value}", others)))
    return f"random_crop({SIZE}) | {op}({settings})"


def test_every_number_of_every_op_has_a_range() -> None:
    numbers = {
        (name, p.name)
        for name, primitive in PRIMITIVES.items()
        if primitive.kind == "view" and is_augmentation(name)
        for p in primitive.settings
        if any(t in repr(p.annotation) for t in ("int", "float", Interval.__name__))
    }
    assert numbers == {*PARAMETERS, *UNBOUNDED}


@pytest.mark.parametrize(("op", "name"), PARAMETERS)
def test_values_outside_are_refused_by_name(op: str, name: str) -> None:
    for value in RANGES[op][name].outside:
        found = errors(written(op, name, value))
        assert [code for code, _ in found] == ["E309"], (value, found)
        assert f"`{name}`" in found[0][1], value


@pytest.mark.parametrize(("op", "name"), PARAMETERS)
def test_kornia_takes_the_ends(op: str, name: str) -> None:
    pixels = torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8)
    for value in RANGES[op][name].ends:
        chain = written(op, name, value)
        assert not errors(chain), value
        (view,) = method(chain, passes=()).views(pixels, np.full((2, 2), SIZE), 5)
        assert view.isfinite().all()


def errors(chain: str) -> list[tuple[str, str]]:
    """What the checker says of a chain: codes and messages."""
    text = (
        f'method "test"\nview a = {chain}\nencoder f = resnet18(stem = small, width = 0.0625)\n'
        'loss = mean(f(a))\nassume no_collapse "only the views matter here"\n'
        "recipe default : laptop { }\n"
    )
    try:
        load_source(Source("test.ssl", text))
    except DiagnosticError as error:
        return [(d.code, d.message) for d in error.diagnostics if d.is_error]
    return []
