"""How a run is described: what tells it from others has a name of its own, and is in its title."""

from __future__ import annotations

from dataclasses import replace

import pytest

import sslang
from sslang.track.run_folder import Result, RunRecord
from sslang.train.described import page, parameters, run_name
from sslang.train.options import RunOptions
from tests.conftest import ROOT


def test_parameters_are_flat_and_numbers_where_they_can_be() -> None:
    program = sslang.load(ROOT / "specs/mocov2.ssl", None, ("temperature=0.1",))
    found = parameters(program, RunOptions(seed=3))
    assert found["temperature"] == "0.1"
    assert (found["optimizer.name"], found["optimizer.lr"]) == ("adamw", 0.002)
    assert str(found["optimizer"]).startswith("adamw(lr = cosine(0.002 -> 0")
    assert (found["f.architecture"], found["f.depth"]) == ("resnet", 18)
    assert found["seed"] == 3
    assert "precision" not in found
    assert "optimizer.beta2" not in found, "what no recipe here writes would crowd a comparison"
    assert parameters(program, RunOptions(precision="bfloat16"))["precision"] == "bfloat16"


def test_what_a_later_phase_alone_has_is_there() -> None:
    base = parameters(sslang.load(ROOT / "specs/simclrv2.ssl"), RunOptions())
    changed = ("finetune { length = 3 epochs }",)
    other = parameters(sslang.load(ROOT / "specs/simclrv2.ssl", None, changed), RunOptions())
    differing = {name for name in base | other if str(base.get(name)) != str(other.get(name))}
    assert differing == {"finetune.length"}


@pytest.mark.parametrize(
    ("overrides", "seed", "expected"),
    [
        ((), 0, "mocov2 #3"),
        (("temperature=0.1",), 1, "mocov2 temperature=0.1 seed=1 #3"),
        (("backbone=resnet34()",), 0, "mocov2 resnet34 #3"),
        (("temperature = 0.1", "batch=64"), 0, "mocov2 temperature=0.1 batch=64 #3"),
        (("data=cifar10()",), 0, "mocov2 cifar10 #3"),
    ],
)
def test_a_name_says_what_differs(overrides: tuple[str, ...], seed: int, expected: str) -> None:
    program = sslang.load(ROOT / "specs/mocov2.ssl", None, overrides)
    assert run_name(program, RunOptions(seed=seed), "mocov2", 3) == expected


def test_a_name_is_one_short_line() -> None:
    folder = "/data/" + "x" * 300
    program = sslang.load(ROOT / "specs/mocov2.ssl", "imagenet", (f'data=imagenet("{folder}")',))
    name = run_name(program, RunOptions(), "m\n\x1b[31mo", 12)
    assert len(name) <= 100
    assert name.isprintable()
    assert name.startswith("m??[31mo imagenet imagenet(")
    assert name.endswith(" #12")


def test_a_page_shows_texts_as_they_stand() -> None:
    program = sslang.load(ROOT / "specs/mocov2.ssl")
    record = RunRecord("mocov2", "", source="a`b.ssl", recipe="default", overrides=("size=32",))
    text = "# ```\nloss = 1 # ````"
    shown = page(program, record, text)
    assert f"\n`````\n{text}\n`````\n" in shown
    assert "- spec: ``a`b.ssl``" in shown
    assert "Results" not in shown
    result = Result("eval/knn_top1", 0.5, 0.01, 0.25, 0.25, 0.02, "kNN", 0.3)
    shown = page(program, replace(record, results=(result,)), text)
    assert "| eval/knn_top1 | 0.500 ± 0.010 | 0.250 | +0.250 ± 0.020 | 0.300 | kNN |" in shown
