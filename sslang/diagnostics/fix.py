"""Fixes as data: edits of the text that a finding is about."""

from __future__ import annotations

from collections.abc import Iterable

from sslang.diagnostics.source import Source, Span
from sslang.records import record


@record(frozen=True)
class Edit:
    """`text` takes the place of a range; an empty range is an insertion before its start."""

    span: Span
    text: str


@record(frozen=True)
class Fix:
    """Edits that belong together. `safe`: there is one thing the author can have meant."""

    edits: tuple[Edit, ...]
    safe: bool = True


def apply(source: Source, fixes: Iterable[Fix]) -> tuple[str, int]:
    """The text with the safe fixes made, and how many: those that overlap an earlier one wait."""
    taken: list[Edit] = []
    made = 0
    for fix in fixes:
        inside = all(e.span.source.text == source.text for e in fix.edits)
        if fix.safe and inside and not any(_meet(a, b) for a in fix.edits for b in taken):
            taken.extend(fix.edits)
            made += 1
    text = source.text
    for edit in sorted(taken, key=lambda e: e.span.start, reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text, made


def _meet(a: Edit, b: Edit) -> bool:
    if a.span.start == b.span.start:
        return True
    return a.span.start < b.span.end and b.span.start < a.span.end


def insert(source: Source, offset: int, text: str) -> Edit:
    return Edit(Span(source, offset, offset), text)


def replacement(span: Span, text: str, *, safe: bool = True) -> Fix:
    return Fix((Edit(span, text),), safe)


def wrapped(span: Span, before: str, after: str) -> Fix:
    """`before` and `after` set around a range."""
    source = span.source
    return Fix((insert(source, span.start, before), insert(source, span.end, after)))


def removal(span: Span) -> Fix:
    """The statement of a range taken away, with its line where it stands alone on it."""
    text = span.source.text
    start = text.rfind("\n", 0, span.start) + 1
    end = text.find("\n", span.end)
    end = len(text) if end < 0 else end + 1
    rest = text[start : span.start] + text[span.end : end].split("#")[0]
    if rest.strip():
        start, end = span.start, span.end
    return replacement(Span(span.source, start, end), "")
