"""The corpus of seeded mistakes, `tests/cases/mistakes_<method>.md`: large, and over all methods.

Whether each is found is tested with all literate cases, in `test_cases.py`.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.conftest import ROOT, SPECS
from tests.test_cases import CASES, Case

MISTAKES = [case for case in CASES if case.name.startswith("mistakes_")]


def method_of(case: Case) -> str:
    return case.name.split(":")[0].removeprefix("mistakes_")


def own_lines(case: Case) -> list[str]:
    """The lines of a case without its preamble and without blank ones."""
    return [line for line in case.text.split("\n")[case.first :] if line.strip()]


def test_the_corpus_has_at_least_120_mistakes() -> None:
    assert len(MISTAKES) >= 120


def test_every_method_has_at_least_5() -> None:
    counts = Counter(method_of(case) for case in MISTAKES)
    assert counts.keys() == {path.stem for path in SPECS}
    assert min(counts.values()) >= 5, counts


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.name)
def test_a_mistake_is_short_and_expected(case: Case) -> None:
    assert case.expected()
    assert len(own_lines(case)) <= 15


def test_no_mistake_is_there_twice() -> None:
    texts = Counter("\n".join(own_lines(case)) for case in MISTAKES)
    assert [text for text, count in texts.items() if count > 1] == []


def test_the_mistakes_are_of_many_kinds() -> None:
    codes = {code for case in MISTAKES for _, code in case.expected()}
    assert {code[1] for code in codes} >= set("12345")
    assert len(codes) >= 30


def test_a_line_of_prose_says_what_each_mistake_is() -> None:
    for path in sorted((ROOT / "tests" / "cases").glob("mistakes_*.md")):
        blocks = re.findall(r"^(.*)\n\n```ssl", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(blocks) == sum(method_of(case) == path.stem.removeprefix("mistakes_")
                                  for case in MISTAKES)  # fmt: skip
        assert all(len(prose.split()) >= 2 and prose.endswith((".", "?")) for prose in blocks)
        assert len(set(blocks)) == len(blocks)
