"""Pictures of what a net has learned: they show what the features say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sslang.data.source import ArraySource
from sslang.track.sheets import GAP
from sslang.train.evaluation import Evaluator, Features
from sslang.train.gallery import NEIGHBOURS, plane, spread, write_map, write_neighbours

CLASSES = ("red", "green", "blue")


def _source(labels: list[int], name: str) -> ArraySource:
    """Images of the colour of their class; those without one are black."""
    images = np.zeros((len(labels), 96, 96, 3), dtype=np.uint8)
    for number, label in enumerate(labels):
        if label >= 0:
            images[number, :, :, label] = 255
    return ArraySource(name, images, np.array(labels), CLASSES)


def test_below_each_query_stand_its_neighbours(tmp_path: Path) -> None:
    train_labels = [-1, *(i % 3 for i in range(30))]  # the first one has no features
    test_labels = [2, -1, 0, 1]
    evaluator = Evaluator(_source(train_labels, "train"), _source(test_labels, "test"))
    known = [torch.tensor([label for label in labels if label >= 0])
             for labels in (train_labels, test_labels)]  # fmt: skip
    away = (known[0] + 1) % 3  # the features hold each training image for one of the class before
    features = Features(torch.eye(3)[away], known[0], torch.eye(3)[known[1]], known[1])
    write_neighbours(tmp_path / "sheet.png", evaluator, features)
    with Image.open(tmp_path / "sheet.png") as sheet:
        tops = range(sheet.height - GAP - 48, 0, -(96 + GAP))  # the middle of each row, from below
        for column, query in enumerate((0, 1, 2)):
            left = GAP + 48 + column * (96 + GAP)
            found = [np.argmax(sheet.getpixel((left, top - GAP))) for top in tops]
            assert found[:NEIGHBOURS] == [(query - 1) % 3] * NEIGHBOURS
            assert found[NEIGHBOURS] == query


def test_queries_are_of_each_class_in_turn_and_always_the_same() -> None:
    labels = torch.tensor([1, 1, 0, 1, 2, 0])
    assert spread(labels, 4).tolist() == [2, 0, 4, 5]
    assert spread(labels, 99).tolist() == [2, 0, 4, 5, 1, 3]


def test_the_plane_is_that_of_the_two_main_directions() -> None:
    random = np.random.default_rng(0)
    spread_ = random.normal(size=(200, 6)) * np.array([3, 2, 0.1, 0.1, 0.1, 0.1])
    features = torch.from_numpy(spread_)
    at, shares = plane(features)
    unit = spread_ / np.linalg.norm(spread_, axis=1, keepdims=True)
    centred = unit - unit.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * values[:2]
    assert np.allclose(np.abs(at.numpy()), np.abs(expected))
    assert np.allclose(shares, (values**2 / (values**2).sum())[:2])
    assert torch.equal(plane(features)[0], at)
    one, of_it = plane(features[:, :1])
    assert one.shape == (200, 2)
    assert of_it[1] == 0


def test_a_collapsed_net_has_a_map_too(tmp_path: Path) -> None:
    labels = torch.zeros(20, dtype=torch.int64)
    features = Features(torch.ones(20, 4), labels, torch.ones(20, 4), labels)
    write_map(tmp_path / "map.png", features, None, "step 1")
    with Image.open(tmp_path / "map.png") as drawn:
        assert drawn.size == (800, 600)
