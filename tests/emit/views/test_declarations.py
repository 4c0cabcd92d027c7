"""The types of views that the ops give, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from sslang.ops import PRIMITIVES, Misfit
from sslang.types import ViewType

RGB = ViewType(3, 32)
LAB = ViewType(3, 32, "lab", unit=False)


def rule(name: str, x: ViewType, **settings: Any) -> ViewType:
    result = PRIMITIVES[name].rule(x, **settings)
    assert isinstance(result, ViewType)
    return result


@pytest.mark.parametrize(
    ("name", "x", "settings", "expected"),
    [
        ("to_lab", RGB, {}, LAB),
        ("to_ycbcr", RGB, {}, ViewType(3, 32, "ycbcr", unit=False)),
        ("to_gray", RGB, {}, ViewType(1, 32, "gray")),
        ("channels", LAB, {"first": 0}, ViewType(1, 32, "lab", unit=False)),
        ("channels", LAB, {"first": 1, "second": 2}, ViewType(2, 32, "lab", unit=False)),
        ("channels", RGB, {"first": 2, "second": 1, "third": 0}, RGB),
        ("patches", RGB, {"size": 8, "stride": 4}, ViewType(3, 8, grid=(7, 7))),
        ("patches", RGB, {"size": 32, "stride": 5}, ViewType(3, 32, grid=(1, 1))),
        ("pad", ViewType(3, 28, grid=(7, 7)), {"size": 32}, ViewType(3, 32, grid=(7, 7))),
        ("random_crop", ViewType(1, 8, "gray", (7, 7), False), {"size": 6},
         ViewType(1, 6, "gray", (7, 7), False)),
        ("center_crop", RGB, {"size": 24}, ViewType(3, 24)),
        ("center_crop", ViewType(3, None), {"size": 24}, ViewType(3, 24)),
        ("horizontal_flip", LAB, {}, LAB),
        ("gaussian_blur", ViewType(2, 32, "lab", unit=False), {},
         ViewType(2, 32, "lab", unit=False)),
        ("normalize", ViewType(1, 32, "gray"), {"mean": (0.4,), "std": (0.2,)},
         ViewType(1, 32, "gray", unit=False)),
        ("clip_values", LAB, {}, ViewType(3, 32, "lab")),
    ],
)  # fmt: skip
def test_types(name: str, x: ViewType, settings: dict[str, Any], expected: ViewType) -> None:
    assert rule(name, x, **settings) == expected


@pytest.mark.parametrize(
    ("name", "x", "settings", "message"),
    [
        ("channels", LAB, {"first": 3}, "channels 0..2; there is no 3"),
        ("channels", RGB, {"first": 0, "second": -1}, "there is no -1"),
        ("patches", RGB, {"size": 8, "stride": 5}, "do not tile images of 32"),
        ("patches", RGB, {"size": 33, "stride": 1}, "do not tile"),
        ("patches", RGB, {"size": 8, "stride": 0}, "do not tile"),
        ("patches", ViewType(3, 8, grid=(2, 2)), {"size": 4, "stride": 4}, "in patches already"),
        ("patches", ViewType(3, None), {"size": 8, "stride": 8}, "images of one size"),
        ("pad", RGB, {"size": 31}, "cannot hold images of 32"),
        ("center_crop", RGB, {"size": 33}, "does not fit images of 32"),
        ("to_lab", LAB, {}, "defined on RGB images"),
        ("to_gray", ViewType(1, 32, "gray"), {}, "defined on RGB images"),
        ("color_jitter", ViewType(2, 32), {"hue": 0.1}, "defined on RGB images"),
        ("grayscale", ViewType(3, 32, unit=False), {}, "values in 0..1"),
        ("solarize", ViewType(3, 32, unit=False), {}, "values in 0..1"),
        ("random_resized_crop", LAB, {"size": 16}, "values in 0..1"),
        ("normalize", ViewType(1, 32), {"mean": (0.4,) * 3, "std": (1.0,) * 3}, "1 channels"),
    ],
)
def test_refusals(name: str, x: ViewType, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(Misfit) as caught:
        rule(name, x, **settings)
    assert message in caught.value.message
    assert caught.value.code in ("E301", "E302", "E309", "E603")


def test_cpcs_grid() -> None:
    x = rule("patches", ViewType(1, 256, "gray"), size=64, stride=32)
    assert x == ViewType(1, 64, "gray", (7, 7))
    assert x.patches == 49
    assert rule("pad", rule("random_crop", x, size=60), size=64) == x
