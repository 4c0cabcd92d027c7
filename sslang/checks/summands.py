"""Generators whose variable the summand does not use."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.diagnostics import Diagnostic
from sslang.model.resolve import Module
from sslang.syntax import tree


def summands(module: Module) -> Iterator[Diagnostic]:
    """E215 for `sum(f(v) for v in views for w in views if v != w)`, where f(v) knows no w."""
    for root in roots(module):
        for node in walk(root):
            if isinstance(node, tree.Comprehension):
                yield from _unused(node)


def roots(module: Module) -> Iterator[tree.Node]:
    """The trees of the author's file, each once: names declared together have one right side."""
    seen: set[int] = set()
    entries = [*module.namespace.entries.values()]
    for phase in module.phases.values():
        entries.extend(phase.entries.values())
        yield from phase.writes
    yield from module.writes
    yield from (recipe.body for recipe in module.recipes.values())
    for entry in entries:
        if entry.span.source is module.source and id(entry.value) not in seen:
            seen.add(id(entry.value))
            yield entry.value


def walk(root: tree.Node) -> Iterator[tree.Node]:
    """The node and all below it."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.children())


def _unused(node: tree.Comprehension) -> Iterator[Diagnostic]:
    used = {n.name for n in walk(node.value) if isinstance(n, tree.Name)}
    for at, generator in enumerate(node.generators):
        later = [n for g in node.generators[at + 1 :] for n in walk(g.over)]
        ranges = {n.name for n in later if isinstance(n, tree.Name)}
        if generator.name not in used | ranges:
            message = f"the summand does not use `{generator.name}`: every round gives the same"
            hint = f"let it read `{generator.name}`, or take the generator away"
            yield Diagnostic("E215", message, generator.span, hint=hint)
