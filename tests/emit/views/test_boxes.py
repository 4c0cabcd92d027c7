"""The boxes of SimCLR's and BYOL's crops against their algorithms, written out one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sslang.emit.draws import stream_key, uniform
from sslang.emit.views.boxes import ATTEMPTS, BOXES, Box, byol_boxes, simclr_boxes

RATIO = (3 / 4, 4 / 3)


def draws(count: int, seed: int = 0) -> np.ndarray:
    return uniform(stream_key(seed, "boxes"), 0, count, 22)


def tensorflow_box(
    u: np.ndarray, height: int, width: int, scale: tuple[float, float]
) -> tuple[int, int, int, int]:
    """sample_distorted_bounding_box with one object, the image, of which a tenth is covered."""
    least, most = scale[0] * height * width, scale[1] * height * width
    for attempt in range(ATTEMPTS):
        aspect = RATIO[0] + (RATIO[1] - RATIO[0]) * u[2 * attempt]
        low, high = round(math.sqrt(least / aspect)), round(math.sqrt(most / aspect))
        while high > height or round(high * aspect) > width:
            high -= 1
        low = min(low, high)
        tall = low + int(u[2 * attempt + 1] * (high - low + 1))
        if tall * round(tall * aspect) < least:
            tall += 1
        if tall * round(tall * aspect) > most:
            tall -= 1
        wide = round(tall * aspect)
        area = tall * wide
        if (
            least <= area <= most
            and tall <= height
            and wide <= width
            and area >= 0.1 * height * width
        ):
            return int(u[20] * (height - tall)), int(u[21] * (width - wide)), tall, wide
    return 0, 0, height, width


@pytest.mark.parametrize("size", [(32, 32), (60, 80), (90, 50), (12, 40), (7, 100)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.3, 0.9)])
def test_simclrs_boxes_are_tensorflows(size: tuple[int, int], scale: tuple[float, float]) -> None:
    count = 500
    u = draws(count)
    boxes = simclr_boxes(u, np.tile(size, (count, 1)), scale, RATIO)
    expected = [tensorflow_box(row, *size, scale) for row in u]
    agree = (boxes == np.array(expected)).all(1)
    assert agree.mean() > 0.995  # a rounding of exactly one half may go either way


def test_byols_boxes_are_cut_to_the_image() -> None:
    count, size = 500, (40, 56)
    u = draws(count)
    boxes = byol_boxes(u, np.tile(size, (count, 1)), (0.08, 1.0), RATIO)
    for row, box in zip(u, boxes.tolist(), strict=True):
        area = 40 * 56 * (0.08 + 0.92 * row[0])
        aspect = math.exp(math.log(3 / 4) + (math.log(4 / 3) - math.log(3 / 4)) * row[1])
        tall = min(round(math.sqrt(area / aspect)), 40)
        wide = min(round(math.sqrt(area * aspect)), 56)
        assert box == [int(row[20] * (41 - tall)), int(row[21] * (57 - wide)), tall, wide]


@pytest.mark.parametrize(("box", "mean"), [("torchvision", 0.48), ("simclr", 0.42), ("byol", 0.53)])
def test_the_mean_area_tells_the_algorithms_apart(box: Box, mean: float) -> None:
    """A uniform area has a mean of 0.54, of which cuts and retries leave less."""
    count = 20_000
    boxes = BOXES[box](draws(count), np.full((count, 2), 224), (0.08, 1.0), RATIO)
    area = boxes[:, 2:].prod(1) / 224**2
    assert abs(area.mean() - mean) < 0.01
    assert area.min() >= (0.1 if box == "simclr" else 0.078)


@pytest.mark.parametrize("box", list(BOXES))
def test_every_box_lies_in_its_image(box: Box) -> None:
    count = 2000
    sizes = np.random.default_rng(0).integers(1, 90, (count, 2))
    boxes = BOXES[box](draws(count), sizes, (0.05, 1.0), RATIO)
    assert boxes.dtype == np.int64
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] > 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= sizes).all()


def test_an_image_that_no_ratio_fits_is_taken_whole_by_simclr() -> None:
    boxes = simclr_boxes(draws(20), np.tile((4, 400), (20, 1)), (0.5, 1.0), RATIO)
    assert boxes.tolist() == [[0, 0, 4, 400]] * 20
