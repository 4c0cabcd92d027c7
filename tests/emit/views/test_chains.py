"""Every chain of the standard library, built, drawn and taken to its evaluation form."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from sslang.api import load_source
from sslang.bench.views import difference, forms_of
from sslang.bench.views import stored as stored_images
from sslang.diagnostics import Source
from sslang.emit.method import Method
from sslang.emit.view_draws import is_augmentation
from sslang.emit.views.by_kornia import CLOSED
from sslang.ops import PRIMITIVES
from sslang.types import ViewType
from tests.conftest import ROOT

STD = (ROOT / "sslang" / "std" / "views.ssl").read_text(encoding="utf-8")
NAMES = re.findall(r"^fn (\w+_views)\(", STD, re.MULTILINE)
PATCHED = {
    "cpc_views": "size = 64, resized = 75, patch = 16, stride = 8, cut = 15",
    "cpc_stl_views": "",
}
SPEC = """
method "chain"
assume no_collapse "only the chain is of interest"
view a = {chain}
encoder f = resnet18(width = 0.125, stem = small)
loss = mean(f(a))
features = {features}
recipe default : laptop {{ data = image_folder("of any size") }}
"""
ROWS = 6


def method(name: str) -> Method:
    features = "mean(mean(f(a), axis = 1), axis = 1)" if name in PATCHED else "f(a)"
    text = SPEC.format(chain=f"{name}({PATCHED.get(name, '32')})", features=features)
    return Method(load_source(Source("chain.ssl", text)), seed=0)


def stored() -> tuple[torch.Tensor, np.ndarray]:
    images = torch.randint(0, 256, (ROWS, 3, 90, 100), generator=torch.Generator().manual_seed(0))
    sizes = np.random.default_rng(0).integers(64, 91, (ROWS, 2))
    return images.to(torch.uint8), sizes


def assert_in_range(view: torch.Tensor, type_: ViewType) -> None:
    low, high = (0.0, 1.0) if type_.unit else (-4.0, 4.0)  # means and deviations that suit images
    assert low <= float(view.min()) < float(view.max()) <= high


@pytest.mark.parametrize("name", NAMES)
def test_a_chain_gives_what_its_type_says(name: str) -> None:
    built = method(name)
    type_ = built.graph.node("a").type
    assert isinstance(type_, ViewType)
    assert type_.size is not None
    images, sizes = stored()
    (view,) = built.views(images, sizes, 0)
    shape = (type_.channels, type_.size, type_.size)
    assert view.shape == (ROWS * type_.patches, *shape)
    assert view.dtype == torch.float32
    assert torch.isfinite(view).all()
    assert_in_range(view, type_)
    (again,) = built.views(images, sizes, 0)
    (later,) = built.views(images, sizes, 1)
    assert torch.equal(view, again)
    assert not torch.equal(view, later)


@pytest.mark.parametrize("name", NAMES)
def test_a_chain_in_evaluation_draws_nothing_and_keeps_its_type(name: str) -> None:
    built = method(name)
    assert built.feature_code is not None
    code = built.feature_code[0]
    assert code.draws == ()
    images, sizes = stored()
    (view,) = code.module(images, sizes)
    (drawn,) = built.views(images, sizes, 0)
    assert view.shape == drawn.shape
    type_ = built.graph.node("a").type
    assert isinstance(type_, ViewType)
    assert_in_range(view, type_)


@pytest.mark.parametrize("name", NAMES)
def test_kornias_form_and_ours_agree(name: str) -> None:
    """To 1e-5 of the images; what `normalize` divides by its deviation, to as much more."""
    forms = forms_of(name, 32)
    (normal,) = [n for n in forms[0].graph.nodes if n.op == "normalize"] or [None]
    scale = 1.0 if normal is None else max(1.0, 1 / min(normal.setting("std")))
    images, sizes = stored_images(16, 92)
    assert max(difference(*forms, images, sizes, step) for step in range(2)) <= 1e-5 * scale


def test_what_kornia_does_not_compute_is_a_closed_list() -> None:
    """Ops of ours alone: what kornia has otherwise, or not at all, and why it must be so."""
    alone = {
        p.name for p in PRIMITIVES.values()
        if p.kind == "view" and not p.fused and not is_augmentation(p.name)
    }  # fmt: skip
    assert alone == {
        # kornia crops one size a call, without antialiasing: 0.5 apart from 224 to 32 pixels
        "random_resized_crop", "resize_and_crop", "random_crop", "center_crop",
        # indexing and zeros
        "pad", "patches", "channels", "clip_values",
        *CLOSED,
    }  # fmt: skip
