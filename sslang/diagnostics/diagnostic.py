"""A diagnostic is data: what is wrong, where, why, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import lru_cache

from sslang.diagnostics.code import Severity
from sslang.diagnostics.codes import CODES
from sslang.diagnostics.fix import Fix, replacement
from sslang.diagnostics.source import Span
from sslang.records import record

# Names like another: how many are shown, how alike they are, how many are compared in full.
_SHOWN, _CUTOFF, _COMPARED = 4, 0.6, 100
_MEANT = 0.75  # how alike what an edit writes is: `square` is like `sqrt`, and means another thing


@record(frozen=True)
class Label:
    """A second place that explains the first: where a dimension came from, for example."""

    span: Span
    text: str


@record(frozen=True)
class Diagnostic:
    """One finding. `code` is permanent and declared in `sslang.diagnostics.codes`.

    `hint` says in words what to write instead, `fix` as an edit where there is one thing to write.
    `recipes` are those of the file under which it is found, where it is not found under all.
    """

    code: str
    message: str
    span: Span | None = None
    labels: tuple[Label, ...] = ()
    hint: str = ""
    fix: Fix | None = None
    recipes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.code in CODES, f"undeclared diagnostic code {self.code}"

    @property
    def severity(self) -> Severity:
        return CODES[self.code].severity

    @property
    def is_error(self) -> bool:
        return self.severity == "error"


class DiagnosticError(Exception):
    """Raised where work cannot go on. It carries every diagnostic found so far."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in diagnostics))
        self.diagnostics = diagnostics


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint naming at most four of the `known` names that resemble `name`, or ``""``."""
    quoted = [f"`{c}`" for c in _close(name, known)]
    if len(quoted) < 2:
        return f"did you mean {quoted[0]}?" if quoted else ""
    return f"did you mean {', '.join(quoted[:-1])} or {quoted[-1]}?"


def meant(name: str, known: Iterable[str], span: Span) -> Fix | None:
    """The name of `known` that resembles `name` by far the most, as an edit of the start."""
    close = _close(name, known)
    if not close or not span.text.startswith(name):
        return None
    if _alike(name, close[0]) < _MEANT:
        return None
    if len(close) > 1 and _alike(name, close[0]) < _alike(name, close[1]) + 0.1:
        return None
    return replacement(Span(span.source, span.start, span.start + len(name)), close[0])


def _close(name: str, known: Iterable[str]) -> list[str]:
    return list(_closest(name, tuple(sorted(set(known)))))


@lru_cache(maxsize=256)  # the hint and the fix of a finding ask the same, and so does each recipe
def _closest(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The four of `known` most like `name`, as difflib's get_close_matches finds them.

    A name of thousands is compared in full only with those that its length and letters allow.
    """
    matcher = difflib.SequenceMatcher(None, "", name)
    bounds: list[tuple[float, str]] = []
    for word in known:
        matcher.set_seq1(word)
        if matcher.real_quick_ratio() >= _CUTOFF and (bound := matcher.quick_ratio()) >= _CUTOFF:
            bounds.append((bound, word))
    found: list[tuple[float, str]] = []
    for bound, word in sorted(bounds, reverse=True)[:_COMPARED]:
        if len(found) == _SHOWN and bound < found[-1][0]:
            break
        matcher.set_seq1(word)
        if (ratio := matcher.ratio()) >= _CUTOFF:
            found = sorted([*found, (ratio, word)], reverse=True)[:_SHOWN]
    return tuple(word for _, word in found)


def _alike(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a, b).ratio()


def keyword(name: str, value: Span) -> Span:
    """The name of a keyword argument, given the range of its value."""
    equals = value.source.text[: value.start].rstrip()
    before = equals.removesuffix("=").rstrip()
    if not equals.endswith("=") or not before.endswith(name):
        return value
    return Span(value.source, len(before) - len(name), len(before))
