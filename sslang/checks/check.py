"""All findings about a program, and about a file under all of its recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sslang.checks.agreement import embeddings
from sslang.checks.averages import momenta, only_evaluated
from sslang.checks.batch import batch_facts
from sslang.checks.clocks import clocks
from sslang.checks.conditions import conditions
from sslang.checks.contrasts import contrasts
from sslang.checks.crossed import cross_entropies
from sslang.checks.dead import dead_values
from sslang.checks.epochwise import epochwise
from sslang.checks.evaluated import evaluated
from sslang.checks.frozen import frozen
from sslang.checks.gradient import cut_averages, untrained
from sslang.checks.grids import grids
from sslang.checks.growth import growth
from sslang.checks.halves import half_cosines
from sslang.checks.idle import idle_drops
from sslang.checks.indices import indices
from sslang.checks.inert import never_in_force
from sslang.checks.means import means
from sslang.checks.memories import memories
from sslang.checks.method_line import method_line
from sslang.checks.negatives import negatives
from sslang.checks.places import places
from sslang.checks.queries import queues_of_queries
from sslang.checks.rates import rates
from sslang.checks.sizes import sizes
from sslang.checks.slices import slices
from sslang.checks.summands import summands
from sslang.checks.temperature import temperatures
from sslang.checks.terms import idle_terms
from sslang.checks.unequal import unequal_rows
from sslang.diagnostics import Diagnostic, Fix, Source, Span
from sslang.diagnostics.fix import removal
from sslang.diagnostics.silence import silenced
from sslang.ir.build import Builder
from sslang.ir.program import Program
from sslang.model.overlay import resolve
from sslang.model.recipe import FIELDS
from sslang.model.resolve import STATES, Entry, Module, Resolved, load
from sslang.syntax import tree
from sslang.syntax.rename import free_names

MAX_STEPS = 60_000  # of all recipes, so that a check ends in two seconds

_OF_THE_WHOLE = (untrained, frozen)
_OF_A_PHASE = (
    cut_averages, idle_terms, embeddings, cross_entropies, contrasts, means, memories,
    conditions, grids, indices, momenta, unequal_rows, half_cosines, places,
    queues_of_queries, negatives, sizes, temperatures, rates, batch_facts, clocks, evaluated,
)  # fmt: skip


def check_program(program: Program) -> list[Diagnostic]:
    """What building found, then, where the program is whole, what the checks find."""
    found = list(program.diagnostics)
    if not any(d.is_error for d in found):
        for check in _OF_THE_WHOLE:
            found.extend(check(program))
        for phase in program.phases:
            for check in _OF_A_PHASE:
                found.extend(check(phase))
    return list(dict.fromkeys(found))


def _of_a_recipe(program: Program, resolved: Resolved) -> list[Diagnostic]:
    """`check_program`, and what takes the text, too, where the program is whole."""
    found = check_program(program)
    if not any(d.is_error for d in found):
        found += [*slices(program, resolved), *only_evaluated(program, resolved)]
    return found


def check_file(source: Source) -> list[Diagnostic]:
    """Every finding of a spec under every one of its recipes, each once, in order of the text."""
    module = load(source)
    by_recipe: dict[str | None, list[Diagnostic]] = {}
    used: dict[str | None, frozenset[str]] = {}
    programs: list[Program] = []
    recipes: list[str | None] = [*module.recipes] or [None]
    steps = 0
    builder = Builder()
    replaced = set(module.namespace.entries)
    for recipe in recipes:
        if steps > MAX_STEPS:
            break
        resolved = resolve(module, recipe)
        program = builder.program(resolved)
        programs.append(program)
        steps += resolved.work.steps
        replaced = {n for n in replaced if resolved.namespace.entries[n].layer != "spec"}
        by_recipe[recipe] = [*_of_a_recipe(program, resolved), *growth(resolved)]
        used[recipe] = program.used
    found = [*method_line(module), *_merged(by_recipe)]
    if len(by_recipe) < len(recipes):
        found.append(_left_out(module, recipes[len(by_recipe)]))
    elif not any(d.is_error for d in found):
        found.extend(idle_drops(programs))
        found.extend(_unused(module, set().union(*used.values())))
        found.extend(dead_values(module, used))
        alike = list(summands(module))
        if alike:  # of that, E447 tells what comes of it
            found = [d for d in found if d.code != "E447"]
        found.extend(alike)
        found.extend(epochwise(module))
        found.extend(never_in_force(module, replaced))
    unique = silenced(source, found)
    return sorted(unique, key=lambda d: (d.span is None, d.span.start if d.span else 0))


def _left_out(module: Module, first: str | None) -> Diagnostic:
    """E518 for the recipes from the first on that was not checked."""
    assert first is not None, "a file without recipes is checked whole"
    message = f"checking took more than {MAX_STEPS} steps: from `{first}` on, no recipe was checked"
    return Diagnostic("E518", message, module.recipes[first].span.first_line,
                      hint="each is checked when it runs, or in a file with fewer")  # fmt: skip


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


def _is_named(module: Module, name: str) -> bool:
    """Whether a recipe sets the name, or a right side that is itself unused reads it."""
    blocks = [recipe.body for recipe in module.recipes.values()]
    bodies: list[tree.Node] = [statement for block in blocks for statement in block.statements]
    bodies += [e.value for e in module.namespace.entries.values() if e.name != name]
    bodies += [e.value for phase in module.phases.values() for e in phase.entries.values()]
    bodies += [write.value for write in module.writes]
    set_here = any(isinstance(b, tree.Binding) and b.target.name == name for b in bodies)
    return set_here or any(name in free_names(body) for body in bodies)


def _unused(module: Module, used: set[str]) -> Iterator[Diagnostic]:
    for name, entry in module.namespace.entries.items():
        if name not in used and name not in ("loss", "features"):
            message = f"`{name}` is used under no recipe"
            if entry.kind in STATES and name in {w.target.name for w in module.writes}:
                message += ": it is written, and nothing reads it"
            fix = None if _is_named(module, name) else _taken_away(entry)
            hint = "take it away, or use it"
            yield Diagnostic("E207", message, entry.span, hint=hint, fix=fix)
    for phase in module.phases.values():
        for name, entry in phase.entries.items():
            if f"{phase.name}.{name}" not in used and name not in (*FIELDS, "loss", "features"):
                message = f"`{name}` of the phase `{phase.name}` is used under no recipe"
                yield Diagnostic("E207", message, entry.span, hint="take it away, or use it")
