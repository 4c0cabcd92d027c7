"""Findings of a file under its recipes: each place once, with the recipes that have it."""

from __future__ import annotations

from sslang.checks import check_file
from sslang.diagnostics import Source, render

SPEC = """method "x"
param dim = 32
param width = 64
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head g = mlp(64, dim)
weight w[width, 10] = normal
loss = nt_xent([f(a) | g, g(f(b))], 0.1) + mean(stop_grad(g(f(a))) @ w)
recipe one : laptop { width = 32 }
recipe two : laptop { dim = 16 }
recipe three : laptop { width = 48 }
recipe four : laptop { width = 8 }
recipe five : laptop { width = 80 }
"""


def test_one_place_is_reported_once_with_its_recipes() -> None:
    found = [d for d in check_file(Source("x.ssl", SPEC)) if d.code == "E302"]
    assert [d.recipes for d in found] == [("two", "three", "four", "five")]
    text = render(found[0])
    assert "= under the recipes `two`, `three` and 2 more" in text


def test_what_all_recipes_have_names_none() -> None:
    found = check_file(Source("x.ssl", SPEC.replace("width = 32 }", "width = 24 }")))
    assert [d.recipes for d in found if d.code == "E302"] == [()]


def test_shapes_that_differ_point_at_where_they_come_from() -> None:
    found = [d for d in check_file(Source("x.ssl", SPEC)) if d.code == "E302"]
    labels = {(label.span.text, label.text) for label in found[0].labels}
    assert ("w[width, 10]", "this is [64, 10]") in labels
