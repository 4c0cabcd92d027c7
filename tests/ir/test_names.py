"""Two names for one value are one node, and no name is ever taken from another value."""

from __future__ import annotations

import pytest

from sslang.api import load_source
from sslang.diagnostics import Source
from sslang.ir.program import Program

HEAD = """method "names"
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head g = mlp(64, 64)
"""


def program(text: str) -> Program:
    return load_source(Source("names.ssl", HEAD + text))


@pytest.mark.parametrize("second", ["q = f(a)", "q = p", "q = [p][0]"])
def test_a_value_with_two_names_is_one_node(second: str) -> None:
    made = program(
        f"p = f(a)\n{second}\nloss = info_nce_batch(p, q, 0.1) + info_nce_batch(f(b), p, 0.1)\n"
    )
    nodes = made.step.by_name
    assert [n.name for n in made.step.nodes if n.op == "apply"] == ["p", "f"]
    first = next(n for n in made.step.nodes if n.op == "matmul")
    assert first.inputs[0] == "p"
    assert nodes[str(first.inputs[1])].inputs == ("p",)


def test_a_name_is_never_taken_from_another_value() -> None:
    made = program(
        "p = g(f(a))\nq = g(f(a))\n"
        "fn h(u: [B, D], v: [B, D], w: [B, D]) = sum(u * v, axis = 1) + info_nce_batch(v, w, 0.1)\n"
        "loss = h(p, q, g(f(b)))\n"
    )
    product = next(n for n in made.step.nodes if n.op == "multiply")
    assert product.inputs == ("p", "p")


def test_members_that_forget_their_key_are_one_value() -> None:
    made = program("z[v in [a, b]] = f(a)\nloss = info_nce_batch(z[a], z[b], 0.1) * mean(f(b))\n")
    product = next(n for n in made.step.nodes if n.op == "matmul")
    assert product.inputs[0] == "z_a"


def test_simsiam_without_its_predictor_is_told_to_collapse() -> None:
    from sslang.checks import check_file
    from tests.conftest import ROOT

    text = (ROOT / "specs/simsiam.ssl").read_text()
    changed = text.replace("= predictor(z[v])", "= z[v]")
    assert changed != text
    assert "E410" in {d.code for d in check_file(Source("simsiam.ssl", changed))}
