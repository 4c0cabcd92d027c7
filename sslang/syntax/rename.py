"""Free names of a piece of the tree, and their renaming; what a function binds stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from typing import Any

from sslang.syntax import tree


def renamed(node: tree.Node, names: Mapping[str, str]) -> tree.Node:
    """The same tree with the free names in `names` spelled as it says."""
    changed = {old: new for old, new in names.items() if old != new}
    result: tree.Node = _walk(node, changed, set()) if changed else node
    return result


def free_names(node: tree.Node) -> set[str]:
    """The names that a piece of the tree takes from around it, words such as `bicubic` included."""
    found: set[str] = set()
    _walk(node, {}, found)
    return found


def _walk(
    node: Any, names: Mapping[str, str], found: set[str], bound: frozenset[str] = frozenset()
) -> Any:
    if isinstance(node, tuple):
        items = tuple(_walk(item, names, found, bound) for item in node)
        return items if any(a is not b for a, b in zip(items, node, strict=True)) else node
    if not isinstance(node, tree.Node):
        return node
    if isinstance(node, tree.Name):
        if node.name in bound:
            return node
        found.add(node.name)
        return replace(node, name=names[node.name]) if node.name in names else node
    if own := _binds(node):
        bound = bound | own
    changed = {}
    kind: Any = type(node)
    for key in _parts(kind):
        value = getattr(node, key)
        if isinstance(value, tree.Node | tuple):
            made = _walk(value, names, found, bound)
            if made is not value:
                changed[key] = made
    return replace(node, **changed) if changed else node


@cache
def _parts(kind: type[tree.Node]) -> tuple[str, ...]:
    """The fields of a kind of node that can hold nodes."""
    return tuple(f.name for f in fields(kind) if f.name != "span")


def _binds(node: tree.Node) -> set[str]:
    """The names that a node gives a meaning to inside itself."""
    match node:
        case tree.Function(_, parameters, body):
            own = {p.name for p in parameters}
            own |= {
                name for p in parameters if p.pattern is not None for name in _capitals(p.pattern)
            }
            if isinstance(body, tree.Block):
                own |= {s.target.name for s in body.statements if isinstance(s, tree.Binding)}
            return own
        case tree.Comprehension(_, generators, _):
            return {generator.name for generator in generators}
        case tree.Binding(target, _) | tree.Declaration(_, (target,), _):
            return {item.name for item in target.items if isinstance(item, tree.Over)}
    return set()


def _capitals(pattern: tree.Pattern) -> set[str]:
    members = () if pattern.members is None else (pattern.members,)
    return {d.name for d in (*pattern.dims, *members) if isinstance(d, tree.Name)}
