from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from sslang.data.embedded import IMAGES, INDEX
from sslang.data.embedded.choice import CLASSES, is_excluded
from sslang.data.embedded.duplicates import without_duplicates
from sslang.data.sources import open_source


def test_the_set_is_what_is_promised() -> None:
    start = time.perf_counter()
    train, test = open_source("embedded", "train"), open_source("embedded", "test")
    assert time.perf_counter() - start < 2
    assert IMAGES.stat().st_size + INDEX.stat().st_size <= 5_000_000
    assert train.classes == test.classes == tuple(CLASSES)
    assert 8 <= len(CLASSES) <= 10
    assert train.resolution == test.resolution in ((32, 32), (48, 48))
    labels = np.array([test.label(i) for i in range(len(test))])
    assert len(test) >= 1000
    assert (labels >= 0).all()
    assert np.bincount(labels, minlength=len(CLASSES)).min() >= 20
    assert {train.label(i) for i in range(len(train))} == set(range(-1, len(CLASSES)))
    labelled = open_source("embedded", "train", unlabeled=False)
    assert all(labelled.label(i) >= 0 for i in range(len(labelled)))
    assert train.digest != test.digest


def test_no_near_duplicates_within_or_across_the_splits() -> None:
    arrays = [open_source("embedded", split).array() for split in ("train", "test")]
    assert arrays[0] is not None
    assert arrays[1] is not None
    assert without_duplicates(np.concatenate([arrays[0], arrays[1]])).all()


def test_index_names_the_origin_of_every_picture() -> None:
    index = json.loads(INDEX.read_text(encoding="utf-8"))
    paths = index["paths"]
    assert len(paths) == len(set(paths)) == len(index["labels"]) == len(index["test"])
    assert not any(is_excluded(path) for path in paths)
    for path, label in zip(paths, index["labels"], strict=True):
        if label >= 0:
            assert path.startswith(list(CLASSES.values())[label])
    assert INDEX.with_name("PROVENANCE.md").is_file()


def test_near_duplicates() -> None:
    random = np.random.default_rng(0)
    drawing = np.full((32, 32, 3), 255, dtype=np.uint8)
    drawing[8:20, 4:28] = (200, 30, 30)
    drawing[4:30, 14:18] = 0
    nearly = drawing.copy()
    nearly[9, 9] = 0
    other_colour = drawing.copy()
    other_colour[8:20, 4:28] = (30, 30, 200)
    noise = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    stays = without_duplicates(np.stack([drawing, noise, nearly, other_colour, drawing]))
    assert stays.tolist() == [True, True, False, True, False]


def test_build_on_a_small_package(tmp_path: Path) -> None:
    from PIL import Image

    from sslang.data.embedded import build

    def draw(path: str, seed: int) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 256, (20, 40, 4), dtype=np.uint8)
        Image.fromarray(noise).save(file)

    for i in range(6):
        draw(f"animals/{i}.png", i)
    draw("animals/twin.png", 3)
    draw("animals/tux_1.png", 90)
    draw("shapes/a.png", 91)
    draw("logos/a.png", 92)
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(tmp_path / "animals/blank.png")
    (tmp_path / "animals/text.png").write_text("no image")
    (tmp_path / "animals/link.png").symlink_to(tmp_path / "animals/0.png")
    pictures = build.gather(tmp_path)
    assert [p.path for p in pictures] == [
        *(f"animals/{i}.png" for i in range(6)), "animals/twin.png", "shapes/a.png"
    ]  # fmt: skip
    assert [p.label for p in pictures] == [0] * 7 + [-1]
    assert not pictures[-1].is_test
    pixels = pictures[0].pixels
    assert pixels.shape == (build.SIDE, build.SIDE, 3)
    assert (pixels[0] == 255).all()
    assert (pixels[build.SIDE // 2] != 255).any()
