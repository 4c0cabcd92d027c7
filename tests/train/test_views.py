"""The sheet of views: images of several sizes, and views drawn for the whole batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

import sslang
from sslang.data.source import ArraySource
from sslang.track.sheets import GAP, LINE
from sslang.train.learner import Learner
from sslang.train.options import RunOptions
from sslang.train.run import prepare
from sslang.train.views import column_of, write_views
from sslang.types import ViewType
from tests.conftest import ROOT, TINY

TOP = 2 * GAP + 2 * LINE
SIMCLR = ROOT / "specs/simclr.ssl"


def test_originals_are_shown_without_the_padding_of_their_batch(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(16):
        size = (20 + number, 60 - 2 * number, 3)
        image = rng.integers(0, 255, size, dtype=np.uint8)
        image[0, 0] = image[-1, -1] = (255, 0, 0)
        Image.fromarray(image).save(folder / f"{number}.png")
    overrides = [*TINY["simclr"], f'data=image_folder("{folder}")', "batch=4", "evaluate=[]"]
    program = sslang.load(SIMCLR, overrides=overrides)
    data, learner = prepare(program, RunOptions(device="cpu"))
    write_views(tmp_path / "views.png", learner, data.train, workers=0)
    with Image.open(tmp_path / "views.png") as sheet:
        pixels = np.asarray(sheet)
    first = pixels[TOP:, GAP : GAP + 60]
    ends = np.argwhere((first == (255, 0, 0)).all(axis=-1))
    assert len(ends) == 8  # both ends of each of the four
    for start, end in zip(ends[::2], ends[1::2], strict=True):
        height, width = end - start + 1
        assert start[1] == 0
        assert width == 60 - 2 * (height - 20)
        outside = first[start[0] : start[0] + height, width:]
        assert (outside == 221).all()


def test_views_are_those_of_the_first_step(tmp_path: Path) -> None:
    program = sslang.load(SIMCLR, overrides=TINY["simclr"])
    images = np.random.default_rng(1).integers(0, 255, (64, 32, 32, 3), dtype=np.uint8)
    source = ArraySource("same", np.repeat(images[:1], 64, axis=0), None, None)
    learner = Learner(program, images=64, seed=4)
    write_views(tmp_path / "views.png", learner, source, workers=0, rows=2)
    with Image.open(tmp_path / "views.png") as sheet:
        pixels = np.asarray(sheet)
    given = torch.from_numpy(images[:1]).permute(0, 3, 1, 2).repeat(64, 1, 1, 1)
    for view in learner.method.views(given, np.full((64, 2), 32), 0):
        made = (view[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        places = [left for left in range(pixels.shape[1] - 16)
                  if np.array_equal(pixels[TOP : TOP + 16, left : left + 16], made)]  # fmt: skip
        assert len(places) == 1


def test_patches_are_shown_as_their_grid() -> None:
    view = torch.rand(2 * 6, 1, 4, 4)
    column = column_of("x", view, ViewType(1, 4, "gray", grid=(2, 3)))
    assert column.words == ("x", "2 x 3 patches of 4 x 4")
    assert [tile.size for tile in column.tiles] == [(16, 10)] * 2
