"""`sslang doc`: the list of all names, pictures of view ops, the table of kornia."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from sslang.cli import kornia_table
from sslang.cli.doc_picture import DRAWS, write_picture
from sslang.cli.kornia_table import NO_OP_YET, classes
from sslang.cli.main import main
from sslang.cli.view_page import PLAIN, fitting
from sslang.ops import PRIMITIVES
from sslang.ops.views import CLOSED_NAMES, LEFT_OUT
from sslang.track.sheets import GAP, LEAST_TILE
from sslang.types import Interval

VIEW_OPS = sorted(name for name, p in PRIMITIVES.items() if p.kind == "view")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doc", *arguments])


def spelled(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return f"{value.low}..{value.high}" if isinstance(value, Interval) else str(value)


def test_the_list_has_a_heading_a_group() -> None:
    lines = call().stdout.splitlines()
    at = lines.index("view operations: mixing")
    assert [line.split()[0] for line in lines[at + 1 : at + 6]] == [
        "cutmix", "jigsaw", "mixup", "mosaic", "patch_mix",
    ]  # fmt: skip
    assert lines[at + 6] == "view operations: noise"
    assert "operation on tensors" in lines
    pages = json.loads(call("--json").stdout)
    assert pages["mixup"]["group"] == "mixing"
    assert pages["ema"]["group"] == ""


@pytest.mark.parametrize("name", VIEW_OPS)
def test_every_view_op_can_be_drawn(name: str, tmp_path: Path) -> None:
    given = fitting(PRIMITIVES[name], PLAIN) or {}
    settings = ", ".join(f"{parameter} = {spelled(value)}" for parameter, value in given.items())
    path = tmp_path / "out.png"
    write_picture(name, settings, path)
    with Image.open(path) as sheet:
        assert sheet.height > LEAST_TILE
        many = PRIMITIVES[name].random
        assert sheet.width >= (DRAWS if many else 1) * (LEAST_TILE + GAP)


def test_a_picture_has_the_image_and_eight_draws_of_it(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    assert call("rotation", "--picture", str(path), "--settings", "degrees = 30").exit_code == 0
    with Image.open(path) as sheet:
        assert sheet.width == (DRAWS + 1) * (LEAST_TILE + GAP) + GAP
        tiles = [
            np.asarray(sheet)[-2 * GAP - LEAST_TILE : -2 * GAP, left : left + LEAST_TILE]
            for left in range(GAP, sheet.width - GAP, LEAST_TILE + GAP)
        ]
    assert len({tile.tobytes() for tile in tiles}) == DRAWS + 1


def test_a_chain_of_the_standard_library_can_be_drawn(tmp_path: Path) -> None:
    for name, settings in (("simclr_views", "32"), ("one_of", "[equalize, rotation(30)]")):
        path = tmp_path / f"{name}.png"
        assert call(name, "--picture", str(path), "--settings", settings).exit_code == 0
        assert path.exists()


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["rotation", "--picture", "out.png"], 2, "`rotation` needs `degrees`"),
        (["patches", "--picture", "out.png"], 2, "`size` and `stride`"),
        (["rotation", "--picture", "out.jpg", "--settings", "30"], 2, "writes .png"),
        (["rotation", "--settings", "30"], 2, "--settings belongs to --picture"),
        (["--picture", "out.png"], 2, "name it"),
        (["exp", "--picture", "out.png"], 2, "operation on tensors"),
        (["rotation", "--picture", "out.png", "--settings", "degrees = 400"], 1, "E309"),
        (["rotation", "--picture", "out.png", "--settings", "degree = 30"], 1, "`degrees`"),
        (["rotation", "--picture", "out.png", "--settings", "degrees ="], 1, "E101"),
        (["shear", "--picture", "out.png"], 1, "`shear` needs an angle"),
        (["rotatoin", "--picture", "out.png"], 1, "`rotation`"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_said(
    arguments: list[str], status: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == status, result.output
    assert told in result.output
    assert list(tmp_path.iterdir()) == []


def test_every_class_of_kornia_is_an_op_or_left_out_with_a_reason() -> None:
    found = {row.name: row for row in classes()}
    if version("kornia").startswith("0.9."):
        assert [row.name for row in found.values() if row.told == NO_OP_YET] == []
        assert set(LEFT_OUT) | set(CLOSED_NAMES) <= set(found)
    assert found["RandomSolarize"].ops == ("solarize", "random_solarize")
    assert found["AutoAugment"].told == "auto_augment"
    assert found["RandomDissolving"].told.startswith("left out: ")
    assert not any("3D" in name or "Base" in name for name in found)


def test_the_table_of_kornia_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *lines = call("--kornia").stdout.splitlines()
    assert first.startswith(f"kornia {version('kornia')}: {len(lines)} classes")
    told = json.loads(call("--kornia", "--json").stdout)
    assert told["kornia"] == version("kornia")
    assert {"name": "RandomMixUpV2", "ops": ["mixup"], "left_out": ""} in told["classes"]
    monkeypatch.setattr(kornia_table, "_names", lambda: iter(["RandomNovelty"]))
    assert "RandomNovelty                  no op yet" in call("--kornia").stdout
