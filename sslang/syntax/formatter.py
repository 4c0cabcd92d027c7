"""`sslang fmt`: one spelling for a text, its lines and comments kept.

The formatter works on tokens, so no comment can be lost and the tree cannot change. It sets
spaces between tokens, indents by open brackets, leaves at most one blank line, and lines up the
names, the `=` and the trailing comments of consecutive lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sslang.diagnostics import Diagnostic, Source
from sslang.syntax.parser import parse

_TOKEN = re.compile(
    r'(?P<text>"[^"\n]*")|(?P<comment>#[^\n]*)|(?P<number>[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?)'
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<mark><-|->|\.\.\.|\.\.|\+\+|\*\*|==|!=|<=|>=|[-+*/%@|<>=.,:()\[\]{}])"
)
_TIGHT_AFTER = frozenset(("(", "[", ".", "**", ".."))
_TIGHT_BEFORE = frozenset((")", "]", ",", ".", "**", ".."))
_KINDS = frozenset("param view encoder head branch weight queue bank state recipe".split())
_WORD_OPERATORS = frozenset("if else for in and or not with on then from".split())
_OPENS_VALUE = frozenset((",", "(", "[", "{"))
_INDENT = "    "


@dataclass(frozen=True)
class _Line:
    indent: int
    code: str
    comment: str
    source: str  # the code as written, to see which lines belong together


def format_text(source: Source) -> tuple[str | None, list[Diagnostic]]:
    """The text in its one spelling, or None with the syntax errors that stand in the way."""
    _, diagnostics = parse(source)
    if diagnostics:
        return None, diagnostics
    lines = _lines(source.text)
    columns = _align(lines)
    return "".join(line.rstrip() + "\n" for line in columns), []


def _lines(text: str) -> list[_Line]:
    result: list[_Line] = []
    opened: list[str] = []
    continues = False
    last = ""
    for raw in text.replace("\r\n", "\n").split("\n"):
        tokens = [m.group() for m in _TOKEN.finditer(raw)]
        comment = tokens.pop() if tokens and tokens[-1].startswith("#") else ""
        if not tokens and not comment:
            if result and (result[-1].code or result[-1].comment):
                result.append(_Line(0, "", "", ""))
            continue
        closing = 0
        for token in tokens:
            if token not in ")]}":
                break
            closing += 1
        infix = bool(tokens) and _is_infix(tokens) and not continues and last not in _OPENS_VALUE
        extra = 1 if continues or infix else 0
        indent = max(0, len(opened) - closing) + (extra if not closing else 0)
        in_subscript = bool(opened) and opened[-1] == "["
        result.append(_Line(indent, _spaced(tokens, in_subscript, infix), comment.rstrip(), raw))
        for token in tokens:
            if token in "([{":
                opened.append(token)
            elif token in ")]}" and opened:
                opened.pop()
        if tokens:
            last = tokens[-1]
            continues = last in ("=", "<-")
    while result and not (result[-1].code or result[-1].comment):
        result.pop()
    return result


def _is_infix(tokens: list[str]) -> bool:
    return tokens[0] in ("|", "+", "-", "*", "/", "@", "%", "=", "<", ">", "==", "!=", "<=", ">=",
                         "++", "..", "->", "with", "and", "or", "then", "if", "else", "on")  # fmt: skip


def _spaced(tokens: list[str], in_subscript: bool, infix: bool) -> str:
    """The tokens of a line with exactly the spaces that belong between them."""
    text = ""
    previous = ""
    unary = False
    brackets: list[str] = ["[" if in_subscript else ""]
    for i, token in enumerate(tokens):
        colon_in_subscript = brackets[-1] == "["
        if text and _needs_space(previous, token, unary, colon_in_subscript, tokens, i):
            text += " "
        text += token
        unary = token == "-" and _is_prefix_place(previous) and not (infix and i == 0)
        if token in ("(", "[", "{"):
            brackets.append(token)
        elif token in (")", "]", "}") and len(brackets) > 1:
            brackets.pop()
        previous = token
    return text


def _is_prefix_place(previous: str) -> bool:
    if not previous or previous in _WORD_OPERATORS or previous == "return":
        return True
    return previous[-1] in "([{=,<>|+-*/%@:" or previous in ("..", "<-", "->")


def _needs_space(
    previous: str, token: str, unary: bool, subscript: bool, tokens: list[str], at: int
) -> bool:
    if unary or previous in _TIGHT_AFTER or token in _TIGHT_BEFORE:
        return previous == ","
    if previous == "{" and token == "}":
        return False
    if token == ":":
        return not subscript and tokens[0] == "recipe" and "{" not in tokens[:at]
    if previous == ":":
        return not subscript
    if token in ("(", "["):
        called = previous[-1].isalnum() or previous[-1] in "_)]"
        if tokens[0] == "method" or previous in _WORD_OPERATORS or previous == "return":
            return True
        return not called
    return True


def _align(lines: list[_Line]) -> list[str]:
    texts = [_INDENT * line.indent + line.code for line in lines]
    for place in (_after_kind, _equals, None):
        for group in _groups(lines, texts, place):
            _pad(lines, texts, group, place)
    return [
        text + line.comment if not line.code and line.comment else text
        for text, line in zip(texts, lines, strict=True)
    ]


_Place = Callable[[_Line, str], int | None]


def _after_kind(line: _Line, text: str) -> int | None:
    """Where the name begins in `head    g = ...`."""
    word, _, rest = text.lstrip().partition(" ")
    if word not in _KINDS or not rest or word == "recipe" or _equals(line, text) is None:
        return None
    return len(text) - len(text.lstrip()) + len(word) + 1


def _equals(line: _Line, text: str) -> int | None:
    """Where the `=` of a declaration or binding stands."""
    depth = 0
    if text.lstrip().startswith(("fn ", "recipe ", "phase ", "return ")):
        return None
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in ("(", "[", "{"):
            depth += 1
        elif token in (")", "]", "}"):
            depth -= 1
        elif token == "=" and depth == 0:
            return match.start()
    return None


def _groups(lines: list[_Line], texts: list[str], place: _Place | None) -> list[list[int]]:
    """Runs of consecutive lines at one indent that have something to line up."""
    groups: list[list[int]] = [[]]
    for i, (line, text) in enumerate(zip(lines, texts, strict=True)):
        has = bool(line.comment and line.code) if place is None else place(line, text) is not None
        joins = bool(groups[-1]) and groups[-1][-1] == i - 1 and (
            lines[i - 1].indent == line.indent or place is None
        )
        if has and (joins or not groups[-1]):
            groups[-1].append(i)
        elif has:
            groups.append([i])
        elif groups[-1]:
            groups.append([])
    return [g for g in groups if g]


def _pad(lines: list[_Line], texts: list[str], group: list[int], place: _Place | None) -> None:
    if place is None:
        width = max(len(texts[i]) for i in group)
        for i in group:
            texts[i] = texts[i].ljust(width) + "  " + lines[i].comment
        return
    columns = {i: place(lines[i], texts[i]) or 0 for i in group}
    furthest = max(columns.values())
    for i, column in columns.items():
        texts[i] = texts[i][:column] + " " * (furthest - column) + texts[i][column:]
