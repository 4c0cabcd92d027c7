"""The grammar, and what the parser says about texts that are no programs."""

from __future__ import annotations

from importlib.resources import files

import pytest
from lark import Lark

from sslang.diagnostics import Source
from sslang.syntax import tree
from sslang.syntax.formatter import _INFIX as FORMATTER_INFIX
from sslang.syntax.lexer import _INFIX, MAX_TOKENS, Layout
from sslang.syntax.parser import MAX_CHARACTERS, _lark, parse, parse_expression

GRAMMAR = files("sslang.syntax").joinpath("grammar.lark").read_text(encoding="utf-8")


def names(file: tree.File) -> list[str]:
    return [s.target.name for s in file.statements if isinstance(s, tree.Binding)]


def codes(text: str) -> list[str]:
    return [d.code for d in parse(Source("text", text))[1]]


def test_the_grammar_has_no_conflicts_under_strict_mode() -> None:
    Lark(GRAMMAR, parser="lalr", lexer="basic", postlex=Layout(), strict=True)


def test_formatter_and_lexer_agree_on_what_goes_on_a_line() -> None:
    for sign in FORMATTER_INFIX:
        kinds = {t.type for t in _lark().lex(f"x {sign} y") if str(t) == sign}
        assert kinds and kinds <= _INFIX, sign


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 ** -4", "1 + (2 * (3 ** (-4)))"),
        ("a | b or c and not d == e", "a | (b or (c and (not (d == e))))"),
        ("a ++ b + c", "a ++ (b + c)"),
        ("-a ** 2", "-(a ** 2)"),
        ("a - b - c", "(a - b) - c"),
        ("a / b @ c", "(a / b) @ c"),
        ("f | g with (x = 1)", "(f | g) with (x = 1)"),
        ("0.1 -> 1 if t else 2", "0.1 -> (1 if t else 2)"),
        ("linear(0 -> 1) then cosine(1 -> 0)", "(linear(0 -> 1)) then (cosine(1 -> 0))"),
        ("a..b | c", "a..(b | c)"),
        ("zeros(3) on unit", "(zeros(3)) on (unit)"),
        ("x[v].f(y)[1]", "((x[v]).f)(y)[1]"),
    ],
)
def test_how_tightly_operators_bind(text: str, value: str) -> None:
    assert parse(Source("a", f"x = {text}\n")) == parse(Source("b", f"x = {value}\n"))


def test_units_follow_numbers_on_their_own_line_only() -> None:
    file, found = parse(Source("text", "a = 3\nepochs = 4\nb = f(2)\nsteps = 5\nc = 10 epoch\n"))
    assert not found
    assert names(file) == ["a", "epochs", "b", "steps", "c"]
    assert file.statements[-1].value == tree.Quantity(  # type: ignore[attr-defined]
        tree.Number(10, span=file.span), "epochs", span=file.span
    )


def test_every_node_knows_its_range() -> None:
    source = Source("text", "loss = mean(f(a)[:, 1:], axis = 0) + 3 epochs # c\n")

    def check(node: tree.Node, outer: tree.Node) -> None:
        assert outer.span.start <= node.span.start <= node.span.end <= outer.span.end
        assert node.span.source is source
        for child in node.children():
            check(child, node)

    file, _ = parse(source)
    check(file, file)
    binding = file.statements[0]
    assert isinstance(binding, tree.Binding)
    assert binding.value.span.text == "mean(f(a)[:, 1:], axis = 0) + 3 epochs"
    assert file.comments[0].span.text == "# c"


def test_all_errors_of_a_file_are_reported_in_one_go() -> None:
    text = "a = 1 2\nb = 3\nc = ]\nd = 4\ne = $\n"
    file, found = parse(Source("text", text))
    places = [(d.code, d.span.line) for d in found if d.span is not None]
    assert places == [("E101", 1), ("E101", 3), ("E102", 5)]
    assert names(file) == ["b", "d"]


def test_limits() -> None:
    assert codes("#" * (MAX_CHARACTERS + 1)) == ["E104"]
    assert codes("a = 1\n" * (MAX_TOKENS // 4 + 1)) == ["E104"]
    assert codes('a = "\ud800"\n') == ["E104"]
    assert codes("#" * (MAX_CHARACTERS - 1)) == []


@pytest.mark.parametrize(
    ("number", "value"),
    [("007", 7), ("1e3", 1000.0), ("1e30", 1e30), ("0e99", 0.0),
     ("123456789012345", 123456789012345),
     ("0.000000000000123", 1.23e-13), ("0" * 30 + "1", 1)],
)  # fmt: skip
def test_numbers(number: str, value: float) -> None:
    file, found = parse(Source("text", f"x = {number}\n"))
    assert not found
    assert file.statements[0].value.value == value  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "number", ["1e31", "1e-31", "1e-999", "1234567890123456", "0" * 5000 + "1"]
)
def test_numbers_out_of_range(number: str) -> None:
    assert codes(f"x = {number}\n") == ["E105"]


def test_overrides() -> None:
    node, found = parse_expression(Source("command line", "batch=64 * 2"))
    assert isinstance(node, tree.Binding) and not found
    for text in ("batch", "param a = 1", "a = 1\nb = 2", "", "a ="):
        node, found = parse_expression(Source("command line", text))
        assert node is None and found
