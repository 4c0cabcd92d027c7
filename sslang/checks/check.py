"""All findings about a program, and about a file under all of its recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sslang.checks.batch import batch_facts
from sslang.checks.collapse import collapse
from sslang.checks.gradient import gradient_flow
from sslang.diagnostics import Diagnostic, Fix, Source, Span
from sslang.diagnostics.fix import removal
from sslang.diagnostics.silence import silenced
from sslang.ir.build import build
from sslang.ir.program import Program
from sslang.model.overlay import resolve
from sslang.model.recipe import FIELDS
from sslang.model.resolve import Entry, Module, load

_CHECKS = (gradient_flow, collapse, batch_facts)


def check_program(program: Program) -> list[Diagnostic]:
    """What building found, then, where the program is whole, what the checks find."""
    found = list(program.diagnostics)
    if not any(d.is_error for d in found):
        for phase in program.phases:
            for check in _CHECKS:
                found.extend(check(phase))
    return list(dict.fromkeys(found))


def check_file(source: Source) -> list[Diagnostic]:
    """Every finding of a spec under every one of its recipes, each once, in order of the text."""
    module = load(source)
    by_recipe: dict[str | None, list[Diagnostic]] = {}
    used: set[str] = set()
    recipes: list[str | None] = [*module.recipes] or [None]
    for recipe in recipes:
        program = build(resolve(module, recipe))
        by_recipe[recipe] = check_program(program)
        used |= program.used
    found = _merged(by_recipe)
    if not any(d.is_error for d in found):
        found.extend(_unused(module, used))
    unique = silenced(source, found)
    return sorted(unique, key=lambda d: (d.span is None, d.span.start if d.span else 0))


def _merged(by_recipe: Mapping[str | None, list[Diagnostic]]) -> list[Diagnostic]:
    """Each finding once: of those with one code at one place, the first recipe's words stand."""
    first: dict[object, Diagnostic] = {}
    under: dict[object, dict[str, None]] = {}
    for recipe, found in by_recipe.items():
        for diagnostic in found:
            key = (diagnostic.code, diagnostic.span or diagnostic.message)
            first.setdefault(key, diagnostic)
            under.setdefault(key, {})[recipe or ""] = None
    everywhere = len(by_recipe)
    return [
        replace(d, recipes=tuple(under[key])) if len(under[key]) < everywhere else d
        for key, d in first.items()
    ]


def _taken_away(entry: Entry) -> Fix | None:
    """The removal of a statement that declares this name alone and that nothing else is about."""
    if entry.kind == "fn":
        return removal(entry.value.span)
    text = entry.span.source.text
    start = text.rfind("\n", 0, entry.span.start) + 1
    between = text[entry.span.end : entry.value.span.start]
    alone = text[start : entry.span.start].strip() in ("", "param") and between.strip() == "="
    if not alone or entry.kind not in ("param", "binding"):
        return None
    return removal(Span(entry.span.source, start, entry.value.span.end))


def _unused(module: Module, used: set[str]) -> Iterator[Diagnostic]:
    for name, entry in module.namespace.entries.items():
        if name not in used and name not in ("loss", "features"):
            message = f"`{name}` is used under no recipe"
            yield Diagnostic("E207", message, entry.span, hint="take it away, or use it",
                             fix=_taken_away(entry))  # fmt: skip
    for phase in module.phases.values():
        for name, entry in phase.entries.items():
            if f"{phase.name}.{name}" not in used and name not in (*FIELDS, "loss", "features"):
                message = f"`{name}` of the phase `{phase.name}` is used under no recipe"
                yield Diagnostic("E207", message, entry.span, hint="take it away, or use it")
