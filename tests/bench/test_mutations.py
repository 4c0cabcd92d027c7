"""Mutants of the specs: operators change what they say, and the judge says what is true."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sslang.bench.mutations.__main__ import judged
from sslang.bench.mutations.canonical import digest
from sslang.bench.mutations.judge import Cache, found_codes
from sslang.bench.mutations.leftover import found_without
from sslang.bench.mutations.operators import OPERATORS, mutants
from sslang.bench.mutations.reasons import MISSED, OTHER
from sslang.bench.mutations.report import Judged, report
from sslang.diagnostics import Source
from sslang.ir.build import build
from sslang.model.overlay import resolve
from sslang.model.resolve import load
from tests.conftest import ROOT, SPECS

EXAMPLES = sorted((ROOT / "examples").glob("*.ssl"))
SPEC = """\
method "case"
param momentum = 0.99
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head    p = mlp(64, 128)
branch  t = ema(f, momentum) with (batch_norm = groups(32))
queue memory[256] = sphere(128)
memory <- l2_normalize(t(b))
z = l2_normalize(p(f(a)))
k = l2_normalize(stop_grad(t(b)))
loss = mean(info_nce(z, k, memory, 0.2) - mean(z @ k.T, axis = 1))
features = f(a)
recipe default : laptop { length = 12 epochs }
"""


def changed(tmp_path: Path, operator: str) -> set[str]:
    """The lines that an operator makes of SPEC."""
    path = tmp_path / "case.ssl"
    path.write_text(SPEC, encoding="utf-8")
    return {m.after for m in mutants(path, {operator: OPERATORS[operator]})}


@pytest.mark.parametrize(("operator", "lines"), [
    ("drop a stop_grad", {"k = l2_normalize(t(b))"}),
    ("apply the net, not its average", {
        "memory <- l2_normalize(f(b))", "k = l2_normalize(stop_grad(f(b)))",
    }),
    ("declare the net, not its average", {"branch t = f with (batch_norm = groups(32))"}),
    ("1 - m for the momentum m", {"param momentum = 0.01"}),
    ("drop a write", {""}),
    ("write twice", {"memory <- l2_normalize(t(b)) memory <- l2_normalize(t(b))"}),
    ("remove a head", {"z = l2_normalize(f(a))"}),
    ("drop a `with`", {"branch t = ema(f, momentum)"}),
    ("drop an l2_normalize", {
        "memory <- t(b)", "z = p(f(a))", "k = stop_grad(t(b))",
    }),
    ("transpose a side of a product", {
        "loss = mean(info_nce(z, k, memory, 0.2) - mean(z.T @ k.T, axis = 1))",
        "loss = mean(info_nce(z, k, memory, 0.2) - mean(z @ k, axis = 1))",
    }),
    ("exchange the sides of a product", {
        "loss = mean(info_nce(z, k, memory, 0.2) - mean(k.T @ z, axis = 1))",
    }),
    ("exchange two arguments", {
        "loss = mean(info_nce(k, z, memory, 0.2) - mean(z @ k.T, axis = 1))",
    }),
    ("change an axis", {"loss = mean(info_nce(z, k, memory, 0.2) - mean(z @ k.T, axis = 0))"}),
    ("plus for minus", {"loss = mean(info_nce(z, k, memory, 0.2) + mean(z @ k.T, axis = 1))"}),
    ("remove a centre", {"loss = mean(info_nce(z, k, memory, 0.2))"}),
    ("exchange epochs and steps", {"recipe default : laptop { length = 12 steps }"}),
    ("drop a unit", {"recipe default : laptop { length = 12 }"}),
])  # fmt: skip
def test_an_operator_changes_what_it_says(tmp_path: Path, operator: str, lines: set[str]) -> None:
    assert changed(tmp_path, operator) == lines


def test_every_operator_fits_somewhere_and_places_are_named_once() -> None:
    found = [m for path in (*SPECS, *EXAMPLES) for m in mutants(path)]
    assert {m.operator for m in found} == OPERATORS.keys()
    assert max(Counter(m.key for m in found).values()) == 1
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (*SPECS, *EXAMPLES)}
    assert all(m.text != texts[m.spec] for m in found)


def _digest(text: str) -> str:
    return digest(build(resolve(load(Source("case.ssl", text)))))


def test_the_canonical_form_sees_what_is_computed_and_no_names() -> None:
    renamed = SPEC.replace("z = ", "query = ").replace("(z", "(query")
    assert _digest(renamed) == _digest(SPEC) != _digest(SPEC.replace(" - mean(z", " + mean(z"))
    commuted = SPEC.replace("- mean(z @ k.T, axis = 1)", "+ 1")
    other = commuted.replace("info_nce(z, k, memory, 0.2) + 1", "1 + info_nce(z, k, memory, 0.2)")
    assert other != commuted
    assert _digest(other) == _digest(commuted)


def test_codes_are_those_of_errors_and_warnings() -> None:
    assert found_codes(Source("case.ssl", SPEC)) == []
    assert found_codes(Source("case.ssl", SPEC.replace("memory <- l2_normalize(t(b))\n", ""))) == [
        "E404"
    ]


def test_what_is_left_over_is_taken_away_before_it_is_judged_again() -> None:
    """Plain `f` for its average: the branch, its momentum and what recipes bind are left over."""
    text = SPEC.replace("t(b)", "f(b)").replace("length =", "momentum = 0.9\n    length =")
    assert found_codes(Source("case.ssl", text)) == ["E207"]
    assert found_without(text) == ()
    lines = ["loss = -cosine_similarity(z, f(b))" if x.startswith("loss") else x
             for x in SPEC.split("\n")]  # fmt: skip
    uncut = "\n".join(lines)
    assert found_without(uncut) == ("E410",)


def _judged(tmp_path: Path, spec: str, *operators: str) -> list[Judged]:
    cache = Cache(tmp_path / "cache.json")
    return list(judged([ROOT / "specs" / f"{spec}.ssl"], list(operators), cache))


def test_the_judge_on_simsiam(tmp_path: Path) -> None:
    """The cosine is symmetric; without its predictor or its cut the method collapses."""
    operators = ("drop a stop_grad", "remove a head", "exchange two arguments",
                 "drop the condition of a sum")  # fmt: skip
    found = {m.operator: (m.place, v) for m, v in _judged(tmp_path, "simsiam", *operators)}
    assert found["drop a stop_grad"][1].outcome == "caught"
    assert "E410" in found["drop a stop_grad"][1].why
    assert found["remove a head"][1].outcome == "caught"
    assert found["exchange two arguments"][1].outcome == "same"
    place, verdict = found["drop the condition of a sum"]
    assert verdict.outcome == "other"
    assert verdict.why == OTHER["drop the condition of a sum", "simsiam", place]


def test_the_judge_on_mocov2(tmp_path: Path) -> None:
    """A comparison by numbers is made once, and told apart from a change that shows nowhere."""
    operators = ("drop a stop_grad", "exchange a view", "drop a `with`", "drop a write")
    found = _judged(tmp_path, "mocov2", *operators)
    by_place = {(m.operator, m.place): v for m, v in found}
    assert by_place["drop a stop_grad", "k"].why == "E401"
    assert by_place["exchange a view", "features"].outcome == "same"
    assert by_place["drop a `with`", "online"].outcome == "other"
    assert by_place["drop a write", "<- negatives"].outcome == "caught"
    text = report(found)
    assert "| drop a stop_grad | 1 | 1 | 0 | 0 | 0 | 0 |" in text
    assert f"| **all** | {len(found)} |" in text


def test_no_mutant_has_two_reasons() -> None:
    assert not OTHER.keys() & MISSED.keys()
    assert all(len(reason.split()) >= 3 for reason in (*OTHER.values(), *MISSED.values()))
    assert {key[0] for key in (*OTHER, *MISSED)} <= OPERATORS.keys()
    assert {key[1] for key in (*OTHER, *MISSED)} <= {p.stem for p in (*SPECS, *EXAMPLES)}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_mutant_is_missed_or_unjudged(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache.json")
    found = list(judged([*SPECS, *EXAMPLES], list(OPERATORS), cache))
    left = [(m.key, v.why) for m, v in found if v.outcome in ("missed", "unjudged")]
    assert left == []
    assert sum(v.outcome == "caught" for _, v in found) > 0.9 * len(found)
    assert "no longer needed" not in report(found)
