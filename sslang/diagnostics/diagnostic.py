"""A diagnostic is data: what is wrong, where, why, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from sslang.diagnostics.codes import CODES, Severity
from sslang.diagnostics.source import Span


@dataclass(frozen=True)
class Label:
    """A second place that explains the first: where a dimension came from, for example."""

    span: Span
    text: str


@dataclass(frozen=True)
class Diagnostic:
    """One finding. `code` is permanent and declared in `sslang.diagnostics.codes`."""

    code: str
    message: str
    span: Span | None = None
    labels: tuple[Label, ...] = ()
    hint: str = ""

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
    close = difflib.get_close_matches(name, sorted(set(known)), n=4, cutoff=0.6)
    if not close:
        return ""
    quoted = [f"`{c}`" for c in close]
    if len(quoted) == 1:
        return f"did you mean {quoted[0]}?"
    return f"did you mean {', '.join(quoted[:-1])} or {quoted[-1]}?"
