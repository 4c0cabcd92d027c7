"""Slices of nets that end beyond their last layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.summands import walk
from sslang.diagnostics import Diagnostic
from sslang.ir.program import Program
from sslang.model.resolve import Entry, Resolved
from sslang.syntax import tree


def slices(program: Program, resolved: Resolved) -> Iterator[Diagnostic]:
    """E309 for `g[:12]` of a net of four layers, which is all of it, as `g` alone would be."""
    layers = {net.name: len(net.stages) for phase in program.phases for net in phase.nets}
    for phase in resolved.phases():
        entries = phase.namespace.entries
        for entry in entries.values():
            if entry.name not in program.used or entry.span.source is not resolved.module.source:
                continue
            text = entry.value.span.text
            if "[" not in text or ":" not in text:
                continue
            for node in walk(entry.value):
                match node:
                    case tree.Index(tree.Name(net), (tree.Slice(_, stop),)) if net in layers:
                        end = _number(stop, entries)
                        if end is not None and end > layers[net]:
                            message = f"the slice ends after layer {end:g}, and `{net}` has "
                            hint = f"take {layers[net]} layers or fewer, or `{net}` itself"
                            yield Diagnostic("E309", f"{message}{layers[net]}", node.span,
                                             hint=hint)  # fmt: skip


def _number(node: tree.Node | None, entries: Mapping[str, Entry]) -> float | None:
    """A number as written, or that of a param."""
    if isinstance(node, tree.Name) and node.name in entries:
        node = entries[node.name].value
    return node.value if isinstance(node, tree.Number) else None
