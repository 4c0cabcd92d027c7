"""Warnings and notes that the author has seen: `# allow E404: reason` at the end of their line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sslang.diagnostics.codes import CODES
from sslang.diagnostics.diagnostic import Diagnostic
from sslang.diagnostics.source import Source, Span

_ELSEWHERE = frozenset(("E411",))  # warnings that the probe gives, and no check of the text
_ALLOW = re.compile(r"#[ \t]*allow[ \t]+(\w+)[ \t]*:?[ \t]*([^\n#]*)")


def silenced(source: Source, found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The findings that remain; E213 for an `allow` that allows nothing."""
    left = without_allowed(source, found)
    kept = {id(diagnostic) for diagnostic in left}
    used = {_place(d, source) for d in found if id(d) not in kept}
    # With an error, or recipes left out, not every check was made.
    whole = not any(d.is_error or d.code == "E518" for d in found)
    return left + list(_idle(source, used, whole=whole))


def without_allowed(source: Source, found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The findings but for the warnings and notes that their line allows."""
    allowed = {(line, code) for line, code, reason, _ in _allows(source) if reason}
    return [d for d in found if d.is_error or _place(d, source) not in allowed]


def _place(diagnostic: Diagnostic, source: Source) -> tuple[int, str]:
    span = diagnostic.span
    return (span.line if span is not None and span.source is source else 0, diagnostic.code)


def _allows(source: Source) -> Iterator[tuple[int, str, str, Span]]:
    """Line, code, reason and range of each."""
    for match in _ALLOW.finditer(source.text):
        span = Span(source, match.start(), match.end())
        yield span.line, match.group(1), match.group(2).strip(), span


def _idle(source: Source, used: set[tuple[int, str]], *, whole: bool) -> Iterator[Diagnostic]:
    for line, code, reason, span in _allows(source):
        if code not in CODES:
            yield Diagnostic("E213", f"there is no code `{code}`", span)
        elif CODES[code].severity == "error":
            hint = "an error is mended; nothing allows it"
            yield Diagnostic("E213", f"{code} is an error", span, hint=hint)
        elif not reason:
            hint = f"write `# allow {code}: why it is meant`"
            yield Diagnostic("E213", "it gives no reason", span, hint=hint)
        elif whole and code not in _ELSEWHERE and (line, code) not in used:
            yield Diagnostic("E213", f"nothing on this line gives {code}", span,
                             hint="take it away")  # fmt: skip
