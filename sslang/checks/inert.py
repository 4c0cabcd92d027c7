"""Right sides that every recipe replaces: no recipe builds them, so mistakes in them would stay."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.diagnostics import Diagnostic
from sslang.ir.build import build
from sslang.model.overlay import file_alone
from sslang.model.resolve import Module

_SPELLING = frozenset(("E201", "E303", "E307", "E308"))  # what no other value can put right


def never_in_force(module: Module, replaced: set[str]) -> Iterator[Diagnostic]:
    """Unknown names and keywords, bare arrows and missing units in the values of these names."""
    entries = [module.namespace.entries[name] for name in replaced]
    if not entries or not module.recipes:
        return
    for diagnostic in build(file_alone(module)).diagnostics:
        span = diagnostic.span
        if diagnostic.code not in _SPELLING or span is None:
            continue
        for value in (entry.value.span for entry in entries):
            if value.source is span.source and value.start <= span.start and span.end <= value.end:
                yield diagnostic
                break
