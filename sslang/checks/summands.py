"""Generators and families whose variable nothing uses."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.diagnostics import Diagnostic
from sslang.model.resolve import Module
from sslang.syntax import tree


def summands(module: Module) -> Iterator[Diagnostic]:
    """E215 for `sum(f(v) for v in views for w in views if v != w)`, where f(v) knows no w, and for
    `x[v in views] = f(a)`."""
    views = {name for name, e in module.namespace.entries.items() if e.kind == "view"}
    for root in roots(module):
        for node in walk(root):
            if isinstance(node, tree.Comprehension):
                yield from _unused(node)
            elif isinstance(node, tree.Write) or (
                isinstance(node, tree.Binding) and _is_binding(module, node.target.name)
            ):
                yield from _alike(node.target, node.value, views)
    for entries in (module.namespace.entries, *(p.entries for p in module.phases.values())):
        for entry in entries.values():
            own = entry.span.source is module.source and entry.kind == "binding"
            if own and entry.target is not None:
                yield from _alike(entry.target, entry.value, views)


def _is_binding(module: Module, name: str) -> bool:
    """Whether a recipe's right side is one of a family of values, not of queues or states."""
    blocks = (module.namespace.entries, *(p.entries for p in module.phases.values()))
    return any(name in entries and entries[name].kind == "binding" for entries in blocks)


def _alike(target: tree.Target, value: tree.Node, views: set[str]) -> Iterator[Diagnostic]:
    """A family whose members are all of one view that it names.

    Where it names none, the members may be numbers, or draws, of which each has its own.
    """
    read = {n.name for n in walk(value) if isinstance(n, tree.Name)}
    for over in target.items:
        if isinstance(over, tree.Over) and over.name not in read and read & views:
            message = f"this does not use `{over.name}`: all members of `{target.name}` are "
            hint = f"let it read `{over.name}`, or write `{target.name}` without a family"
            yield Diagnostic("E215", message + "the same", value.span, hint=hint)


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
    if not used:
        return  # it counts
    for at, generator in enumerate(node.generators):
        later = [n for g in node.generators[at + 1 :] for n in walk(g.over)]
        ranges = {n.name for n in later if isinstance(n, tree.Name)}
        if generator.name not in used | ranges:
            message = f"the summand does not use `{generator.name}`: every round gives the same"
            hint = f"let it read `{generator.name}`, or take the generator away"
            yield Diagnostic("E215", message, generator.span, hint=hint)
