"""Each view op by kornia and in our form, on the same numbers: they agree, or the op is closed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

import kornia.color
import numpy as np
import pytest
import torch
from torch import Tensor

from sslang.emit import views
from sslang.emit.draws import stream_key, uniform
from sslang.emit.views import by_kornia
from sslang.ops import PRIMITIVES

ROWS = 16
SHAPES = [(32, 32), (48, 48), (33, 41)]
JITTERS: list[dict[str, float]] = [
    {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2},
    {"brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1},
    {"brightness": 0.4, "hue": 0.5},
    {"contrast": 0.4, "saturation": 1.5},
    {"contrast": 0.8},
]
RANDOM: list[tuple[str, dict[str, Any]]] = [
    ("horizontal_flip", {}),
    ("vertical_flip", {}),
    ("grayscale", {}),
    *(("solarize", {"threshold": threshold}) for threshold in (0.0, 0.3, 0.5, 1.0)),
    *(
        ("gaussian_blur", {"kernel": kernel, "border": border, "sigma": sigma})
        for kernel in (None, 9, 23)
        for border in ("reflect", "zeros")
        for sigma in ((0.1, 2.0), (0.03, 0.05))
    ),
    *(
        ("color_jitter", {**jitter, "style": style, "brightness_mode": mode})
        for jitter in JITTERS
        for style in ("torchvision", "tensorflow")
        for mode in ("multiplicative", "additive")
    ),
    ("color_jitter", {}),
]
CERTAIN: list[tuple[str, dict[str, Any]]] = [
    ("to_gray", {}),
    ("to_lab", {}),
    ("normalize", {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}),
]
OPS = {name for name, _ in RANDOM + CERTAIN}


def images(height: int, width: int) -> Tensor:
    """Noise, and rows that are dark, grey, primary colours, white, black, tied and of bytes."""
    x = torch.rand(ROWS, 3, height, width, generator=torch.Generator().manual_seed(0))
    x[0] *= 0.05
    x[1] = x[1, :1]
    x[2] = x[2].round()
    x[3], x[4] = 1.0, 0.0
    x[5, 1] = x[5, 0]
    x[6] = (x[6] * 255).round() / 255
    return x


def draws(name: str, seed: int = 0) -> np.ndarray:
    return uniform(stream_key(seed, name), 0, ROWS, 1 + PRIMITIVES[name].draws)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("probability", [0.5, 1.0])
@pytest.mark.parametrize(("name", "settings"), RANDOM)
def test_both_forms_agree_on_the_same_numbers(
    name: str, settings: dict[str, Any], probability: float, shape: tuple[int, int]
) -> None:
    x = images(*shape)
    before = x.clone()
    for seed in range(4):
        u = draws(name, seed)
        ours = getattr(views, name)(x, u, probability=probability, **settings)
        theirs = getattr(by_kornia, name)(x, u, probability=probability, **settings)
        torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5)
        kept = torch.from_numpy(u[:, 0] >= probability)
        assert torch.equal(theirs[kept], x[kept])
        assert -1e-6 <= float(theirs.min()) <= float(theirs.max()) <= 1 + 1e-6
    assert torch.equal(x, before), "the argument was changed"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "settings"), CERTAIN)
def test_both_forms_of_an_op_without_draws_agree(
    name: str, settings: dict[str, Any], shape: tuple[int, int]
) -> None:
    x = images(*shape)
    before = x.clone()
    theirs = getattr(by_kornia, name)(x, **settings)
    scale = 100.0 if name == "to_lab" else 1.0  # the range of L
    ours = getattr(views, name)(x, **settings)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5 * scale)
    assert torch.equal(x, before)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", ["horizontal_flip", "vertical_flip", "gaussian_blur", "solarize"])
def test_both_forms_take_any_channels_where_colour_does_not_matter(name: str, count: int) -> None:
    x, u = images(20, 17)[:, :count], draws(name)
    theirs = getattr(by_kornia, name)(x, u, probability=0.5)
    ours = getattr(views, name)(x, u, probability=0.5)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "settings"), RANDOM)
def test_no_rows_and_none_drawn(name: str, settings: dict[str, Any]) -> None:
    op = getattr(by_kornia, name)
    x, u = images(48, 48), draws(name)
    assert op(x, u, probability=0.0, **settings) is x
    assert len(op(x[:0], u[:0], **settings)) == 0


@pytest.mark.parametrize(("name", "settings"), CERTAIN)
def test_no_rows_is_no_rows(name: str, settings: dict[str, Any]) -> None:
    none = images(8, 8)[:0]
    ours, theirs = (getattr(form, name)(none, **settings) for form in (views, by_kornia))
    assert theirs.shape == ours.shape


@pytest.mark.parametrize("kernel", [4, 17])
def test_a_kernel_that_does_not_suit_the_image_is_refused_alike(kernel: int) -> None:
    with pytest.raises(ValueError, match=f"kernel of {kernel} taps"):
        by_kornia.gaussian_blur(images(8, 8), draws("gaussian_blur"), kernel=kernel)


@pytest.mark.parametrize(("name", "settings"), RANDOM + CERTAIN)
def test_no_value_is_asked_of_the_device(
    name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tensors on `meta` have no values to give, so asking for one raises."""
    monkeypatch.setattr(torch, "autocast", lambda **_: nullcontext())  # which knows no meta
    x = torch.empty(ROWS, 3, 48, 48, device="meta")
    arguments = (draws(name),) if PRIMITIVES[name].random else ()
    out = getattr(by_kornia, name)(x, *arguments, **settings)
    assert out.device.type == "meta"


def test_blur_and_lab_stay_float32_under_autocast() -> None:
    x, u = images(32, 32), draws("gaussian_blur")
    blurred, lab = by_kornia.gaussian_blur(x, u), by_kornia.to_lab(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(by_kornia.gaussian_blur(x, u), blurred)
        assert torch.equal(by_kornia.to_lab(x), lab)


@pytest.mark.parametrize("name", sorted(OPS))
def test_both_forms_have_one_signature(name: str) -> None:
    ours, theirs = getattr(views, name), getattr(by_kornia, name)
    assert inspect.signature(theirs) == inspect.signature(ours)


def test_a_closed_op_has_one_form_alone() -> None:
    assert list(by_kornia.CLOSED) == ["to_ycbcr"]
    for name in by_kornia.CLOSED:
        assert hasattr(views, name)
        assert not hasattr(by_kornia, name)
    defined = {
        name
        for name, value in vars(by_kornia).items()
        if inspect.isfunction(value)
        and value.__module__ == by_kornia.__name__
        and not name.startswith("_")
    }
    assert defined == OPS, "and no op of by_kornia.py is untested"


def test_ycbcr_is_closed_because_kornias_weights_are_rounded() -> None:
    """Stretched to the ranges of BT.601, kornia's is off by 0.066 of 224: 30 times 1e-5."""
    x = images(32, 32)
    ours, theirs = views.to_ycbcr(x), kornia.color.rgb_to_ycbcr(x)
    assert float((ours - theirs).abs().max()) > 200
    ranges = torch.tensor([219.0, 224.0, 224.0])[:, None, None]
    low = torch.tensor([16.0, 16.0, 16.0])[:, None, None]
    off = (low + ranges * theirs - ours).abs().max()
    assert 0.06 < float(off) < 0.07


def test_kornia_is_imported_by_its_own_file_alone() -> None:
    code = "import sys, sslang.emit.views, sslang.emit.method; sys.exit('kornia' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
