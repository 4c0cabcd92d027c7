from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from sslang.track.sheets import GAP, LINE, Column, enlarged, in_colours, laid_out, tile, write_sheet


def plain(width: int, height: int, colour: str) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def test_tiles_stand_in_rows_and_columns_at_their_own_size(tmp_path: Path) -> None:
    first = Column(("a", "b"), [plain(60, 20, "red"), plain(40, 50, "blue")])
    second = Column(("c",), [plain(30, 30, "lime"), plain(30, 30, "black")])
    write_sheet([first, second], tmp_path / "sheet.png")
    top = 2 * GAP + 2 * LINE
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * GAP + 60 + 30, top + 30 + 50 + 2 * GAP)
        assert sheet.getpixel((GAP + 59, top + 19)) == (255, 0, 0)
        assert sheet.getpixel((GAP + 59, top + 20)) == (221, 221, 221)
        assert sheet.getpixel((2 * GAP + 60, top + 29)) == (0, 255, 0)
        assert sheet.getpixel((GAP, top + 30 + GAP)) == (0, 0, 255)
        assert sheet.getpixel((2 * GAP + 60, top + 30 + GAP)) == (0, 0, 0)


def test_words_are_not_cut_off(tmp_path: Path) -> None:
    write_sheet([Column(("the name of a view",), [plain(8, 8, "red")])], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 90


def test_small_images_are_enlarged_by_a_whole_factor() -> None:
    assert enlarged(plain(32, 32, "red")).size == (96, 96)
    assert enlarged(plain(40, 50, "red")).size == (120, 150)
    assert enlarged(plain(100, 97, "red")).size == (100, 97)


def test_patches_are_laid_out_row_by_row() -> None:
    colours = ["red", "lime", "blue", "black", "yellow", "white"]
    whole = laid_out([plain(4, 4, colour) for colour in colours], 3)
    assert whole.size == (3 * 4 + 4, 2 * 4 + 2)
    assert whole.getpixel((6, 0)) == (0, 255, 0)
    assert whole.getpixel((0, 6)) == (0, 0, 0)


def test_a_tile_has_the_pixels_of_its_image() -> None:
    image = torch.zeros(3, 4, 6, dtype=torch.uint8)
    image[:, 1, 5] = torch.tensor([10, 20, 30])
    assert tile(image).size == (6, 4)
    assert tile(image).getpixel((5, 1)) == (10, 20, 30)
    assert tile(image.float() / 255).getpixel((5, 1)) == (10, 20, 30)


def test_values_outside_are_moved_into_the_unit_range() -> None:
    inside = torch.full((2, 3, 2, 2), 0.25)
    assert torch.equal(in_colours(inside), inside)
    outside = torch.arange(-4.0, 4.0).reshape(2, 1, 2, 2)
    moved = in_colours(outside)
    assert moved.shape == (2, 3, 2, 2)
    assert (float(moved.min()), float(moved.max())) == (0.0, 1.0)


def test_of_two_channels_the_first_is_red_and_blue() -> None:
    view = torch.rand(2, 2, 4, 4)
    assert torch.equal(in_colours(view), view[:, [0, 1, 0]])
