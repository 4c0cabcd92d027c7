"""Diagnostics as text for people, and as plain values for programs."""

from __future__ import annotations

import re
from collections.abc import Callable

from sslang.diagnostics.codes import CODES
from sslang.diagnostics.diagnostic import Diagnostic
from sslang.diagnostics.source import Span

_COLOURS = {"error": "31", "warning": "33", "note": "36"}
_LONGEST = 1_000  # characters of a message: a name that it quotes can fill a file
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # what would move a terminal's cursor


def render(diagnostic: Diagnostic, *, colour: bool = False) -> str:
    """The full form: title, place, the line with a caret, labels, and what to write instead."""
    paint = _painter(colour)
    strong = _COLOURS[diagnostic.severity]
    head = paint(f"{diagnostic.severity}[{diagnostic.code}]", strong)
    lines = [f"{head}: {_short(diagnostic.message)}"]
    if diagnostic.span is not None:
        lines += _excerpt(diagnostic.span, CODES[diagnostic.code].title, strong, paint)
    for label in diagnostic.labels:
        lines += _excerpt(label.span, label.text, "34", paint)
    for text in (_short(diagnostic.hint), _under(diagnostic)):
        if text:
            lines.append(f"  {paint('=', '34')} {text}")
    return "\n".join(lines)


def _short(text: str) -> str:
    text = _CONTROL.sub(" ", text)
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 4 :]}"


def _under(diagnostic: Diagnostic) -> str:
    names = [f"`{name}`" for name in diagnostic.recipes]
    if len(names) > 3:
        names[2:] = [f"{len(names) - 2} more"]
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"under the recipe{'s' if len(names) > 1 else ''} {listed}" if names else ""


def _painter(colour: bool) -> Callable[[str, str], str]:
    if colour:
        return lambda text, code: f"\x1b[{code}m{text}\x1b[0m"
    return lambda text, code: text


def _excerpt(span: Span, note: str, code: str, paint: Callable[[str, str], str]) -> list[str]:
    line, column = span.source.position(span.start)
    text = span.source.line(line)
    width = max(1, min(span.end - span.start, len(text) - column + 1))
    number = str(line)
    bar = paint("|", "34")
    shown, first = _window(text, column)
    shown = _CONTROL.sub(" ", shown)
    caret = " " * (column - 1 - first) + paint(
        "^" * min(width, len(shown) - column + 1 + first or 1), code
    )
    return [
        f"{' ' * len(number)}{paint('-->', '34')} {span}",
        f"{paint(number, '34')} {bar} {shown}",
        f"{' ' * len(number)} {bar} {caret} {note}",
    ]


def _window(text: str, column: int, width: int = 120) -> tuple[str, int]:
    """The part of a long line around `column`, and how many characters were left out before."""
    if len(text) <= width:
        return text, 0
    first = max(0, min(column - 1 - width // 3, len(text) - width))
    return text[first : first + width], first


def concise(diagnostic: Diagnostic) -> str:
    """One line: place, code, message."""
    place = _CONTROL.sub(" ", f"{diagnostic.span}: ") if diagnostic.span is not None else ""
    return f"{place}{diagnostic.severity}[{diagnostic.code}] {_short(diagnostic.message)}"


_GITHUB = {"error": "error", "warning": "warning", "note": "notice"}


def github(diagnostic: Diagnostic) -> str:
    """A workflow command, which GitHub shows as an annotation beside the line."""
    title = f"{diagnostic.code} {CODES[diagnostic.code].title}"
    properties = {"title": title}
    if diagnostic.span is not None:
        line, column = diagnostic.span.source.position(diagnostic.span.start)
        end_line, end_column = diagnostic.span.source.position(diagnostic.span.end)
        properties |= {"file": diagnostic.span.source.name, "line": str(line)}
        properties |= {"col": str(column), "endLine": str(end_line), "endColumn": str(end_column)}
    given = ",".join(f"{k}={_escaped(v, ',:')}" for k, v in properties.items())
    text = _short(diagnostic.message)
    text += f"\n{_short(diagnostic.hint)}" if diagnostic.hint else ""
    return f"::{_GITHUB[diagnostic.severity]} {given}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    for char in "%\r\n" + more:
        text = text.replace(char, f"%{ord(char):02X}")
    return text


def to_json(diagnostic: Diagnostic) -> dict[str, object]:
    """Plain values: code, severity, message, place, labels, hint, fix."""
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        **_place(diagnostic.span),
        "labels": [{"text": label.text, **_place(label.span)} for label in diagnostic.labels],
        "hint": diagnostic.hint,
        "fix": _fix(diagnostic),
        "recipes": list(diagnostic.recipes),
    }


def _fix(diagnostic: Diagnostic) -> object:
    if diagnostic.fix is None:
        return None
    edits = [{"text": edit.text, **_place(edit.span)} for edit in diagnostic.fix.edits]
    return {"safe": diagnostic.fix.safe, "edits": edits}


def _place(span: Span | None) -> dict[str, object]:
    if span is None:
        return {"file": None}
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {
        "file": span.source.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }
