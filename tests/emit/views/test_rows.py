"""What holds for every op: draws, subsets, rows, no waiting for the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sslang.emit import views
from sslang.emit.draws import stream_key, uniform
from sslang.emit.view_draws import is_augmentation
from sslang.emit.views.rows import apply_to_rows, drawn_rows
from sslang.ops import PRIMITIVES

ROWS, SIDE = 12, 16
SIZES = np.random.default_rng(1).integers(SIDE, 25, (ROWS, 2))
Op = Callable[..., Tensor]


def draws(op: str, rows: int = ROWS) -> np.ndarray:
    return uniform(stream_key(5, op), 0, rows, 1 + PRIMITIVES[op].draws)


def stored() -> Tensor:
    """Images padded with white, so that padding read by mistake shows."""
    images = torch.randint(0, 200, (ROWS, 3, 24, 24), generator=torch.Generator().manual_seed(0))
    for row, (height, width) in enumerate(SIZES.tolist()):
        images[row, :, height:] = 255
        images[row, :, :, width:] = 255
    return images.to(torch.uint8)


def floats() -> Tensor:
    return torch.rand(ROWS, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


ON_STORED: list[tuple[str, dict[str, Any]]] = [
    ("random_resized_crop", {"size": SIDE, "scale": (0.2, 1.0)}),
    ("random_resized_crop", {"size": SIDE, "interpolation": "bicubic"}),
    ("random_resized_crop", {"size": SIDE, "box": "simclr", "scale": (0.2, 1.0)}),
    ("random_resized_crop", {"size": SIDE, "box": "byol", "antialias": False}),
    ("random_crop", {"size": SIDE, "padding": 2}),
]
ON_FLOATS: list[tuple[str, dict[str, Any]]] = [
    ("horizontal_flip", {}),
    ("vertical_flip", {}),
    ("color_jitter", {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}),
    ("color_jitter", {"contrast": 0.8}),
    ("color_jitter", {"brightness": 0.4, "contrast": 0.4, "brightness_mode": "additive"}),
    ("color_jitter", {"contrast": 0.4, "saturation": 0.2, "hue": 0.1, "style": "tensorflow"}),
    ("grayscale", {}),
    ("gaussian_blur", {}),
    ("gaussian_blur", {"border": "zeros"}),
    ("solarize", {}),
]


def test_every_random_op_declares_its_draws() -> None:
    assert {name for name, _ in ON_STORED + ON_FLOATS} == {
        p.name for p in PRIMITIVES.values() if p.random and not is_augmentation(p.name)
    }


@pytest.mark.parametrize(("name", "settings"), ON_FLOATS)
def test_only_drawn_rows_change(name: str, settings: dict[str, Any]) -> None:
    op: Op = getattr(views, name)
    x, u = floats(), draws(name)
    before = x.clone()
    every = op(x, u, probability=1.0, **settings)
    some = op(x, u, probability=0.5, **settings)
    drawn = torch.from_numpy(u[:, 0] < 0.5)
    assert 0 < int(drawn.sum()) < ROWS
    torch.testing.assert_close(some[drawn], every[drawn], rtol=0, atol=1e-6)
    assert torch.equal(some[~drawn], x[~drawn])
    assert not torch.equal(some[drawn], x[drawn])
    assert torch.equal(x, before), "the argument was changed"
    assert op(x, u, probability=0.0, **settings) is x


@pytest.mark.parametrize(("name", "settings"), ON_FLOATS)
def test_a_row_depends_on_itself_alone(name: str, settings: dict[str, Any]) -> None:
    op: Op = getattr(views, name)
    x, u = floats(), draws(name)
    whole = op(x, u, probability=0.8, **settings)
    for row in range(ROWS):
        part = slice(row, row + 1)
        alone = op(x[part], u[part], probability=0.8, **settings)
        torch.testing.assert_close(alone, whole[part], rtol=0, atol=1e-6)
    assert len(op(x[:0], u[:0], probability=0.8, **settings)) == 0


@pytest.mark.parametrize(("name", "settings"), ON_STORED)
def test_a_row_of_a_crop_depends_on_itself_alone(name: str, settings: dict[str, Any]) -> None:
    op: Op = getattr(views, name)
    images, u = stored(), draws(name)
    whole = op(images, SIZES, u, **settings)
    assert whole.shape == (ROWS, 3, SIDE, SIDE)
    assert whole.dtype == torch.float32
    for row, (height, width) in enumerate(SIZES.tolist()):
        part = slice(row, row + 1)
        unpadded = images[part, :, :height, :width]
        alone = op(unpadded, SIZES[part], u[part], **settings)
        torch.testing.assert_close(alone, whole[part], rtol=0, atol=1e-6)
    assert op(images[:0], SIZES[:0], u[:0], **settings).shape == (0, 3, SIDE, SIDE)


@pytest.mark.parametrize(("name", "settings"), ON_FLOATS)
def test_without_a_probability_every_row_is_drawn(name: str, settings: dict[str, Any]) -> None:
    op: Op = getattr(views, name)
    x, u = floats(), draws(name)
    every = op(x, u, probability=1.0, **settings)
    torch.testing.assert_close(op(x, u, **settings), every, rtol=0, atol=0)


class NoWaiting(TorchDispatchMode):
    """Fails on the ops for which the host must know what the device has computed."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func._opname not in self.FORBIDDEN, f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


ON_ALL: list[tuple[str, dict[str, Any]]] = [
    ("to_lab", {}),
    ("to_ycbcr", {}),
    ("to_gray", {}),
    ("clip_values", {}),
    ("channels", {"first": 1, "second": 2}),
    ("pad", {"size": SIDE + 3}),
    ("patches", {"size": 8, "stride": 4}),
    ("normalize", {"mean": (0.5,) * 3, "std": (0.2,) * 3}),
]


@pytest.mark.parametrize(("name", "settings"), ON_ALL)
def test_an_op_without_draws_takes_its_rows_alone(name: str, settings: dict[str, Any]) -> None:
    op: Op = getattr(views, name)
    x = floats()
    before = x.clone()
    with NoWaiting():
        whole = op(x, **settings)
    assert torch.equal(x, before)
    each = len(whole) // ROWS
    for row in range(ROWS):
        alone = op(x[row : row + 1], **settings)
        torch.testing.assert_close(alone, whole[each * row : each * row + each], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["horizontal_flip", "vertical_flip", "gaussian_blur", "solarize"])
@pytest.mark.parametrize("count", [1, 2])
def test_ops_that_know_no_colour_take_any_channels(name: str, count: int) -> None:
    op: Op = getattr(views, name)
    x, u = floats(), draws(name)
    whole = op(x, u, probability=0.5)
    part = op(x[:, :count], u, probability=0.5)
    torch.testing.assert_close(part, whole[:, :count], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "settings"), ON_STORED + ON_FLOATS)
def test_no_op_waits_for_the_device(name: str, settings: dict[str, Any]) -> None:
    op: Op = getattr(views, name)
    arguments = (stored(), SIZES) if (name, settings) in ON_STORED else (floats(),)
    with NoWaiting():
        op(*arguments, draws(name), probability=0.5, **settings)


def test_drawn_rows_compare_column_zero_with_the_probability() -> None:
    u = np.array([[0.0, 0.9], [0.5, 0.1], [0.49, 0.0], [0.999, 0.0]])
    assert drawn_rows(u, 0.5).tolist() == [0, 2]
    assert drawn_rows(u, 0.0).tolist() == []
    assert drawn_rows(u, 1.0).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("rows", [[2, 0], [3, 1, 2, 0]])
def test_results_return_to_their_rows_whatever_the_order(rows: list[int]) -> None:
    x = torch.arange(4.0)[:, None]
    seen: list[list[float]] = []

    def negate(part: Tensor) -> Tensor:
        seen.append(part[:, 0].tolist())
        return part.neg_()

    out = apply_to_rows(x, np.array(rows), negate)
    assert seen == [[float(row) for row in rows]]
    assert out[:, 0].tolist() == [-r if r in rows else r for r in (0.0, 1.0, 2.0, 3.0)]
    assert x[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
