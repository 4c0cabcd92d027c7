"""Values that a recipe sets and that nothing reads under it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.diagnostics import Diagnostic, Label, Span
from sslang.model.recipe import FIELDS
from sslang.model.resolve import Module
from sslang.syntax import tree
from sslang.syntax.rename import free_names


def dead_values(module: Module, used: Mapping[str | None, frozenset[str]]) -> Iterator[Diagnostic]:
    """E214 for a name that a recipe sets, and whose readers the same recipe replaces.

    `used` are the names of the file that each recipe reaches. A name that a recipe based on this
    one reads is not dead.
    """
    for name, recipe in module.recipes.items():
        bound = {s.target.name: s for s in recipe.body.statements if isinstance(s, tree.Binding)}
        readers = _replaced_readers(module, bound)
        for dead, statement in bound.items():
            if dead in (*FIELDS, "loss", "features") or dead not in module.namespace.entries:
                continue
            reader = None if dead in used[name] else readers.get(dead)
            if reader is not None and not _is_read_by_an_heir(module, name, dead, used):
                yield _dead(name, statement, reader)


def _is_read_by_an_heir(
    module: Module, name: str, dead: str, used: Mapping[str | None, frozenset[str]]
) -> bool:
    return any(dead in used[other] and name in _bases(module, other) for other in module.recipes)


def _bases(module: Module, name: str) -> set[str]:
    """The recipe itself and those of the file that it is based on."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        at = waiting.pop()
        recipe = module.recipes.get(at)
        if at not in found and recipe is not None:
            found.add(at)
            waiting.extend(recipe.bases)
    return found


def _replaced_readers(module: Module, bound: Mapping[str, tree.Binding]) -> dict[str, tree.Binding]:
    """By name, what the recipe gives a new value that does not read it, as the old one did."""
    found: dict[str, tree.Binding] = {}
    for name, statement in bound.items():
        entry = module.namespace.entries.get(name)
        if entry is not None:
            for read in free_names(entry.value) - free_names(statement.value) - {name}:
                found.setdefault(read, statement)
    return found


def _dead(recipe: str, statement: tree.Binding, reader: tree.Binding) -> Diagnostic:
    name, other = statement.target.name, reader.target.name
    message = f"`{name}` is set here, and nothing reads it under the recipe `{recipe}`"
    span: Span = statement.target.span
    label = Label(reader.target.span, f"this replaces `{other}`, which read it")
    return Diagnostic("E214", message, span, (label,),
                      f"take it away, or let `{other}` read it")  # fmt: skip
