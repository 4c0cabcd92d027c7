"""The table of facts is whole: every named test is there, every entry says one thing."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.conftest import ROOT, SPECS
from tests.fidelity.facts import TABLE, TITLES, Fact, facts, table


@cache
def names_in(path: str) -> dict[str, ast.FunctionDef]:
    """The tests of a file by name, read without importing it; parametrised ones by their name."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    return {n.name: n for n in body if isinstance(n, ast.FunctionDef) and n.name[:5] == "test_"}


def expected_to_fail(test: ast.FunctionDef) -> bool:
    return any("xfail" in ast.unparse(decorator) for decorator in test.decorator_list)


@pytest.mark.parametrize("fact", facts(), ids=lambda f: f.id)
def test_a_fact_is_shown_by_tests_or_says_why_not(fact: Fact) -> None:
    """One of both; the tests are there, and none of them is expected to fail."""
    assert bool(fact.tests) != bool(fact.not_modelled)
    assert fact.fact.endswith(".")
    assert len(set(fact.tests)) == len(fact.tests)
    for test in fact.tests:
        path, _, name = test.partition("::")
        assert name in names_in(path), test
        assert not expected_to_fail(names_in(path)[name]), test


def test_names_are_unique() -> None:
    names = [fact.id for fact in facts()]
    assert len(set(names)) == len(names)
    assert len({fact.fact for fact in facts() if fact.method == "all"}) > 1


def test_every_method_has_facts() -> None:
    """Of each spec of the project, and of no other."""
    assert set(TITLES) == {"all", *(path.stem for path in SPECS)}
    assert {fact.method for fact in facts()} == set(TITLES)
    for method in TITLES:
        assert sum(bool(fact.tests) for fact in facts() if fact.method == method) >= 8


def test_every_test_of_the_specs_facts_is_named() -> None:
    """What is read off the programs is read off for a fact."""
    path = "tests/fidelity/test_facts_of_specs.py"
    named = {test for fact in facts() for test in fact.tests if test.startswith(path)}
    assert {f"{path}::{name}" for name in names_in(path)} - named == set()


def test_the_table_is_up_to_date() -> None:
    """`python -m tests.fidelity.facts > tests/fidelity/FACTS.md` writes it."""
    assert TABLE.read_text(encoding="utf-8") == table()
