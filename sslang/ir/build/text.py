"""The resolved spec as text: one flat file, the part of the standard library it uses inlined.

Declarations are a set, so the text has an order of its own: by kind, and what a declaration needs
before it. Specs that differ in order alone, or in what nothing reaches, have one resolved text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sslang.diagnostics import Diagnostic, Label
from sslang.model.recipe import FIELDS
from sslang.model.resolve import FIRST_PHASE, Entry, Resolved
from sslang.ops import PRIMITIVES
from sslang.syntax import tree
from sslang.syntax.formatter import laid_out
from sslang.syntax.printer import show
from sslang.syntax.rename import free_names, renamed

# The sections of the text, a blank line between them.
_SECTIONS = {
    "param": 0, "view": 1, "encoder": 2, "head": 2, "weight": 2, "branch": 2, "queue": 3,
    "bank": 3, "state": 3, "binding": 4,
}  # fmt: skip
_STATES, _RESULTS, _RECIPE, _PHASES = 3, 5, 6, 7

Reached = Sequence[tuple[Resolved, Sequence[Entry]]]


def resolved_text(resolved: Resolved, reached: Reached) -> str:
    """A spec that means the same without recipes, overrides or the standard library.

    `reached` holds, for each phase, every declaration reached, each after those it needs.
    """
    method = resolved.module.method
    names = _apart([entry for _, entries in reached for entry in entries])
    shared: dict[tuple[int, str], Entry] = {}
    blocks: list[str] = []
    for phase, entries in reached:
        own = []
        for entry in entries:
            if entry.home is None and entry.name in phase.own:
                own.append(entry)
            else:
                shared.setdefault((id(entry.home), entry.name), entry)
        if phase.phase != FIRST_PHASE:
            writes = phase.phase_blocks[phase.phase].writes
            sections = _sections(own, writes, names)
            sections.append([show(e.value) for e in own if e.kind == "fn"])
            body = "\n\n".join("\n".join(lines) for lines in sections if lines)
            blocks.append(f"phase {phase.phase} {{\n{body}\n}}")
    top = {entry.name for entry in shared.values() if entry.home is None}
    writes = [w for w in resolved.module.writes if w.target.name in top]
    sections = [*_sections(list(shared.values()), writes, names), *([block] for block in blocks)]
    functions = sorted((e for e in shared.values() if e.kind == "fn"), key=lambda e: e.name)
    parts = [show(method) if method is not None else 'method "?"']
    parts += ["\n".join(section) for section in sections if section]
    parts += [show(_named(entry, names).value) for entry in functions]
    parts += [show(assume) for assume in resolved.assumes]
    return laid_out("\n\n".join(parts) + "\n")


def _sections(
    entries: Sequence[Entry], writes: Sequence[tree.Write], names: Names
) -> list[list[str]]:
    """Lines of declarations by their kind, then results, then fields of the recipe."""
    sections: list[list[str]] = [[] for _ in range(_PHASES)]
    for entry in entries:
        if entry.kind != "fn" and entry.name not in FIELDS:
            sections[_section(entry)].append(_declaration(_named(entry, names)))
    ordered = sorted(writes, key=lambda write: write.target.name)
    sections[_STATES] += [show(write) for write in ordered]
    by_name = {entry.name: entry for entry in entries if entry.home is None}
    sections[_RECIPE] = [_declaration(by_name[n]) for n in FIELDS if n in by_name]
    return sections


Names = Mapping[int, Mapping[str, str]]  # of each file's namespace: names that must differ


def _apart(touched: Sequence[Entry]) -> Names:
    """Names for entries of other files, where the spec or a third file has theirs."""
    taken = {entry.name for entry in touched if entry.home is None}
    names: dict[int, dict[str, str]] = {}
    others = {(id(e.home), e.name): e for e in touched if e.home is not None}
    for entry in sorted(others.values(), key=lambda e: e.name):
        name, number = entry.name, 1
        while name in taken:
            number += 1
            name = f"{entry.name}_{number}"
        taken.add(name)
        names.setdefault(id(entry.home), {})[entry.name] = name
    return names


def _named(entry: Entry, names: Names) -> Entry:
    return entry if entry.home is None else _renamed(entry, names[id(entry.home)])


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
