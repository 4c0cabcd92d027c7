"""Warnings and notes that the author has seen: `# allow E404: reason` at the end of their line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sslang.diagnostics.codes import CODES
from sslang.diagnostics.diagnostic import Diagnostic
from sslang.diagnostics.source import Source, Span

_ALLOW = re.compile(r"#[ \t]*allow[ \t]+(\w+)[ \t]*:?[ \t]*([^\n#]*)")


def silenced(source: Source, found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The findings that remain; E213 for an `allow` that allows nothing."""
    allowed = {(line, code): span for line, code, reason, span in _allows(source) if reason}
    used: set[tuple[int, str]] = set()
    left: list[Diagnostic] = []
    for diagnostic in found:
        at = _place(diagnostic, source)
        if at in allowed and not diagnostic.is_error:
            used.add(at)
        else:
            left.append(diagnostic)
    return left + list(_idle(source, used))


def _place(diagnostic: Diagnostic, source: Source) -> tuple[int, str]:
    span = diagnostic.span
    return (span.line if span is not None and span.source is source else 0, diagnostic.code)


def _allows(source: Source) -> Iterator[tuple[int, str, str, Span]]:
    """Line, code, reason and range of each."""
    for match in _ALLOW.finditer(source.text):
        span = Span(source, match.start(), match.end())
        yield span.line, match.group(1), match.group(2).strip(), span


def _idle(source: Source, used: set[tuple[int, str]]) -> Iterator[Diagnostic]:
    for line, code, reason, span in _allows(source):
        if code not in CODES:
            yield Diagnostic("E213", f"there is no code `{code}`", span)
        elif CODES[code].severity == "error":
            hint = "an error is mended; nothing allows it"
            yield Diagnostic("E213", f"{code} is an error", span, hint=hint)
        elif not reason:
            hint = f"write `# allow {code}: why it is meant`"
            yield Diagnostic("E213", "it gives no reason", span, hint=hint)
        elif (line, code) not in used:
            yield Diagnostic("E213", f"nothing on this line gives {code}", span,
                             hint="take it away")  # fmt: skip
