"""The views that a spec declares, of some images of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import sslang
from sslang.api import load_source
from sslang.diagnostics import Source
from sslang.emit.declared_views import DeclaredViews
from sslang.emit.method import Method
from sslang.ir.program import Program
from tests.conftest import ROOT, TINY

BATCH = 12


def images() -> torch.Tensor:
    made = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (BATCH, 3, 32, 32), dtype=torch.uint8, generator=made)


def load(text: str) -> Program:
    head = 'method "test"\nencoder f = resnet18(stem = small, width = 0.0625)\n'
    return load_source(Source("test.ssl", f"{head}{text}\nrecipe default : laptop {{ }}\n"))


@pytest.mark.parametrize(
    ("spec", "names"),
    [("cmc", ["image_lab", "l", "ab"]), ("dino", ["first", "second", "local[0]", "local[1]"]),
     ("cpc", ["x"]), ("mocov2", ["query", "key"])],
)  # fmt: skip
def test_views_have_the_names_of_the_spec(spec: str, names: list[str]) -> None:
    program = sslang.load(ROOT / f"specs/{spec}.ssl")
    assert list(program.views) == names
    declared = DeclaredViews(program, program.step)
    for name, view in program.views.items():
        assert declared.type_of(name) == program.step.node(view).type


def test_each_phase_has_its_own_views() -> None:
    program = sslang.load(ROOT / "specs/simclrv2.ssl")
    assert [list(p.views) for p in program.phases] == [["a", "b"], ["x"], ["x"]]


def test_views_stand_in_the_order_of_the_file_also_those_of_one_node() -> None:
    program = load(
        "view a = random_resized_crop(32)\nview c = a | horizontal_flip\nview b = a | to_lab\n"
        "view same = a | to_lab\nassume no_collapse \"none of it is trained\"\n"
        "loss = mean(f(same)) + mean(f(b)) + mean(f(c))"
    )  # fmt: skip
    assert list(program.views) == ["a", "c", "b", "same"]
    assert program.views["b"] == program.views["same"]


@pytest.mark.parametrize("rows", [1, 5, BATCH])
def test_the_first_rows_are_those_of_the_whole_batch(rows: int) -> None:
    """Draws depend on the size of the batch, and mixing on rows that are not shown."""
    program = load(
        "view a = random_resized_crop(32) | mixup | rotation(30)\n"
        "view b = random_resized_crop(32) | color_jitter(0.4) @ 0.5\n"
        'assume no_collapse "none of it is trained"\nloss = mean(f(a)) + mean(f(b))'
    )
    method = Method(program, 3)
    declared = DeclaredViews(program, method.graph)
    assert declared.mixes
    sizes = np.full((BATCH, 2), 32)
    made = declared.make(images(), sizes, method.drawing(0, BATCH), rows)
    whole = dict(zip(method.view_code.views, method.views(images(), sizes, 0), strict=True))
    for name in ("a", "b"):
        torch.testing.assert_close(made[name], whole[name][:rows])


def test_patches_come_image_by_image() -> None:
    program = sslang.load(ROOT / "specs/cpc.ssl", overrides=TINY["cpc"])
    method = Method(program, 0, dims={"dataset": 100})
    declared = DeclaredViews(program, method.graph)
    count = declared.type_of("x").patches
    assert count > 1
    sizes = np.full((BATCH, 2), 32)
    made = declared.make(images(), sizes, method.drawing(0, BATCH), 2)
    assert made["x"].shape[0] == 2 * count
    (whole,) = method.views(images(), sizes, 0)
    torch.testing.assert_close(made["x"], whole[: 2 * count])
