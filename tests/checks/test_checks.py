"""Checks beyond types, each on a spec of the project with one line changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslang.checks import check_file
from sslang.diagnostics import Source
from tests.conftest import ROOT, SPECS


def findings(name: str, *changes: tuple[str, str]) -> list[tuple[str, str]]:
    """(code, text of its range) of a spec after textual changes, each of which must apply."""
    text = (ROOT / "specs" / f"{name}.ssl").read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    found = check_file(Source("changed.ssl", text))
    return [(d.code, d.span.text if d.span is not None else "") for d in found]


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_the_specs_are_clean(path: Path) -> None:
    assert check_file(Source(path.name, path.read_text())) == []


def test_an_average_must_be_cut() -> None:
    found = findings("mocov2", ("stop_grad(target(key))", "target(key)"))
    assert found == [("E401", "target(key)")]
    assert findings("byol", ("stop_grad(target(v))", "target(v)"))[0][0] == "E401"


def test_a_net_that_no_gradient_reaches() -> None:
    found = findings("byol", ("predictor(online(v))", "predictor(stop_grad(online(v)))"))
    assert {code for code, _ in found} == {"E402"}
    assert {what for _, what in found} == {"f", "projector"}


def test_a_frozen_net_needs_no_gradient() -> None:
    found = findings(
        "byol",
        ("predictor(online(v))", "predictor(stop_grad(online(v)))"),
        ("features = f(a)", "features = f(a)\nfreeze = [f, projector]"),
    )
    assert found == []


def test_a_queue_is_a_multiple_of_the_batch() -> None:
    found = findings("mocov2", ("param memory      = 65536", "param memory      = 65500"))
    assert [code for code, _ in found] == ["E406"]


def test_groups_divide_the_batch() -> None:
    found = findings("mocov2", ("groups(32)", "groups(48)"))
    assert {code for code, _ in found} == {"E503"}


def test_a_warm_up_is_shorter_than_the_run() -> None:
    found = findings("simclr", ("length = 100 epochs", "length = 5 epochs"))
    assert [code for code, _ in found] == ["E504"]


def test_a_name_that_no_recipe_uses() -> None:
    found = findings("simclr", ("param dim ", "param dmi = 3\nparam dim "))
    assert found == [("E207", "dmi")]


def test_a_state_that_nothing_writes() -> None:
    found = findings("mocov2", ("negatives <- k", ""))
    assert [code for code, _ in found] == ["E404"]
