"""Text to syntax tree. All syntax errors of a file are reported in one go."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from sslang.diagnostics import Diagnostic, Label, Source, Span
from sslang.syntax import habits, tree
from sslang.syntax.build import Rejected, build, comment_start

if TYPE_CHECKING:
    from lark import Lark

MAX_CHARACTERS = 1_000_000
_MAX_ERRORS = 20
_MAX_READ = 60_000  # characters read anew, over all attempts to go on after an error

_SAYS = {
    "_NEWLINE": "the end of the line",
    "$END": "the end of the file",
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a text in quotes",
    "UNIT": "a unit (epochs, steps)",
    "EQUAL": "`=`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "COMMA": "`,`",
    "COLON": "`:`",
}


@cache
def _lark() -> Lark:
    from lark import Lark

    from sslang.syntax.lexer import Layout

    grammar = files("sslang.syntax").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(
        grammar,
        parser="lalr",
        lexer="basic",
        postlex=Layout(),
        strict=False,  # a test builds the same grammar strictly; here the check would cost 0.1 s
        maybe_placeholders=True,
        cache=True,
    )


def parse(source: Source) -> tuple[tree.File, list[Diagnostic]]:
    """Parse a whole file. With errors, the tree holds what could be read."""
    if len(source.text) > MAX_CHARACTERS:
        return _empty(source), [Diagnostic("E104", "the file is longer than 1 MB")]
    if (offset := _surrogate(source.text)) is not None:
        span = Span(source, offset, offset + 1)
        return _empty(source), [Diagnostic("E104", "the text is not UTF-8", span)]
    text = source.text
    diagnostics: list[Diagnostic] = []
    read = 0
    for _ in range(_MAX_ERRORS):
        try:
            file = _parse_once(Source(source.name, text), source)
        except Rejected as rejection:
            _add(diagnostics, rejection.diagnostic)
            blanked = _without_statement(text, rejection.offset)
            read += max(rejection.offset, 1)
            if rejection.final or blanked == text or read > _MAX_READ:
                return _empty(source), diagnostics
            text = blanked
        else:
            return file, diagnostics
    return _empty(source), diagnostics


def _surrogate(text: str) -> int | None:
    """Where a text has half a character, which no UTF-8 file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def _add(diagnostics: list[Diagnostic], found: Diagnostic) -> None:
    """Keep the first finding of a line: what follows it there is mostly its echo."""
    lines = {d.span.line for d in diagnostics if d.span is not None}
    if found.span is None or found.span.line not in lines:
        diagnostics.append(found)


def parse_part(part: Span) -> tree.File:
    """Parse statements of a text that is known to be right, as of the standard library."""
    source = part.source
    before = " " * part.start  # so that places are those of the whole text
    return _parse_once(Source(source.name, before + part.text), source)


def parse_expression(source: Source) -> tuple[tree.Node | None, list[Diagnostic]]:
    """Parse one `name = expression`, as the command line gives it; returns the binding.

    `PHASE { name = expression }` rebinds inside a phase, as in a recipe.
    """
    file, diagnostics = parse(source)
    if not diagnostics and not (
        len(file.statements) == 1 and isinstance(file.statements[0], tree.Binding | tree.Nested)
    ):
        span = Span(source, 0, len(source.text))
        diagnostics = [Diagnostic("E101", "an override is written `name=expression`", span)]
    return (None, diagnostics) if diagnostics else (file.statements[0], [])


def _empty(source: Source) -> tree.File:
    return tree.File((), span=Span(source, 0, 0))


def _parse_once(attempt: Source, source: Source) -> tree.File:
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    from sslang.syntax.lexer import MAX_TOKENS, TooDeep, TooLong

    try:
        parsed = _lark().parse(attempt.text)
    except UnexpectedCharacters as error:
        offset = int(error.pos_in_stream or 0)
        raise Rejected(_unknown_character(source, offset), offset) from None
    except UnexpectedToken as error:
        offset = _offset(error.token, attempt.text)
        diagnostic = _unexpected(source, attempt.text, error, offset)
        at = diagnostic.span.start if diagnostic.span is not None else offset
        raise Rejected(diagnostic, at) from None
    except TooDeep as error:
        offset = _offset(error.token, attempt.text)
        message = "brackets are nested too deep"
        span = Span(source, offset, offset + 1)
        raise Rejected(Diagnostic("E103", message, span), offset, final=True) from None
    except TooLong as error:
        offset = _offset(error.token, attempt.text)
        message = f"the file has more than {MAX_TOKENS} words and signs"
        span = Span(source, offset, offset + 1)
        raise Rejected(Diagnostic("E104", message, span), offset, final=True) from None
    return build(parsed, source)


def _offset(token: object, text: str) -> int:
    offset = getattr(token, "start_pos", None)
    if getattr(token, "type", "") == "$END" or offset is None:
        return len(text)
    return int(offset)


def _unknown_character(source: Source, offset: int) -> Diagnostic:
    character = source.text[offset]
    shown = f"`{character}`" if character.isprintable() else f"U+{ord(character):04X}"
    message = f"{shown} begins no token of the language"
    hint, fix = habits.of_character(source, offset)
    return Diagnostic("E102", message, Span(source, offset, offset + 1), hint=hint, fix=fix)


def _unexpected(source: Source, text: str, error: object, offset: int) -> Diagnostic:
    token = getattr(error, "token", "")
    opened = _open_bracket(text, offset, "([") or (
        _open_bracket(text, offset, "{") if getattr(token, "type", "") == "$END" else None
    )
    if opened is not None and source.position(opened)[0] < source.position(offset)[0]:
        stop = Span(source, offset, min(offset + 1, len(text)))
        label = Label(stop, "reading stopped here")
        message = f"this `{source.text[opened]}` is never closed"
        return Diagnostic("E106", message, Span(source, opened, opened + 1), (label,))
    if (equals := _unfinished(text, offset)) is not None:
        message = "the statement ends too early: nothing follows its `=`"
        return Diagnostic("E101", message, Span(source, equals, equals + 1))
    expected = sorted(
        _SAYS.get(name, f"`{_literal(name)}`")
        for name in getattr(error, "expected", ())
        if name not in ("_NEWLINE", "COMMENT")
    )
    hint = f"here could stand: {', '.join(expected)}" if 0 < len(expected) <= 8 else ""
    kind = getattr(token, "type", "")
    if kind == "$END":
        span = Span(source, max(0, offset - 1), offset)
        said, fix = habits.of_token(source, offset, "")
        message = "the file ends inside a statement or a block"
        return Diagnostic("E106", message, span, hint=said or hint, fix=fix)
    if kind == "_NEWLINE":
        message = "the statement ends too early"
    elif kind == str(token).upper() and "NAME" in getattr(error, "expected", ()):
        message = f"`{token}` is a word of the language, and a name is due here"
        hint = "choose another name"
    else:
        message = f"`{token}` cannot stand here"
    span = Span(source, offset, offset + max(1, len(str(token).rstrip())))
    said, fix = habits.of_token(source, offset, "" if kind == "_NEWLINE" else str(token))
    return Diagnostic("E101", message, span, hint=said or hint, fix=fix)


def _unfinished(text: str, offset: int) -> int | None:
    """Where the `=` stands that ends the line of code before the one that begins at `offset`."""
    start = text.rfind("\n", 0, offset) + 1
    if text[start:offset].strip():
        return None
    for line in reversed(text[:start].split("\n")[:-1]):
        start -= len(line) + 1
        code = line[: comment_start(line)].rstrip()
        if code:
            return start + len(code) - 1 if code.endswith("=") else None
    return None


def _open_bracket(text: str, offset: int, kinds: str) -> int | None:
    """Where the innermost bracket that is open at `offset` stands, if it is one of `kinds`."""
    opened: list[int] = []
    line_start = 0
    for line in text[:offset].split("\n"):
        code = line if (start := comment_start(line)) is None else line[:start]
        in_text = False
        for i, char in enumerate(code):
            if char == '"':
                in_text = not in_text
            elif not in_text and char in "([{":
                opened.append(line_start + i)
            elif not in_text and char in ")]}" and opened:
                opened.pop()
        line_start += len(line) + 1
    return opened[-1] if opened and text[opened[-1]] in kinds else None


def _literal(name: str) -> str:
    for terminal in _lark().terminals:
        if terminal.name == name:
            return str(terminal.pattern.value).replace("\\", "").replace("(?:", "").strip("()")
    return name.lower()


def _without_statement(text: str, offset: int) -> str:
    """`text` with the line of the offending token blanked, so that the rest can be read.

    Lines above it that belong to the same bracket go too; positions stay what they were.
    """
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    end = len(text) if end < 0 else end
    if not text[start:end].strip():  # the error is at the end: take the last line with text
        end = len(text[:start].rstrip())
        start = text.rfind("\n", 0, end) + 1
    line = text[start:end]
    kept = "".join(c if c in "{}" else " " for c in line.split("#")[0])
    kept += " " * (len(line) - len(kept))
    if kept == line:
        kept = " " * len(line)
    return text[:start] + kept + text[end:]
