"""`sslang fmt`: one spelling for a text, its lines and comments kept.

The formatter works on tokens, so no comment can be lost and the tree cannot change. It sets
spaces between tokens, indents by open brackets, leaves at most one blank line, and lines up the
names, the `=` and the trailing comments of consecutive lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sslang.diagnostics import Diagnostic, Source
from sslang.records import record
from sslang.syntax.parser import parse

_TOKEN = re.compile(
    r'(?P<text>"[^"\n]*")|(?P<comment>#[^\n]*)|(?P<number>[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?)'
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<mark><-|->|\.\.\.|\.\.|\+\+|\*\*|==|!=|<=|>=|[-+*/%@|<>=.,:()\[\]{}])"
)
# The way to the `=` of most statements; the others are read token by token.
_PLAIN_TARGET = re.compile(r"[A-Za-z0-9_, ]*=(?!=)")
_TIGHT_AFTER = frozenset(("(", "[", ".", "**", ".."))
_TIGHT_BEFORE = frozenset((")", "]", ",", ".", "**", ".."))
_KINDS = frozenset((
    "param", "view", "encoder", "head", "branch", "weight", "queue", "bank", "state",
))  # fmt: skip
_WORD_OPERATORS = frozenset((
    "if", "else", "for", "in", "and", "or", "not", "with", "on", "then", "from",
))  # fmt: skip
# What continues the line above; the terminals of the same spelling in `lexer.py`.
_INFIX = frozenset((
    "|", "+", "-", "*", "/", "@", "%", "=", "<", ">", "==", "!=", "<=", ">=", "++", "**",
    "..", "->", "with", "and", "or", "then", "if", "else", "on",
))  # fmt: skip
_OPENS_VALUE = frozenset((",", "(", "[", "{"))
_INDENT = "    "


@record(frozen=True)
class _Bracket:
    """An open bracket: its kind, its line, which token of the line, whether the line ends there."""

    kind: str
    line: int
    token: int
    last: bool


@record(frozen=True)
class _Line:
    """A line of the text: its code with spaces set, its comment, and what its indent follows."""

    code: str
    comment: str
    indent: int  # columns, where no bracket says otherwise
    under: _Bracket | None  # the bracket whose inside, or whose end, the line begins with
    closes: bool

    @property
    def inside(self) -> bool:
        """Whether the line goes on with what another began, within brackets."""
        return self.under is not None


def format_text(source: Source) -> tuple[str | None, list[Diagnostic]]:
    """The text in its one spelling, or None with the syntax errors that stand in the way."""
    _, diagnostics = parse(source)
    if diagnostics:
        return None, diagnostics
    return laid_out(source.text), []


def laid_out(text: str) -> str:
    """`format_text`, for a text that is known to parse."""
    return "".join(line.rstrip() + "\n" for line in _align(_lines(text)))


def _lines(text: str) -> list[_Line]:
    result: list[_Line] = []
    opened: list[_Bracket] = []
    last = ""
    for raw in text.replace("\r\n", "\n").split("\n"):
        tokens = [m.group() for m in _TOKEN.finditer(raw)]
        comment = tokens.pop().rstrip() if tokens and tokens[-1].startswith("#") else ""
        if not tokens and not comment:
            if result and (result[-1].code or result[-1].comment):
                result.append(_Line("", "", 0, None, False))
            continue
        continues = last in ("=", "<-")
        infix = bool(tokens) and _is_infix(tokens) and not continues and last not in _OPENS_VALUE
        kind = opened[-1].kind if opened else ""
        code = _spaced(tokens, kind == "[", infix)
        closed = None
        for token in tokens:
            if token not in ")]}" or not opened:
                break
            closed = opened.pop()
        under = closed or (opened[-1] if opened else None)
        if under is not None and under.kind == "{":
            under = None
        blocks = sum(bracket.kind == "{" for bracket in opened)
        deeper = (continues or infix) and closed is None
        indent = len(_INDENT) * (blocks + deeper)
        result.append(_Line(code, comment, indent, under, closed is not None))
        _follow(tokens, len(result) - 1, opened)
        last = tokens[-1] if tokens else last
    while result and not (result[-1].code or result[-1].comment):
        result.pop()
    return result


def _follow(tokens: list[str], line: int, opened: list[_Bracket]) -> None:
    """Bring the open brackets up to the end of the line; those it begins with are closed."""
    leading = True
    for at, token in enumerate(tokens):
        leading = leading and token in ")]}"
        if token in ("(", "[", "{"):
            opened.append(_Bracket(token, line, at, at == len(tokens) - 1))
        elif token in (")", "]", "}") and opened and not leading:
            opened.pop()


def _is_infix(tokens: list[str]) -> bool:
    return tokens[0] in _INFIX


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
    if previous == ",":
        return token not in (")", "]")
    if unary or previous in _TIGHT_AFTER or token in _TIGHT_BEFORE:
        return False
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
    texts = [" " * line.indent + line.code for line in lines]
    for place in (_after_kind, _equals):
        for group in _groups(lines, texts, place):
            _pad(texts, group)
    indents = [line.indent for line in lines]
    for i, line in enumerate(lines):
        if line.under is not None:
            indents[i] = _hung(line.under, line.closes, texts, indents)
            texts[i] = " " * indents[i] + line.code
    _add_comments(lines, texts)
    return texts


def _hung(bracket: _Bracket, closes: bool, texts: list[str], indents: list[int]) -> int:
    """Behind the bracket where something follows it on its line, else one step in."""
    if bracket.last:
        return indents[bracket.line] + (0 if closes else len(_INDENT))
    places = [match.start() for match in _TOKEN.finditer(texts[bracket.line])]
    return places[bracket.token] + (0 if closes else 1)


def _add_comments(lines: list[_Line], texts: list[str]) -> None:
    """Comments of consecutive lines stand in one column."""
    start = 0
    for i in range(len(lines) + 1):
        if i < len(lines) and lines[i].code and lines[i].comment:
            continue
        width = max((len(texts[j]) for j in range(start, i)), default=0)
        for j in range(start, i):
            texts[j] = texts[j].ljust(width) + "  " + lines[j].comment
        if i < len(lines) and not lines[i].code:
            texts[i] += lines[i].comment
        start = i + 1


_Place = Callable[[str], int | None]


def _after_kind(text: str) -> int | None:
    """Where the name begins in `head    g = ...`."""
    word, _, rest = text.lstrip().partition(" ")
    if word not in _KINDS or not rest or _equals(text) is None:
        return None
    return len(text) - len(text.lstrip()) + len(word) + 1


def _equals(text: str) -> int | None:
    """Where the `=` of a declaration or binding stands."""
    depth = 0
    if text.lstrip().startswith(("fn ", "recipe ", "phase ", "return ")):
        return None
    if (plain := _PLAIN_TARGET.match(text)) is not None:
        return plain.end() - 1
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in ("(", "[", "{"):
            depth += 1
        elif token in (")", "]", "}"):
            depth -= 1
        elif token == "=" and depth == 0:
            return match.start()
    return None


def _groups(lines: list[_Line], texts: list[str], place: _Place) -> list[dict[int, int]]:
    """Runs of statements at one indent that have something to line up: line and column of each.

    What goes on within brackets does not end a run; targets with and without `[...]` are apart.
    """
    groups: list[dict[int, int]] = []
    key: object = None
    for i, (line, text) in enumerate(zip(lines, texts, strict=True)):
        if line.inside:
            continue
        at = place(text)
        if at is None:
            key = None
            continue
        own = (line.indent, place is _equals and "[" in text[:at])
        if own == key:
            groups[-1][i] = at
        else:
            groups.append({i: at})
        key = own
    return groups


def _pad(texts: list[str], group: dict[int, int]) -> None:
    furthest = max(group.values())
    for i, column in group.items():
        texts[i] = texts[i][:column] + " " * (furthest - column) + texts[i][column:]
