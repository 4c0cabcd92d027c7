"""Literate cases: specs whose expected findings stand beside the lines, in `tests/cases/*.md`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from sslang.checks import check_file
from sslang.diagnostics import CODES, Diagnostic, Source, render

FILES = sorted((Path(__file__).parent / "cases").glob("*.md"))
PREAMBLE = (
    'method "case"; view a, b = simclr_views(32); '
    "encoder f = resnet18(width = 0.25, stem = small); head g = mlp(64, 32); "
    'assume no_collapse "these cases are about other things"'
).replace("; ", "\n") + "\n"
_BLOCK = re.compile(r"^```ssl( whole)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_EXPECTED = re.compile(r"#[^#\n]*?error: (.*)")


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    first: int  # lines of the preamble

    def expected(self) -> dict[tuple[int, str], str]:
        """By line and code, the words that the finding contains."""
        found = {}
        for number, line in enumerate(self.text.split("\n"), 1):
            match = _EXPECTED.search(line)
            for part in match.group(1).split("; ") if match else ():
                code, _, words = part.partition(" ")
                found[number, code] = words
        return found


def _cases() -> list[Case]:
    cases = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            preamble = "" if match.group(1) else PREAMBLE
            cases.append(
                Case(f"{path.stem}:{line}", preamble + match.group(2), preamble.count("\n"))
            )
    return cases


CASES = _cases()


def _findings(case: Case) -> list[Diagnostic]:
    """The findings in the lines of the case; the preamble's own, such as unused nets, left out."""
    found = check_file(Source("case.ssl", case.text))
    return [d for d in found if d.span is None or d.span.line > case.first]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_findings_are_those_beside_the_lines(case: Case) -> None:
    found: dict[tuple[int, str], list[str]] = {}
    for diagnostic in _findings(case):
        line = diagnostic.span.line if diagnostic.span is not None else 0
        found.setdefault((line, diagnostic.code), []).append(render(diagnostic))
    expected = case.expected()
    shown = "\n".join(text for texts in found.values() for text in texts)
    assert set(found) == set(expected), shown
    for key, words in expected.items():
        assert any(words in text for text in found[key]), shown


def test_cases_cover_every_code_of_the_front_end() -> None:
    covered = {code for case in CASES for _, code in case.expected()}
    front = {code for code in CODES if code[1] in "12345"}
    elsewhere = {"E104", "E213", "E411", "E505", "E506"}  # of files, comments, probes, nets
    assert front - covered == elsewhere
