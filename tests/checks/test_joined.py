"""Rows that were joined to others and taken out again are about themselves alone."""

from __future__ import annotations

import pytest

from sslang.checks.collapse import structure
from sslang.checks.joined import unjoined
from sslang.diagnostics import Source
from sslang.ir.build import build
from sslang.ir.program import Program
from sslang.ir.rows import Rows, row_analysis
from sslang.model.overlay import resolve
from sslang.model.resolve import load
from tests.conftest import ROOT

SPEC = """\
method "case"
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head g = mlp(64, 32)
queue recent[256] = sphere(32)
x = l2_normalize(g(f(a)))
recent <- stop_grad(x)
y = {value}
loss = mean((y - stop_grad(l2_normalize(g(f(b)))))**2)
"""


def _built(source: Source) -> Program:
    return build(resolve(load(source), None))


def rows(value: str) -> Rows:
    graph = unjoined(_built(Source("x.ssl", SPEC.format(value=value))).step)
    found = row_analysis(graph)
    subtract = [n for n in graph.nodes if n.op == "subtract"][-1]
    return found[subtract.references[0]]


@pytest.mark.parametrize("value", [
    "concat([recent, x])[-batch:]", "softmax(concat([recent, x]) / 0.1)[-batch:]",
    "log_softmax(2 * concat([recent, x]), axis = 1)[-batch:]",
])  # fmt: skip
def test_what_acts_on_each_row_alone(value: str) -> None:
    assert rows(value) is Rows.OWN


@pytest.mark.parametrize("value", [
    "sinkhorn(concat([recent, x]), rounds = 1)[-batch:]", "concat([x, recent])[-batch:]",
    "softmax((concat([recent, x]) @ recent.T) @ recent)[-batch:]",
    "(concat([recent, x]) / sum(concat([recent, x]), axis = 0))[-batch:]",
])  # fmt: skip
def test_what_reads_other_rows(value: str) -> None:
    assert rows(value) is Rows.OTHER


def test_a_graph_without_such_rows_stays_as_it_is() -> None:
    graph = _built(Source("x.ssl", SPEC.format(value="x"))).step
    assert unjoined(graph) is graph


def test_swav_with_a_softmax_in_the_place_of_its_sinkhorn_collapses() -> None:
    spec = (ROOT / "specs" / "swav.ssl").read_text(encoding="utf-8")
    assert structure(_built(Source("s.ssl", spec))).outcome == "undecided"
    soft = spec.replace("sinkhorn(scores[v], rounds = 3)", "softmax(scores[v])")
    assert structure(_built(Source("s.ssl", soft))).outcome == "error"
