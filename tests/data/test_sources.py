from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslang.data.source import Source
from sslang.data.sources import open_source
from sslang.diagnostics import DiagnosticError
from sslang.model.recipe import WORDS, Embedded
from tests.data.test_known import write_idx


def class_folders(root: Path, count: int = 40) -> str:
    for i in range(count):
        (root / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (i, i, i)).save(root / "ab"[i % 2] / f"{i:02}.png")
    return str(root)


def values(source: Source) -> list[int]:
    return [int(source.read(i)[0, 0, 0]) for i in range(len(source))]


def test_a_subset_of_files_is_random_fixed_and_in_order(tmp_path: Path) -> None:
    path = class_folders(tmp_path)
    whole = open_source("image_folder", "train", path=path, test=0.0)
    few = open_source("image_folder", "train", path=path, test=0.0, images=6)
    more = open_source("image_folder", "train", path=path, test=0.0, images=20)
    again = open_source("image_folder", "train", path=path, test=0.0, images=6)
    assert (len(few), len(more)) == (6, 20)
    assert values(few) == values(again)
    assert few.digest == again.digest != whole.digest
    assert set(values(few)) < set(values(more)) < set(values(whole))
    assert [v for v in values(whole) if v in values(more)] == values(more)
    assert {more.label(i) for i in range(20)} == {0, 1}, "one class alone"
    assert all(more.label(i) == value % 2 for i, value in enumerate(values(more)))
    assert few.classes == whole.classes
    assert few.resolution == (8, 8)


def test_a_subset_in_memory_leaves_the_test_split_whole(tmp_path: Path) -> None:
    images = np.arange(30, dtype=np.uint8)[:, None, None].repeat(28, 1).repeat(28, 2)
    for stem, count in (("train", 30), ("t10k", 5)):
        write_idx(tmp_path / f"{stem}-images-idx3-ubyte", images[:count])
        labels = np.arange(count).astype(np.uint8) % 10
        write_idx(tmp_path / f"{stem}-labels-idx1-ubyte", labels)
    train = open_source("fashion_mnist", "train", path=str(tmp_path), images=12)
    array = train.array()
    assert array is not None
    assert array.shape == (12, 28, 28, 3)
    assert values(train) == sorted(set(values(train)))
    assert values(train) != list(range(12)), "the first images, which may be one class"
    assert all(train.label(i) == value % 10 for i, value in enumerate(values(train)))
    assert len(open_source("fashion_mnist", "test", path=str(tmp_path), images=12)) == 5
    full = open_source("fashion_mnist", "train", path=str(tmp_path), images=30)
    assert full.digest == open_source("fashion_mnist", "train", path=str(tmp_path)).digest
    with pytest.raises(DiagnosticError, match="30 images, fewer than images = 31") as error:
        open_source("fashion_mnist", "train", path=str(tmp_path), images=31)
    assert error.value.diagnostics[0].code == "E602"
    assert "images = 30" in error.value.diagnostics[0].hint


def test_the_unreadable_of_a_subset_are_counted_against_the_subset(tmp_path: Path) -> None:
    path = class_folders(tmp_path)
    some = open_source("image_folder", "train", path=path, test=0.0, images=10)
    assert values(some)
    for file in sorted(tmp_path.rglob("*.png"))[:4]:
        whole = file.read_bytes()
        file.write_bytes(whole[: whole.index(b"IDAT") + 8])  # the header stays good
    every = open_source("image_folder", "train", path=path, test=0.0, images=40)
    with pytest.raises(DiagnosticError, match="4 of 40"):
        values(every)
    part = open_source("image_folder", "train", path=path, test=0.0, images=10)
    assert set(values(part)) <= set(values(some)), "replaced from outside of the subset"


def test_every_set_of_unknown_size_can_be_cut() -> None:
    for word in WORDS.values():
        if word.role == "data" and word is not Embedded:
            assert "images" in word.model_fields, word.word
