"""The benchmark of checking: its specs are right, and its tables have a row a case."""

from __future__ import annotations

import pytest

from sslang.bench import checking
from sslang.checks import check_file
from sslang.diagnostics import Source
from tests.conftest import ROOT


@pytest.mark.parametrize("lines", [50, 300])
def test_a_long_spec_has_no_finding(lines: int) -> None:
    text = checking.long_spec(lines)
    assert lines <= text.count("\n") <= 1.4 * lines
    assert check_file(Source("long", text)) == []


def test_a_spec_of_many_recipes_has_no_finding() -> None:
    text = checking.many_recipes(4)
    assert text.count("recipe ") == 4
    assert check_file(Source("recipes", text)) == []


def test_tables_have_a_row_a_case() -> None:
    specs = [ROOT / "specs" / "simclr.ssl", ROOT / "specs" / "swav.ssl"]
    found = checking.specs_table(specs, 1).split("\n")
    assert [line.split(" | ")[0] for line in found[2:]] == ["| simclr.ssl", "| swav.ssl"]
    assert float(found[-1].split(" | ")[-2]) > 0
    assert len(checking.lines_table([50, 100], 1).split("\n")) == 4
    assert len(checking.recipes_table([1, 2], 1).split("\n")) == 4


def test_the_command_is_timed_and_imports_no_torch() -> None:
    head, _, bare, row = checking.commands_table([ROOT / "specs" / "simclr.ssl"], 1).split("\n")
    assert bare.startswith("| bare Python | ")
    assert head.endswith("imports torch |")
    assert row.endswith("| no |")
