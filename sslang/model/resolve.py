"""Names and overlays: a file, the prelude, a recipe and the command line become one namespace."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from sslang.diagnostics import Diagnostic, DiagnosticError, Fix, Label, Source, Span, nearest
from sslang.diagnostics.fix import replacement
from sslang.model.recipe import FIELDS
from sslang.ops import PRIMITIVES
from sslang.ops.signs import UNNAMED
from sslang.records import record
from sslang.std import declarations
from sslang.syntax import tree
from sslang.syntax.parser import MAX_CHARACTERS, parse, parse_part

STATES = ("queue", "bank", "state")
MAX_HINTS = 100  # names looked for among the others: who has so many unknown ones reads no more
FIRST_PHASE = "pretrain"
ENTRIES_A_STEP = 50  # copying so many takes as long as one step of evaluation
STEPS_A_PHASE = 30  # building one takes as long as so many, beside the steps of what it evaluates
_BUILT_IN = frozenset(p.name for p in PRIMITIVES.values() if not p.weak) - UNNAMED


@record(frozen=True)
class Entry:
    """One declared name: its kind, what its targets say, and the right side in force."""

    name: str
    kind: str
    value: tree.Node
    target: tree.Target | None
    home: Namespace | None = field(repr=False, compare=False)  # None: the spec under its overlays
    span: Span = field(repr=False, compare=False)
    layer: str = "spec"  # what set the value: spec, the name of a recipe, or "command line"
    declared: tree.Node | None = field(default=None, repr=False)  # the file's own right side


@dataclass(eq=False)
class Namespace:
    """The names of one file, over those of the prelude."""

    entries: dict[str, Entry] = field(default_factory=dict)
    parent: Namespace | None = None

    def find(self, name: str) -> Entry | None:
        entry = self.entries.get(name)
        if entry is None and self.parent is not None:
            return self.parent.find(name)
        return entry

    def names(self) -> set[str]:
        return set(self.entries) | (self.parent.names() if self.parent is not None else set())


@dataclass(eq=False)
class Library(Namespace):
    """The functions of the standard library, each parsed when it is first looked up."""

    places: dict[str, Span] = field(default_factory=dict)

    def find(self, name: str) -> Entry | None:
        if name in self.places and name not in self.entries:
            (function,) = parse_part(self.places[name]).statements
            assert isinstance(function, tree.Function)
            entry = Entry(name, "fn", function, None, self, function.name_span)
            self.entries[name] = entry
        return self.entries.get(name)

    def names(self) -> set[str]:
        return set(self.places)

    def functions(self) -> list[Entry]:
        """All of them, in the order of the text."""
        return [entry for name in self.places if (entry := self.find(name)) is not None]


@dataclass(eq=False)
class Phase:
    """A block of a file with a loss of its own: its names, over those of the file, and writes."""

    name: str
    entries: dict[str, Entry]
    writes: list[tree.Write]
    span: Span


@dataclass(eq=False)
class Module:
    """A file read: its method line, names, writes, phases and recipes."""

    source: Source
    method: tree.Method | None
    namespace: Namespace
    writes: list[tree.Write]
    recipes: dict[str, tree.Recipe]
    assumes: list[tree.Assume]
    diagnostics: list[Diagnostic]
    home: Namespace | None = None  # where its right sides look names up; None: the resolved spec
    phases: dict[str, Phase] = field(default_factory=dict)
    others: dict[Path, Module] = field(default_factory=dict)  # files that it uses, each read once


@dataclass(eq=False)
class Work:
    """How many steps building a spec has taken: laying over, and evaluation in all phases."""

    steps: int = 0


@dataclass(eq=False)
class Resolved:
    """One namespace after all overlays, and what led to it.

    `phase_blocks` are the file's phases after the overlays; `phases` gives a namespace for each.
    """

    module: Module
    recipe: str | None
    namespace: Namespace
    overrides: tuple[str, ...]
    diagnostics: list[Diagnostic]
    writes: list[tree.Write]
    assumes: list[tree.Assume]
    phase_blocks: dict[str, Phase] = field(default_factory=dict)
    phase: str = FIRST_PHASE
    own: frozenset[str] = frozenset()  # names that the phase itself declares or binds
    work: Work = field(default_factory=Work)  # one for all phases

    def phases(self) -> tuple[Resolved, ...]:
        """The spec as each phase sees it, in order; a top-level `loss` is the first, pretrain."""
        blocks = (
            [replace(self)] if "loss" in self.namespace.entries or not self.phase_blocks else []
        )
        for block in self.phase_blocks.values():
            self.work.steps += STEPS_A_PHASE + len(self.namespace.entries) // ENTRIES_A_STEP
            names = Namespace({**self.namespace.entries, **block.entries}, self.namespace.parent)
            seen = replace(
                self, namespace=names, writes=[*self.writes, *block.writes], phase=block.name,
                own=frozenset(block.entries),
            )  # fmt: skip
            blocks.append(seen)
        return tuple(blocks)


def read(path: Path) -> Source:
    """The text of a spec; DiagnosticError E206 or E104 where there is none.

    Pipes and devices are refused: reading them may wait for ever.
    """
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise DiagnosticError(Diagnostic("E206", f"{path}: is a pipe or a device, not a file"))
        with path.open("rb") as file:
            data = file.read(4 * MAX_CHARACTERS + 1)
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise DiagnosticError(Diagnostic("E206", f"{path}: {reason.lower()}")) from None
    except ValueError:
        raise DiagnosticError(Diagnostic("E206", f"{str(path)!r} is no path")) from None
    if len(data) > 4 * MAX_CHARACTERS:
        raise DiagnosticError(Diagnostic("E104", f"{path} is longer than 1 MB"))
    try:
        return Source(str(path), data.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text (byte {error.start})"
        raise DiagnosticError(Diagnostic("E104", message)) from None


@record(frozen=True)
class Prelude:
    """What every spec sees of the standard library: functions, and recipes to build on."""

    namespace: Library
    recipes: Mapping[str, tree.Recipe]


@cache
def prelude() -> Prelude:
    """The standard library, read once a process."""
    library, recipes = Library(), {}
    for kind, name, span in declarations():
        if kind == "fn":
            library.places[name] = span
            continue
        (recipe,) = parse_part(span).statements
        assert isinstance(recipe, tree.Recipe)
        recipes[name] = recipe
    return Prelude(library, recipes)


def load(source: Source) -> Module:
    """Read the declarations of a spec; findings are in its `diagnostics`."""
    file, diagnostics = parse(source)
    module = Module(source, None, Namespace(parent=prelude().namespace), [], {}, [], diagnostics)
    _declare(file, module)
    _phases_hide(module)
    if module.method is None and not diagnostics:
        span = Span(source, 0, min(1, len(source.text)))
        module.diagnostics.append(
            Diagnostic("E209", "the spec has no `method` line", span,
                       hint='begin with `method "Name" (paper = "...")`')
        )  # fmt: skip
    return module


def _declare(file: tree.File, module: Module) -> None:
    for statement in file.statements:
        match statement:
            case tree.Method() if module.method is None:
                module.method = statement
            case tree.Declaration(kind, targets, value):
                for target in targets:
                    _add(module, Entry(target.name, kind, value, target, module.home, target.span))
            case tree.Binding(target, value):
                entry = Entry(target.name, "binding", value, target, module.home, target.span)
                _add(module, entry)
            case tree.Function(name):
                span = statement.name_span
                _add(module, Entry(name, "fn", statement, None, module.home, span))
                _names_in(statement, module)
            case tree.Write():
                module.writes.append(statement)
            case tree.Recipe(name):
                if name in module.recipes:
                    first = module.recipes[name].span.first_line
                    _twice(module, name, statement.span.first_line, first)
                module.recipes[name] = statement
            case tree.Use():
                _use(statement, module)
            case tree.Assume():
                module.assumes.append(statement)
            case tree.Phase():
                _phase(module, statement)
            case _:
                message, span = "this statement cannot stand here", statement.span.first_line
                hint = _BEGINNINGS.get(type(statement), "")
                module.diagnostics.append(Diagnostic("E101", message, span, hint=hint))


# What a statement that stands where it cannot belongs to.
_BEGINNINGS: dict[type, str] = {
    tree.Nested: "a recipe is written `recipe name : laptop { ... }`, a phase `phase name { ... }`",
    tree.Return: "`return` ends a function: `fn name(x) { ... }`",
}


def _names_in(function: tree.Function, module: Module) -> None:
    """E202 for what a function names twice, E303 for a second `return`."""
    named = [(p.name, p.span) for p in function.parameters]
    statements = function.body.statements if isinstance(function.body, tree.Block) else ()
    for statement in statements:
        if isinstance(statement, tree.Binding):
            named.append((statement.target.name, statement.target.span))
        elif isinstance(statement, tree.Declaration):
            named.extend((target.name, target.span) for target in statement.targets)
    first: dict[str, Span] = {}
    for name, span in named:
        if name in first:
            label = Label(first[name], "first named here")
            message = f"`{function.name}` names `{name}` twice"
            hint = "a name has one value; a second step has a name of its own"
            module.diagnostics.append(Diagnostic("E202", message, span, (label,), hint))
        first.setdefault(name, span)
    returns = [s.span.first_line for s in statements if isinstance(s, tree.Return)]
    if len(returns) > 1:
        label = Label(returns[0], "the first of them")
        message = f"`{function.name}` returns twice"
        hint = "a choice is an expression: `return a if n > 1 else b`"
        module.diagnostics.append(Diagnostic("E303", message, returns[1], (label,), hint))


def _phase(module: Module, statement: tree.Phase) -> None:
    """Read the block of a phase; it may give `loss`, `features` and fields of the recipe anew."""
    span = statement.span.first_line
    if statement.name in module.phases or statement.name == FIRST_PHASE:
        first = module.phases.get(statement.name)
        _twice(module, statement.name, span, span if first is None else first.span)
        return
    block = Module(module.source, None, Namespace(parent=module.namespace.parent), [], {}, [], [])
    block.home = module.home
    allowed = (tree.Declaration, tree.Binding, tree.Function, tree.Write)
    for inner in statement.body.statements:
        if not isinstance(inner, allowed):
            message = "this statement cannot stand in a phase"
            module.diagnostics.append(Diagnostic("E101", message, inner.span.first_line))
    kept = tuple(s for s in statement.body.statements if isinstance(s, allowed))
    _declare(tree.File(kept, span=statement.span), block)
    module.diagnostics.extend(block.diagnostics)
    module.phases[statement.name] = Phase(
        statement.name, block.namespace.entries, block.writes, span
    )


def _phases_hide(module: Module) -> None:
    """E202 where a phase declares a name that the file has, other than loss, features, fields."""
    for phase in module.phases.values():
        for name, entry in phase.entries.items():
            above = module.namespace.entries.get(name)
            if above is not None and name not in (*FIELDS, "loss", "features"):
                _twice(module, name, entry.span, above.span)


def _add(module: Module, entry: Entry) -> None:
    old = module.namespace.entries.get(entry.name)
    if old is not None:
        _twice(module, entry.name, entry.span, old.span, entry)
        return
    parent = module.namespace.parent
    hidden = parent.find(entry.name) if parent is not None else None
    if hidden is not None and hidden.value != entry.value:
        message = f"`{entry.name}` takes the place of the prelude's `{entry.name}`"
        label = Label(hidden.span, "the prelude's")
        module.diagnostics.append(Diagnostic("E208", message, entry.span, (label,)))
    elif hidden is None and parent is not None and entry.name in _BUILT_IN:
        message = f"`{entry.name}` takes the place of the primitive `{entry.name}`"
        module.diagnostics.append(Diagnostic("E208", message, entry.span))
    module.namespace.entries[entry.name] = entry


def _twice(module: Module, name: str, span: Span, first: Span, second: Entry | None = None) -> None:
    label = Label(first, "first declared here")
    old = module.namespace.entries.get(name)
    hint, fix = "", None
    if old is not None and old.kind in STATES:
        index = "[index]" if old.kind == "bank" else ""
        hint = f"a {old.kind} is written after the step by `{name}{index} <- ...`"
        fix = _as_write(second) if second is not None and second.kind == "binding" else None
    if old is not None and old.kind == "param":
        hint = f"another value is a recipe's: `recipe other : laptop {{ {name} = ... }}`"
    message = f"`{name}` is declared twice"
    module.diagnostics.append(Diagnostic("E202", message, span, (label,), hint, fix))


def _as_write(binding: Entry) -> Fix | None:
    """`c <- ...` for `c = ...`."""
    source, start = binding.span.source, binding.span.end
    between = source.text[start : binding.value.span.start]
    if between.strip(" (") != "=":
        return None
    at = start + between.index("=")
    return replacement(Span(source, at, at + 1), "<-")


def _use(statement: tree.Use, module: Module) -> None:
    """Take names from a file that lies beside this one."""
    beside = Path(module.source.name).parent
    path = Path(statement.file)
    if path.is_absolute() or ".." in path.parts or path.name == Path(module.source.name).name:
        message = "`use` takes a file that lies beside the spec"
        module.diagnostics.append(Diagnostic("E206", message, statement.span))
        return
    try:
        other = module.others.get(path) or _read_other(beside / path, module)
    except DiagnosticError as error:
        found = error.diagnostics[0]
        module.diagnostics.append(Diagnostic(found.code, found.message, statement.span))
        return
    module.others[path] = other
    for name in statement.names:
        entry = other.namespace.entries.get(name)
        if entry is None:
            few = len(module.diagnostics) < MAX_HINTS
            hint = nearest(name, other.namespace.entries) if few else ""
            message = f"{statement.file} declares no `{name}`"
            module.diagnostics.append(Diagnostic("E201", message, statement.span, hint=hint))
        else:
            _add(module, replace(entry, span=statement.span))


def _read_other(path: Path, module: Module) -> Module:
    """A file that `module` uses; its findings are added to those of the module."""
    source = read(path)
    file, diagnostics = parse(source)
    other = Module(source, None, Namespace(parent=prelude().namespace), [], {}, [], diagnostics)
    other.home = other.namespace
    for nested in (s for s in file.statements if isinstance(s, tree.Use)):
        message = "`use` in a file that is itself used is not compiled by this version"
        diagnostics.append(Diagnostic("E210", message, nested.span))
    own = tuple(s for s in file.statements if not isinstance(s, tree.Use))
    _declare(tree.File(own, span=file.span), other)
    module.diagnostics.extend(other.diagnostics)
    return other
