"""What is the same computation, and what is not, however it is spelt."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import sslang
from sslang.api import load_source
from sslang.cli.main import main
from sslang.diagnostics import Source
from sslang.ir.canonical import Canonical, canonical, same
from tests.conftest import ROOT

BASE = """
method "base"
param temperature = 0.2
view a, b = random_crop(16) | color_jitter(0.4) @ 0.8
encoder f = resnet18(stem = small, width = 0.0625)
head g = mlp(64, 32)
branch online = f | g | l2_normalize
branch slow = ema(online, 0.99)
queue old[64] = sphere(32)
q = online(a)
k = stop_grad(slow(b))
old <- k
loss = info_nce(q, k, old, temperature)
features = f(a)
recipe default : laptop { batch = 32 }
"""
SAME = {
    "other names": (
        "online",
        "student",
        "slow",
        "teacher",
        "f =",
        "net =",
        "f |",
        "net |",
        "f(a)",
        "net(a)",
        "old",
        "bank_",
        "temperature",
        "tau",
    ),
    "views called otherwise": (
        "view a, b",
        "view one, two",
        "online(a)",
        "online(one)",
        "slow(b)",
        "slow(two)",
        "f(a)",
        "f(one)",
    ),
    "the standard library by hand": (
        "loss = info_nce(q, k, old, temperature)",
        "p = dot(q, k)[:, none]\n"
        "logits = concat([p, q @ old.T], axis = -1) / temperature\n"
        "loss = -log_softmax(logits)[:, 0]",
    ),
    "a sum the other way round": (
        "loss = info_nce(q, k, old, temperature)",
        "loss = 0.5 * mean(q) + info_nce(q, k, old, temperature)",
    ),
    "what nothing reads": ("q = online(a)", "unread = online(b)\nq = online(a)"),
}
ADDED = {"a sum the other way round": "loss = info_nce(q, k, old, temperature) + mean(q) * 0.5"}
OTHER = {
    "a number": ("temperature = 0.2", "temperature = 0.1"),
    "an average in the place of its source": ("stop_grad(slow(b))", "stop_grad(online(b))"),
    "views exchanged in part": ("queue old", "queue old", "k = stop_grad(slow(b))",
                                "k = stop_grad(slow(a))"),
    "what is written": ("old <- k", "old <- stop_grad(q)"),
    "a net of its own": ("loss =", "encoder h = resnet18(stem = small, width = 0.0625)\n"
                         "features_of_h = h(a)\nloss = 0 * mean(features_of_h) +"),
    "a probability": ("@ 0.8", "@ 0.5"),
}  # fmt: skip


def forms(text: str) -> list[Canonical]:
    return [canonical(p) for p in load_source(Source("test.ssl", text)).phases]


def changed(pairs: tuple[str, ...], text: str = BASE) -> str:
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("name", SAME)
def test_spelling_makes_no_difference(name: str) -> None:
    base = BASE
    if name in ADDED:
        base = changed(("loss = info_nce(q, k, old, temperature)", ADDED[name]))
    assert same(forms(base), forms(changed(SAME[name])))


def test_the_order_of_declarations_makes_no_difference() -> None:
    head, *lines, recipe = BASE.strip().splitlines()
    assert same(forms(BASE), forms("\n".join([head, *reversed(lines), recipe])))


@pytest.mark.parametrize("name", OTHER)
def test_meaning_makes_a_difference(name: str) -> None:
    assert not same(forms(BASE), forms(changed(OTHER[name])))


def test_two_nets_that_are_alike_are_not_one() -> None:
    lines = "loss = info_nce_batch(l2_normalize(f(a)), l2_normalize({}(b)), 0.2)\nfeatures = f(a)\n"
    text = BASE.partition("head g")[0]
    other = "encoder h = resnet18(stem = small, width = 0.0625)\n"
    assert not same(forms(text + lines.format("f")), forms(text + other + lines.format("h")))


@pytest.mark.parametrize("name", ["cmc", "simclrv2", "swav"])
def test_a_resolved_spec_is_the_same_as_its_spec(name: str) -> None:
    program = sslang.load(ROOT / f"specs/{name}.ssl")
    assert same([canonical(p) for p in program.phases], forms(program.spec.text))


def test_the_command_says_what_differs(tmp_path: Path) -> None:
    one, other, renamed = (tmp_path / f"{name}.ssl" for name in ("one", "other", "renamed"))
    one.write_text(BASE)
    other.write_text(changed(OTHER["a number"]))
    renamed.write_text(changed(SAME["other names"]))
    result = CliRunner().invoke(main, ["diff", str(one), str(renamed)])
    assert (result.exit_code, "the same computation" in result.output) == (0, True)
    result = CliRunner().invoke(main, ["diff", str(one), str(other)])
    assert result.exit_code == 1
    assert "temperature  0.2  0.1" in result.output
    assert "info_nce(q, k, old, temperature)  (other.ssl:" in result.output
    one.write_text(BASE + "recipe long : default { length = 9 epochs }\n")
    result = CliRunner().invoke(main, ["diff", str(one), f"{one}:long"])
    assert "the same equations; the recipes differ in length" in result.output
    result = CliRunner().invoke(main, ["diff", str(one), str(tmp_path / "none.ssl")])
    assert "E" in result.output
    assert "Traceback" not in result.output
