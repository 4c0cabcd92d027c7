"""Tree to text and back, and the formatter: same tree, same comments, and nothing more to do."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from sslang.diagnostics import Source
from sslang.syntax import tree
from sslang.syntax.formatter import format_text
from sslang.syntax.parser import parse
from sslang.syntax.printer import show
from tests.texts import SNIPPETS, SPECS, STD, TEXTS, mutated, soup
from tests.trees import expressions, files

PROPERTY = settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)


def parsed(text: str) -> tree.File:
    file, diagnostics = parse(Source("text", text))
    assert not diagnostics, (text, diagnostics)
    return file


def assert_formats(text: str) -> None:
    """Where the text parses: the formatted text means the same, keeps comments, is final."""
    formatted, diagnostics = format_text(Source("text", text))
    if formatted is None:
        assert diagnostics
        return
    before, after = parsed(text), parsed(formatted)
    assert after == before
    assert [c.text for c in after.comments] == [c.text for c in before.comments]
    assert format_text(Source("text", formatted))[0] == formatted
    assert not any(line != line.rstrip() for line in formatted.split("\n"))


@PROPERTY
@given(expressions)
def test_printed_expressions_parse_to_the_same_tree(expression: tree.Node) -> None:
    file = parsed(f"x = {show(expression)}\n")
    assert file.statements[0].value == expression  # type: ignore[attr-defined]


@PROPERTY
@given(files)
def test_printed_files_parse_to_the_same_tree_and_format(file: tree.File) -> None:
    text = show(file)
    assert parsed(text) == file
    assert_formats(text)


@pytest.mark.parametrize("text", [*TEXTS, *SNIPPETS])
def test_formatting_keeps_tree_and_comments(text: str) -> None:
    assert_formats(text)


def test_formatting_of_changed_texts() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        assert_formats(mutated(rng) if rng.random() < 0.8 else soup(rng))


def test_formatting_undoes_spaces() -> None:
    rng = random.Random(1)
    for text in TEXTS:
        loose = "\n".join(
            line if "#" in line or '"' in line else line.replace(" ", " " * rng.randrange(1, 4))
            for line in text.split("\n")
        )
        assert format_text(Source("text", loose))[0] == format_text(Source("text", text))[0]


@pytest.mark.parametrize("path", [*SPECS, *STD], ids=lambda p: p.stem)
def test_specs_are_in_their_one_form(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert format_text(Source(path.name, text))[0] == text


def test_windows_line_ends_and_a_missing_last_one() -> None:
    assert format_text(Source("text", "a = 1\r\nbc = 2"))[0] == "a  = 1\nbc = 2\n"
