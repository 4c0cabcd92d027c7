"""The resolved spec as text: one flat file, the part of the standard library it uses inlined.

Declarations are a set, so the text has an order of its own: by kind, and what a declaration needs
before it. Specs that differ in order alone, or in what nothing reaches, have one resolved text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sslang.diagnostics import Diagnostic, Label
from sslang.model.recipe import FIELDS
from sslang.model.resolve import Entry, Resolved
from sslang.ops import PRIMITIVES
from sslang.syntax import tree
from sslang.syntax.formatter import laid_out
from sslang.syntax.printer import show
from sslang.syntax.rename import free_names, renamed

# The sections of the text, a blank line between them.
_SECTIONS = {
    "param": 0, "view": 1, "encoder": 2, "head": 2, "branch": 2, "queue": 3, "binding": 4,
}  # fmt: skip
_STATES, _RESULTS, _RECIPE, _FUNCTIONS = 3, 5, 6, 7


def resolved_text(resolved: Resolved, touched: Sequence[Entry]) -> str:
    """A spec that means the same without recipes, overrides or the standard library.

    `touched` holds every declaration reached, each after those it needs.
    """
    method = resolved.module.method
    touched = _apart(touched)
    sections: list[list[str]] = [[] for _ in range(_FUNCTIONS)]
    for entry in touched:
        if entry.kind != "fn" and entry.name not in FIELDS:
            sections[_section(entry)].append(_declaration(entry))
    writes = sorted(resolved.module.writes, key=lambda write: write.target.name)
    sections[_STATES] += [show(write) for write in writes]
    by_name = {entry.name: entry for entry in touched if entry.home is None}
    sections[_RECIPE] = [_declaration(by_name[n]) for n in FIELDS if n in by_name]
    functions = sorted((e for e in touched if e.kind == "fn"), key=lambda e: e.name)
    parts = [show(method) if method is not None else 'method "?"']
    parts += ["\n".join(section) for section in sections if section]
    parts += [show(entry.value) for entry in functions]
    return laid_out("\n\n".join(parts) + "\n")


def _apart(touched: Sequence[Entry]) -> list[Entry]:
    """Entries of other files under names of their own, where the spec or a third file has those."""
    taken = {entry.name for entry in touched if entry.home is None}
    names: dict[int, dict[str, str]] = {}
    for entry in sorted((e for e in touched if e.home is not None), key=lambda e: e.name):
        name, number = entry.name, 1
        while name in taken:
            number += 1
            name = f"{entry.name}_{number}"
        taken.add(name)
        names.setdefault(id(entry.home), {})[entry.name] = name
    return [e if e.home is None else _renamed(e, names[id(e.home)]) for e in touched]


def _renamed(entry: Entry, names: Mapping[str, str]) -> Entry:
    name, value, target = names[entry.name], renamed(entry.value, names), entry.target
    if isinstance(value, tree.Function):
        value = replace(value, name=name)
    if target is not None:
        target = replace(target, name=name)
    return replace(entry, name=name, value=value, target=target)


def hidden(touched: Sequence[Entry]) -> Iterator[Diagnostic]:
    """E210 where the spec takes a primitive's name and a function of another file needs it."""
    own = {e.name: e for e in touched if e.home is None and e.name in PRIMITIVES}
    for entry in (e for e in touched if e.home is not None) if own else ():
        for name in sorted(free_names(entry.value) & set(own)):
            message = (
                f"`{name}` is a primitive that `{entry.name}` needs, so this version keeps its name"
            )
            label = Label(entry.span, "needed here")
            yield Diagnostic("E210", message, own[name].span, (label,), "take another name")


def _section(entry: Entry) -> int:
    return _RESULTS if entry.name in ("loss", "features") else _SECTIONS.get(entry.kind, _STATES)


def _declaration(entry: Entry) -> str:
    assert entry.target is not None
    target = tree.Binding(entry.target, entry.value, span=entry.span)
    return show(target) if entry.kind == "binding" else f"{entry.kind} {show(target)}"


def settings_text(resolved: Resolved, touched: Sequence[Entry]) -> dict[str, str]:
    """Every param and field of the recipe, as it is written: what MLflow records as params."""
    used = {entry.name for entry in touched if entry.home is None}
    return {
        name: show(entry.value)
        for name, entry in resolved.namespace.entries.items()
        if name in used and (entry.kind == "param" or name in FIELDS)
    }
