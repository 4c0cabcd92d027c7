"""Diagnostics as people and programs see them."""

from __future__ import annotations

import re

from sslang.diagnostics import CODES, Diagnostic, Label, Source, Span, nearest, render, to_json
from sslang.diagnostics.render import concise, github

SOURCE = Source("spec.ssl", "a = 1\nloss = mean(z, axis = 4)\n")
PLACE = Span(SOURCE, 13, 30)


def test_full_form() -> None:
    label = Label(Span(SOURCE, 0, 1), "declared here")
    found = Diagnostic("E302", "no axis 4", PLACE, (label,), "its axes are 0 to 1")
    assert render(found) == "\n".join(
        [
            "error[E302]: no axis 4",
            " --> spec.ssl:2:8",
            "2 | loss = mean(z, axis = 4)",
            "  |        ^^^^^^^^^^^^^^^^^ shapes differ",
            " --> spec.ssl:1:1",
            "1 | a = 1",
            "  | ^ declared here",
            "  = its axes are 0 to 1",
        ]
    )
    coloured = render(found, colour=True)
    assert re.sub(r"\x1b\[\d*m", "", coloured) == render(found)


def test_a_long_line_is_shown_around_the_place() -> None:
    source = Source("long.ssl", "x = " + "a + " * 200 + "b\n")
    at = source.text.index("b\n")
    shown = render(Diagnostic("E201", "nothing is called `b`", Span(source, at, at + 1)))
    line, caret = shown.split("\n")[2:4]
    assert len(line) < 140
    assert line[caret.index("^")] == "b"


def test_a_range_over_lines_is_underlined_on_the_first() -> None:
    found = Diagnostic("E101", "this", Span(SOURCE, 0, len(SOURCE.text)))
    assert render(found).split("\n")[3] == "  | ^^^^^ unexpected text"
    assert Span(SOURCE, 0, 20).first_line.text == "a = 1"


def test_the_end_of_a_text_can_be_pointed_at() -> None:
    for source in (SOURCE, Source("empty.ssl", "")):
        end = len(source.text)
        assert render(Diagnostic("E106", "the end", Span(source, end, end)))


def test_plain_values() -> None:
    value = to_json(Diagnostic("E207", "`a` is unused", Span(SOURCE, 0, 1)))
    assert value == {
        "code": "E207", "severity": "error", "message": "`a` is unused", "file": "spec.ssl",
        "line": 1, "column": 1, "end_line": 1, "end_column": 2, "labels": [], "hint": "",
            "fix": None, "recipes": [],
    }  # fmt: skip
    assert to_json(Diagnostic("E409", "no loss"))["file"] is None


def test_nearest_names() -> None:
    known = ["momentum", "memory", "temperature", "size"]
    assert nearest("momentun", known) == "did you mean `momentum`?"
    assert nearest("zzz", known) == ""
    many = nearest("aaaa", [f"aaa{c}" for c in "bcdefgh"])
    assert many.count("`") == 8


def test_codes_say_something() -> None:
    for code in CODES.values():
        assert re.fullmatch(r"E[1-7]\d\d", code.code)
        assert code.title and code.explanation.endswith(".")


def test_one_line_forms() -> None:
    found = Diagnostic("E302", "no axis 4, of 100%", PLACE, (), "its axes are 0 to 1")
    assert concise(found) == "spec.ssl:2:8: error[E302] no axis 4, of 100%"
    assert github(found) == (
        "::error title=E302 shapes differ,file=spec.ssl,line=2,col=8,endLine=2,endColumn=25"
        "::no axis 4, of 100%25%0Aits axes are 0 to 1"
    )
    assert github(Diagnostic("E404", "never written")).startswith("::warning title=E404 ")
