"""Crops, resizes and flips against torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from sslang.emit import views
from sslang.emit.draws import stream_key, uniform
from sslang.emit.views import geometry
from sslang.emit.views.boxes import BOXES, Box, torchvision_boxes
from sslang.emit.views.resample import Interpolation
from sslang.ops import PRIMITIVES

ROWS = 24
RATIO = (3 / 4, 4 / 3)
MODES: list[Interpolation] = ["bilinear", "bicubic"]


def draws(op: str, rows: int = ROWS, seed: int = 0) -> np.ndarray:
    return uniform(stream_key(seed, op), 0, rows, 1 + PRIMITIVES[op].draws)


def stored(low: int, height: int, width: int) -> tuple[Tensor, np.ndarray]:
    """Images of many sizes, padded with white."""
    generator = np.random.default_rng(3)
    sizes = np.stack(
        [generator.integers(low, height + 1, ROWS), generator.integers(low, width + 1, ROWS)], 1
    )
    images = torch.full((ROWS, 3, height, width), 255, dtype=torch.uint8)
    for row, (h, w) in enumerate(sizes.tolist()):
        pixels = generator.integers(0, 256, (3, h, w), dtype=np.uint8)
        images[row, :, :h, :w] = torch.from_numpy(pixels)
    return images, sizes


def single(images: Tensor, sizes: np.ndarray) -> list[Tensor]:
    """Each image without its padding, float in [0, 1]."""
    return [images[row, :, :h, :w].float() / 255.0 for row, (h, w) in enumerate(sizes.tolist())]


def boxed(images: Tensor, sizes: np.ndarray, boxes: np.ndarray, size: int, mode: str) -> Tensor:
    """torchvision's result for `boxes`."""
    return torch.stack(
        [
            reference.resized_crop(
                image,
                *(int(v) for v in box),
                size=[size, size],
                interpolation=InterpolationMode(mode),
                antialias=True,
            ).clamp(0, 1)
            for image, box in zip(single(images, sizes), boxes, strict=True)
        ]
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(20, 40, 48), (60, 90, 110)], ids=["matrices", "by row"])
@pytest.mark.parametrize("size", [24, 57])
def test_random_resized_crop_is_torchvisions(
    mode: Interpolation, shape: tuple[int, int, int], size: int
) -> None:
    images, sizes = stored(*shape)
    u = draws("random_resized_crop")
    out = views.random_resized_crop(
        images, sizes, u, size=size, scale=(0.2, 1.0), interpolation=mode
    )
    boxes = torchvision_boxes(u[:, 1:], sizes, (0.2, 1.0), RATIO)
    torch.testing.assert_close(out, boxed(images, sizes, boxes, size, mode), rtol=0, atol=1e-5)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_a_cpu_takes_large_images_one_by_one_with_the_same_result(
    mode: Interpolation, antialias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, sizes = stored(60, 90, 110)
    boxes = torchvision_boxes(draws("random_resized_crop")[:, 1:], sizes, (0.08, 1.0), RATIO)
    settings = {"size": 32, "interpolation": mode, "antialias": antialias}
    by_row = views.resized_crop(images, boxes, **settings)
    monkeypatch.setattr(geometry, "_MATRIX_LIMIT", 1000)
    matrices = views.resized_crop(images, boxes, **settings)
    torch.testing.assert_close(by_row, matrices, rtol=0, atol=1e-5)


def test_a_crop_of_the_whole_image_at_its_size_is_the_image() -> None:
    images, _ = stored(32, 32, 32)
    sizes = np.full((ROWS, 2), 32)
    expected = images.float() / 255.0
    u = draws("random_resized_crop")
    settings = {"size": 32, "scale": (1.0, 1.0), "ratio": (1.0, 1.0)}
    for out in (
        views.random_resized_crop(images, sizes, u, **settings),
        views.random_resized_crop(images, sizes, u, size=32, probability=0.0),
        views.random_crop(images, sizes, draws("random_crop"), size=32),
        views.random_crop(images, sizes, draws("random_crop"), size=32, padding=4, probability=0.0),
        views.center_crop(images, sizes, size=32),
        views.evaluation_crop(images, sizes, size=32, crop=1.0),
    ):
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-6)


def test_autocast_does_not_reach_the_crop() -> None:
    images, sizes = stored(20, 32, 32)
    u = draws("random_resized_crop")
    outside = views.random_resized_crop(images, sizes, u, size=24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = views.random_resized_crop(images, sizes, u, size=24)
    assert torch.equal(inside, outside)


@pytest.mark.parametrize(
    ("height", "width", "scale"),
    [(60, 80, (0.2, 1.0)), (50, 50, (0.08, 1.0)), (20, 90, (0.5, 1.0))],
)
def test_boxes_are_distributed_as_torchvisions(
    height: int, width: int, scale: tuple[float, float]
) -> None:
    count = 4000
    sizes = np.tile([height, width], (count, 1))
    ours = torchvision_boxes(draws("random_resized_crop", count)[:, 1:], sizes, scale, RATIO)
    image = torch.empty(3, height, width)
    torch.manual_seed(0)
    theirs = np.array(
        [RandomResizedCrop.get_params(image, list(scale), list(RATIO)) for _ in range(count)]
    )
    for mine, other in ((ours, theirs), (ours**2, theirs**2)):
        error = np.sqrt((mine.var(0) + other.var(0)) / count)
        assert (np.abs(mine.mean(0) - other.mean(0)) <= 4.5 * error + 1e-9).all()
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 2:] > 0).all()
    assert (ours[:, :2] + ours[:, 2:] <= sizes).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((10, 90), (0, 38, 10, 13)), ((90, 10), (38, 0, 13, 10)), ((20, 20), (0, 0, 20, 20))],
)
def test_where_no_attempt_fits_the_largest_centred_box_is_taken(
    size: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    u = draws("random_resized_crop", 4)[:, 1:]
    boxes = torchvision_boxes(u, np.tile(size, (4, 1)), (20.0, 30.0), RATIO)
    assert boxes.tolist() == [list(expected)] * 4


@pytest.mark.parametrize("padding", [0, 4])
def test_random_crop_shifts_by_whole_pixels_into_zeros(padding: int) -> None:
    images, sizes = stored(24, 40, 48)
    u = draws("random_crop")
    out = views.random_crop(images, sizes, u, size=24, padding=padding)
    for row, image in enumerate(single(images, sizes)):
        padded = reference.pad(image, [padding] * 4)
        top, left = np.floor(u[row, 1:] * (sizes[row] + 2 * padding - 24 + 1)).astype(int)
        expected = padded[:, top : top + 24, left : left + 24]
        torch.testing.assert_close(out[row], expected, rtol=0, atol=1e-6)


def test_random_crop_reaches_every_position_equally() -> None:
    count = 6000
    images = torch.arange(36, dtype=torch.uint8).view(1, 1, 6, 6).expand(count, 1, 6, 6)
    out = views.random_crop(images, np.full((count, 2), 6), draws("random_crop", count), size=4)
    corner = (out[:, 0, 0, 0] * 255).round().long()
    seen = torch.bincount(corner, minlength=36).view(6, 6)
    assert int(seen[:3, :3].sum()) == count
    assert (seen[:3, :3] - count / 9).abs().max() < 5 * (count / 9) ** 0.5


def test_random_crop_refuses_an_image_that_is_too_small() -> None:
    images, sizes = stored(24, 24, 24)
    sizes[5] = (20, 23)
    with pytest.raises(ValueError, match="larger than image 5 of the batch: 20 x 23"):
        views.random_crop(images, sizes, draws("random_crop"), size=21 + 2, padding=1)


@pytest.mark.parametrize("size", [18, 33])
def test_center_crop_is_torchvisions(size: int) -> None:
    images, sizes = stored(16, 40, 48)
    expected = [reference.center_crop(image, [size]) for image in single(images, sizes)]
    out = views.center_crop(images, sizes, size=size)
    torch.testing.assert_close(out, torch.stack(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [16, 40])
def test_resize_is_torchvisions_and_pads_with_zeros(mode: Interpolation, size: int) -> None:
    images, sizes = stored(20, 40, 48)
    out, resized = views.resize(images, sizes, size=size, interpolation=mode)
    assert (resized.min(1) == size).all()
    assert out.shape[-2:] == tuple(resized.max(0))
    for row, image in enumerate(single(images, sizes)):
        expected = reference.resize(
            image, [size], interpolation=InterpolationMode(mode), antialias=True
        ).clamp(0, 1)
        height, width = resized[row]
        assert expected.shape[-2:] == (height, width)
        torch.testing.assert_close(out[row, :, :height, :width], expected, rtol=0, atol=2e-5)
        assert not out[row, :, height:].any()
        assert not out[row, :, :, width:].any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("size", "crop"), [(28, 0.875), (32, 1.0), (16, 0.875)])
def test_evaluation_crop_is_resize_and_center_crop(
    mode: Interpolation, size: int, crop: float
) -> None:
    images, sizes = stored(20, 40, 48)
    out = views.evaluation_crop(images, sizes, size=size, crop=crop, interpolation=mode)
    for row, image in enumerate(single(images, sizes)):
        resized = reference.resize(
            image, [round(size / crop)], interpolation=InterpolationMode(mode), antialias=True
        )
        expected = reference.center_crop(resized, [size]).clamp(0, 1)
        torch.testing.assert_close(out[row], expected, rtol=0, atol=2e-5)


def test_evaluation_crop_refuses_to_enlarge_the_crop() -> None:
    images, sizes = stored(20, 24, 24)
    with pytest.raises(ValueError, match=r"not 1\.5"):
        views.evaluation_crop(images, sizes, size=16, crop=1.5)


def test_flips_are_torchvisions() -> None:
    x = torch.rand(ROWS, 3, 5, 7)
    u = np.zeros((ROWS, 1))
    assert torch.equal(views.horizontal_flip(x, u), reference.horizontal_flip(x))
    assert torch.equal(views.vertical_flip(x, u), reference.vertical_flip(x))


def cubic_without_antialiasing(image: np.ndarray, size: int) -> np.ndarray:
    """TensorFlow's cubic: Keys' kernel with a = -0.5 over four pixels, renormalised at the rim."""

    def weight(d: float) -> float:
        d = abs(d)
        if d < 1:
            return 1.5 * d**3 - 2.5 * d**2 + 1
        return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0

    def matrix(length: int) -> np.ndarray:
        rows = np.zeros((size, length))
        for at in range(size):
            centre = (at + 0.5) * length / size - 0.5
            for pixel in range(max(0, int(centre) - 3), min(length, int(centre) + 4)):
                rows[at, pixel] = weight(pixel - centre)
        return rows / rows.sum(1, keepdims=True)

    height, width = image.shape[-2:]
    return np.clip(matrix(height) @ image @ matrix(width).T, 0, 1)


@pytest.mark.parametrize("shape", [(20, 40, 48), (60, 90, 110)], ids=["matrices", "by row"])
def test_without_antialiasing_the_cubic_is_tensorflows(shape: tuple[int, int, int]) -> None:
    images, sizes = stored(*shape)
    boxes = torchvision_boxes(draws("random_resized_crop")[:, 1:], sizes, (0.2, 1.0), RATIO)
    out = views.resized_crop(images, boxes, size=16, interpolation="bicubic", antialias=False)
    for row, (top, left, height, width) in enumerate(boxes.tolist()):
        box = images[row, :, top : top + height, left : left + width].double().numpy() / 255
        expected = torch.from_numpy(cubic_without_antialiasing(box, 16)).float()
        torch.testing.assert_close(out[row], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(20, 40, 48), (60, 90, 110)], ids=["matrices", "by row"])
def test_without_antialiasing_the_triangle_is_torchvisions(shape: tuple[int, int, int]) -> None:
    images, sizes = stored(*shape)
    boxes = torchvision_boxes(draws("random_resized_crop")[:, 1:], sizes, (0.2, 1.0), RATIO)
    out = views.resized_crop(images, boxes, size=16, antialias=False)
    expected = torch.stack(
        [
            reference.resized_crop(image, *(int(v) for v in box), size=[16, 16], antialias=False)
            for image, box in zip(single(images, sizes), boxes, strict=True)
        ]
    )
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("box", list(BOXES))
def test_the_crop_takes_the_boxes_of_its_algorithm(box: Box) -> None:
    images, sizes = stored(20, 40, 48)
    u = draws("random_resized_crop")
    out = views.random_resized_crop(images, sizes, u, size=16, scale=(0.2, 0.9), box=box)
    boxes = BOXES[box](u[:, 1:], sizes, (0.2, 0.9), RATIO)
    assert torch.equal(out, views.resized_crop(images, boxes, size=16))


def test_the_evaluation_crop_can_do_without_antialiasing() -> None:
    images, _ = stored(32, 32, 32)
    sizes = np.full((ROWS, 2), 32)
    out = views.evaluation_crop(
        images, sizes, size=12, crop=1.0, interpolation="bicubic", antialias=False
    )
    for row, image in enumerate(images):
        pixels = image.double().numpy() / 255
        expected = torch.from_numpy(cubic_without_antialiasing(pixels, 12)).float()
        torch.testing.assert_close(out[row], expected, rtol=0, atol=1e-5)
