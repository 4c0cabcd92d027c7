"""Right sides that every recipe replaces: no recipe builds them, so mistakes in them would stay."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.diagnostics import Diagnostic, Span
from sslang.ir.build import build
from sslang.ir.build.context import Context, Scope
from sslang.ir.build.names import lookup
from sslang.model.overlay import file_alone
from sslang.model.resolve import Entry, Module, Resolved
from sslang.syntax import tree

_SPELLING = frozenset(("E201", "E303", "E307", "E308"))  # what no other value can put right


def never_in_force(module: Module, replaced: set[str]) -> Iterator[Diagnostic]:
    """Unknown names and keywords, bare arrows and missing units in the values of these names."""
    entries = [module.namespace.entries[name] for name in replaced]
    if not entries or not module.recipes:
        return
    resolved = file_alone(module)
    if all(_is_sound(resolved, entry) for entry in entries):
        return
    for diagnostic in build(resolved).diagnostics:
        if diagnostic.span is None:
            continue
        entry = next((e for e in entries if _is_within(diagnostic.span, e.value.span)), None)
        if entry is None:
            continue
        arrow = diagnostic.code == "E301" and _has_bare_arrow(entry.value)
        if arrow or diagnostic.code in _SPELLING:
            yield diagnostic


def _is_sound(resolved: Resolved, entry: Entry) -> bool:
    """Whether it is a param that has a value, and no arrow that would be refused where it is used.

    Of others, building the whole says whether something needs them as they are.
    """
    context = Context(resolved, "training")
    if entry.kind != "param" or _has_bare_arrow(entry.value):
        return False
    with context.collecting():
        lookup(context, entry.name, entry.span, Scope())
    return not context.diagnostics


def _is_within(span: Span, value: Span) -> bool:
    return value.source is span.source and value.start <= span.start and span.end <= value.end


def _has_bare_arrow(node: tree.Node) -> bool:
    """Whether an arrow stands outside all calls, which would say how it goes there."""
    if isinstance(node, tree.Arrow):
        return True
    return not isinstance(node, tree.Call) and any(map(_has_bare_arrow, node.children()))
