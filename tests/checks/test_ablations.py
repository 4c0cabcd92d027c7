"""Ablations that the papers are known for: recipes of a few lines, and what the checker says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sslang.api import load_source
from sslang.checks import check_file
from sslang.diagnostics import Source
from sslang.ir.program import Program
from tests.conftest import ROOT

SPECS = ROOT / "specs"


def recipe(name: str, wanted: str) -> Program:
    """A spec under one of its recipes."""
    path = SPECS / f"{name}.ssl"
    return load_source(Source(path.name, path.read_text()), wanted)


def codes(text: str) -> set[str]:
    return {d.code for d in check_file(Source("case.ssl", text))}


@pytest.mark.parametrize(("name", "wanted"), [("simsiam", "no_stop_grad"), ("dino", "no_centre")])
def test_a_collapsing_ablation_is_refused_unless_it_is_meant(name: str, wanted: str) -> None:
    text = (SPECS / f"{name}.ssl").read_text()
    assert codes(text) == set()
    bare = re.sub(r"\n *assume no_collapse[^\n]*", "", text)
    assert bare != text
    assert codes(bare) == {"E410"}
    assert recipe(name, wanted).spec.assumes[0][0] == "no_collapse"


def test_what_is_meant_is_said_in_the_resolved_text() -> None:
    program = recipe("simsiam", "no_stop_grad")
    assert "assume no_collapse" in program.spec.text
    again = load_source(Source("resolved.ssl", program.spec.text))
    assert again.spec.hash == program.spec.hash
    assert again.spec.assumes == program.spec.assumes


def test_byol_without_batch_statistics() -> None:
    program = recipe("byol", "group_norm")
    stages = [path for net in program.nets for path, _ in net.stages]
    assert not any(path.endswith("batch_norm") for path in stages)
    encoder = dict(program.net("f").stages[0][1])
    assert (encoder["norm"], encoder["weight_standardized"]) == ("group", True)


def test_byol_with_no_norm_in_its_heads() -> None:
    program = recipe("byol", "no_norm_in_heads")
    assert [p.rpartition(".")[2] for p, _ in program.net("projector").stages] == [
        "linear", "relu", "linear",
    ]  # fmt: skip


def test_moco_v3_with_a_trained_patch_projection() -> None:
    frozen = recipe("mocov3_vit", "default").spec.recipe
    trained = recipe("mocov3_vit", "trained_projection").spec.recipe
    assert frozen is not None
    assert trained is not None
    assert len(frozen.freeze) == 1
    assert trained.freeze == ()


def test_simclr_without_jitter_and_without_crop() -> None:
    nodes = {n.op: n for n in recipe("simclr", "no_jitter").step.nodes}
    jitter = nodes["color_jitter"]
    assert [jitter.setting(k) for k in ("brightness", "contrast", "saturation", "hue")] == [0.0] * 4
    crop = next(n for n in recipe("simclr", "no_crop").step.nodes if n.op == "random_resized_crop")
    assert (crop.setting("scale").low, crop.setting("scale").high) == (1, 1)


def test_simclr_over_projection_widths() -> None:
    widths = [recipe("simclr", r).net("g").stages[-2][1]["width"] for r in ("narrow", "wide")]
    assert widths == [32, 2048]


def test_swav_without_multi_crop() -> None:
    program = recipe("swav", "no_multicrop")
    views = {n.setting("site").split("/")[1] for n in program.step.nodes if n.op == "color_jitter"}
    assert views == {"global_0", "global_1"}


def test_cmc_in_ycbcr() -> None:
    ops = {n.op for n in recipe("cmc", "ycbcr").step.nodes}
    assert "to_ycbcr" in ops
    assert "to_lab" not in ops


def test_every_recipe_of_every_spec_is_right(spec: Path) -> None:
    assert check_file(Source(spec.name, spec.read_text())) == []
