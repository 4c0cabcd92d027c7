"""`sslang doc` has a page for every name of the language that a spec uses."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from sslang.cli.reference import pages
from sslang.cli.view_page import PLAIN, fitting
from sslang.diagnostics import Source
from sslang.ir.build.specials import SPECIALS
from sslang.model.recipe import WORDS
from sslang.model.resolve import prelude
from sslang.ops import PRIMITIVES, Misfit
from sslang.ops.signs import UNNAMED
from sslang.ops.traits import MixesRows
from sslang.syntax.parser import parse
from sslang.syntax.rename import free_names
from sslang.types import ViewType
from tests.conftest import ROOT

PAGES = pages()
KNOWN = (
    (set(PRIMITIVES) - UNNAMED) | set(SPECIALS) | set(WORDS) | prelude().namespace.names()
    | set(prelude().recipes)
)  # fmt: skip


def used(path: Path) -> set[str]:
    """Names of the language that stand in a spec, and in the functions of std behind them."""
    file, _ = parse(Source(path.name, path.read_text()))
    waiting = list(file.statements)
    found: set[str] = set()
    while waiting:
        for name in free_names(waiting.pop()) & KNOWN - found:
            found.add(name)
            entry = prelude().namespace.find(name)
            if entry is not None:
                waiting.append(entry.value)
    return found


def test_every_name_of_a_spec_has_a_page(spec: Path) -> None:
    names = used(spec)
    assert len(names) > 10
    for name in names:
        body = PAGES[name].body.strip()
        assert len(body) > 8, f"`{name}` has no page worth the name"


def test_a_function_of_std_says_what_it_is() -> None:
    """The comment above it, which begins with a sentence, then its text."""
    for name, page in PAGES.items():
        if page.kind == "function of the standard library":
            assert re.match(r"[A-Z`0-9].+\.", page.body.strip(), re.DOTALL), name


VIEW_OPS = {name: p for name, p in PRIMITIVES.items() if p.kind == "view"}


def test_view_ops_stand_under_their_groups() -> None:
    """The group is the file that declares the op: there is no second list of names."""
    headings = {PAGES[name].heading for name in VIEW_OPS}
    assert "view operations: mixing" in headings
    groups = {p.stem for p in (ROOT / "sslang/ops/views").glob("*.py")} - {"__init__", "inputs"}
    assert headings == {f"view operations: {group}" for group in groups}
    assert PAGES["info_nce"].group == ""


@pytest.mark.parametrize("name", sorted(VIEW_OPS))
def test_the_page_of_a_view_op_has_what_is_declared(name: str) -> None:
    primitive, body = VIEW_OPS[name], PAGES[name].body
    for parameter in primitive.settings:
        (line,) = [row for row in body.splitlines() if row.startswith(f"  {parameter.name}: ")]
        required = parameter.default is inspect.Parameter.empty
        assert ("; required" in line) == required, line
        words = (
            get_args(parameter.annotation) if get_origin(parameter.annotation) is Literal else ()
        )
        assert all(f"`{word}`" in line for word in words), line
    for number, declared in primitive.numbers.items():
        assert f"view.{name}.{number}: " in body and declared.doc in body
    assert ("mixes each image" in body.replace("\n  ", " ")) == primitive.has(MixesRows)
    assert "In evaluation: " in body


@pytest.mark.parametrize("name", sorted(VIEW_OPS))
def test_some_settings_fit_every_view_op(name: str) -> None:
    assert fitting(VIEW_OPS[name], PLAIN) is not None, "its page would say that it takes no image"


@pytest.mark.parametrize(
    ("name", "said", "unsaid"),
    [
        ("rotation", "takes any channels, of one size.", "normalize"),
        ("rain", "takes RGB or grey in 0..1, of one size; not after `normalize`", "`patches`;"),
        ("color_jitter", "takes RGB in 0..1", "grey"),
        ("gaussian_noise", "the result leaves 0..1", "not after"),
        ("clip_values", "the result lies in 0..1", "leaves"),
        ("random_resized_crop", "of any size; not after `normalize`; changes the size", "one size"),
        ("mixup", "not after `patches`", "once a patch"),
        ("to_gray", "changes the channels", "leaves"),
        ("to_lab", "the result is lab; the result leaves 0..1", "channels"),
        ("patches", "makes patches", "changes"),
    ],
)  # fmt: skip
def test_what_a_view_op_takes_and_gives(name: str, said: str, unsaid: str) -> None:
    told = " ".join(PAGES[name].body.partition("Images: ")[2].split("In evaluation")[0].split())
    assert said in told
    assert unsaid not in told


def test_how_parameters_reach_kornia() -> None:
    assert "  interpolation: `bilinear`, `bicubic` or `nearest`; default bilinear; kornia's " \
        "`resample`" in PAGES["rotation"].body  # fmt: skip
    shear = " ".join(PAGES["shear"].body.split())
    assert "its `shear` is made of `horizontal` and `vertical`" in shear
    assert "`kornia.augmentation.auto.RandAugment`" in PAGES["rand_augment"].body


def test_an_op_that_needs_one_size_takes_no_other() -> None:
    """The probe of the page found ops whose rule let images of many sizes pass."""
    for name in ("box_blur", "motion_blur"):
        with pytest.raises(Misfit):
            VIEW_OPS[name].rule(ViewType(3, None), border="zeros")
