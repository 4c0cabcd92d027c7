"""Overlays: a recipe's bases, the recipe and the command line, laid over the names of a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sslang.diagnostics import Diagnostic, Label, Span, meant, nearest
from sslang.model.habits import field_hint
from sslang.model.recipe import FIELDS
from sslang.model.resolve import (
    ENTRIES_A_STEP,
    MAX_HINTS,
    Entry,
    Module,
    Namespace,
    Resolved,
    prelude,
)
from sslang.syntax import tree

MAX_BASES = 30


def resolve(
    module: Module, recipe: str | None = None, overrides: Sequence[tree.Binding | tree.Nested] = ()
) -> Resolved:
    """Lay the recipe (`default` if none is named and there is one), then the overrides, over."""
    result = file_alone(module, tuple(o.span.text for o in overrides))
    name = recipe if recipe is not None else ("default" if "default" in module.recipes else None)
    if name is not None:
        result.recipe = name
        chain = _linear(module, name, result.diagnostics)
        for layer, own in chain:
            _overlay(result, layer.body.statements, layer.name, own, result.namespace.entries)
    _override(result, overrides)
    return result


def file_alone(module: Module, overrides: tuple[str, ...] = ()) -> Resolved:
    """What the file declares, before any recipe."""
    entries = dict(module.namespace.entries)
    namespace = Namespace(entries, module.namespace.parent)
    blocks = {n: replace(p, entries=dict(p.entries)) for n, p in module.phases.items()}
    result = Resolved(
        module, None, namespace, overrides, [], list(module.writes), list(module.assumes), blocks
    )
    result.work.steps += len(entries) // ENTRIES_A_STEP
    return result


def _linear(module: Module, name: str, found: list[Diagnostic]) -> list[tuple[tree.Recipe, bool]]:
    """The recipe's bases, deepest first, then itself; each with whether the spec declares it."""
    order: dict[int, tuple[tree.Recipe, bool]] = {}
    visited: set[tuple[str, bool]] = set()

    def visit(wanted: str, path: tuple[str, ...], heir: tree.Recipe | None) -> None:
        if len(path) > MAX_BASES:
            message = f"recipes are based on each other more than {MAX_BASES} deep"
            found.append(Diagnostic("E311", message, _base(heir, wanted)))
            return
        if (wanted, wanted in path) in visited:
            return
        visited.add((wanted, wanted in path))
        own = module.recipes.get(wanted) if wanted not in path else None
        node = own or prelude().recipes.get(wanted)
        if wanted in path and own is None and node is None:
            message = f"the recipes {' -> '.join((*path, wanted))} are based on each other"
            found.append(Diagnostic("E203", message, _base(heir, wanted)))
            return
        if node is None:
            known = set(module.recipes) | set(prelude().recipes)
            hint = nearest(wanted, known) or _list(known)
            message, span = f"there is no recipe `{wanted}`", _base(heir, wanted)
            found.append(Diagnostic("E204", message, span, hint=hint))
            return
        for base in node.bases:
            visit(base, (*path, wanted), node)
        order.setdefault(id(node), (node, own is not None))

    visit(name, (), None)
    return list(order.values())


def _base(heir: tree.Recipe | None, base: str) -> Span | None:
    """Where a recipe names one that it is based on."""
    if heir is None:
        return None
    line = heir.span.first_line
    found = re.search(rf":[^{{]*?\b({base})\b", line.text)
    if found is None:
        return line
    return Span(line.source, line.start + found.start(1), line.start + found.end(1))


def _list(names: Iterable[str]) -> str:
    return "there are: " + ", ".join(f"`{n}`" for n in sorted(names))


def _overlay(
    result: Resolved,
    statements: Iterable[tree.Node],
    layer: str,
    own: bool,
    entries: dict[str, Entry],
) -> None:
    """Lay statements of a recipe over `entries`: those of the file, or of one of its phases."""
    seen: dict[str, Span] = {}
    for statement in statements:
        result.work.steps += 1
        if isinstance(statement, tree.Nested) and entries is result.namespace.entries:
            _overlay_phase(result, statement, layer, own)
            continue
        if isinstance(statement, tree.Assume):
            result.assumes.append(statement)
            continue
        if not isinstance(statement, tree.Binding):
            message = "a recipe holds `name = expression`"
            result.diagnostics.append(Diagnostic("E101", message, statement.span))
            continue
        name = statement.target.name
        if name in seen:
            label = Label(seen[name], "first bound here")
            message = f"`{name}` is bound twice in recipe `{layer}`"
            result.diagnostics.append(Diagnostic("E202", message, statement.target.span, (label,)))
        seen[name] = statement.target.span
        old = entries.get(name)
        if old is None and name not in FIELDS:
            if own:
                known = [*entries, *FIELDS] if len(result.diagnostics) < MAX_HINTS else []
                message = f"recipe `{layer}` binds `{name}`, which the spec does not declare"
                result.diagnostics.append(
                    Diagnostic(
                        "E205",
                        message,
                        statement.target.span,
                        hint=field_hint(name) or nearest(name, known) or _declare(name),
                        fix=None if field_hint(name) else meant(name, known, statement.target.span),
                    )
                )
            continue
        _replace(result, name, statement, layer, entries)


def _declare(name: str) -> str:
    return f"a recipe sets what the spec has: declare `param {name} = ...` there, and read it"


def _overlay_phase(result: Resolved, nested: tree.Nested, layer: str, own: bool) -> None:
    block = result.phase_blocks.get(nested.name)
    if block is not None:
        _overlay(result, nested.body.statements, layer, own, block.entries)
    elif own:
        message = f"the spec has no phase `{nested.name}`"
        hint = nearest(nested.name, result.phase_blocks) or "fields of a recipe are `name = ...`"
        span = nested.span.first_line
        result.diagnostics.append(Diagnostic("E205", message, span, hint=hint))


def _replace(
    result: Resolved, name: str, statement: tree.Binding, layer: str, entries: dict[str, Entry]
) -> None:
    old = entries.get(name)
    if old is None:
        entries[name] = Entry(
            name, "binding", statement.value, statement.target, None, statement.target.span, layer
        )
        return
    if old.kind == "fn":
        message = f"`{name}` is a function; an overlay replaces values"
        result.diagnostics.append(Diagnostic("E211", message, statement.target.span))
        return
    if bool(statement.target.items) and (old.target is None or not old.target.items):
        message = f"`{name}` is not a family in the spec"
        result.diagnostics.append(Diagnostic("E211", message, statement.target.span))
        return
    changed = replace(
        old, value=statement.value, layer=layer, span=statement.target.span,
        declared=old.declared or old.value,
    )  # fmt: skip
    if statement.target.items:
        changed = replace(changed, target=statement.target)
    entries[name] = changed


def _override(result: Resolved, overrides: Sequence[tree.Binding | tree.Nested]) -> None:
    entries = result.namespace.entries
    for override in overrides:
        if isinstance(override, tree.Nested):
            _overlay_phase(result, override, "command line", True)
            continue
        name = override.target.name
        if name not in entries and name not in FIELDS:
            hint = field_hint(name) or nearest(name, [*entries, *FIELDS])
            message = f"the spec declares no `{name}`"
            result.diagnostics.append(Diagnostic("E205", message, override.target.span, hint=hint))
            continue
        _replace(result, name, override, "command line", entries)
