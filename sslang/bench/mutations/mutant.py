"""A mutant: a spec with one thing in it changed, and the parts of a spec where that can be done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sslang.diagnostics import Source, Span
from sslang.syntax import tree
from sslang.syntax.parser import parse

DEFAULT = "default"


@dataclass(frozen=True)
class Edit:
    """New text in the place of the characters [start, end)."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Change:
    """What an operator does at one place: the statement it is in, and its edits."""

    statement: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Mutant:
    """A changed spec. `place` names the statement, and which of the places in it, if several."""

    operator: str
    spec: str
    place: str
    line: int
    before: str  # the line that changed, and what became of it
    after: str
    text: str

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.operator, self.spec, self.place)


@dataclass(frozen=True)
class Spot:
    """A node of a statement, under the nodes that hold it (outermost first)."""

    statement: str
    node: tree.Node
    above: tuple[tree.Node, ...]

    @property
    def bound(self) -> set[str]:
        """The names that generators and families give a meaning to here."""
        found: set[str] = set()
        for node in self.above:
            for child in node.children():
                if isinstance(child, tree.Generator | tree.Over):
                    found.add(child.name)
                if isinstance(child, tree.Target):
                    found |= {i.name for i in child.items if isinstance(i, tree.Over)}
        return found


@dataclass(frozen=True)
class Body:
    """A spec taken apart."""

    source: Source
    file: tree.File

    @property
    def text(self) -> str:
        return self.source.text

    @cached_property
    def statements(self) -> list[tuple[str, tree.Node]]:
        """The statements of the file and its phases, each with its name; no recipes."""
        found: list[tuple[str, tree.Node]] = []
        for statement in self.file.statements:
            if isinstance(statement, tree.Phase):
                inner = statement.body.statements
                found += [(f"{statement.name}.{named(s)}", s) for s in inner]
            elif not isinstance(statement, tree.Recipe):
                found.append((named(statement), statement))
        return found

    @cached_property
    def recipes(self) -> list[tuple[str, tree.Node]]:
        """The bindings of every recipe, and of the phases inside recipes."""
        found: list[tuple[str, tree.Node]] = []
        for recipe in self.file.statements:
            if not isinstance(recipe, tree.Recipe):
                continue
            for statement in recipe.body.statements:
                at = f"recipe {recipe.name}.{named(statement)}"
                if isinstance(statement, tree.Nested):
                    found += [(f"{at}.{named(s)}", s) for s in statement.body.statements]
                else:
                    found.append((at, statement))
        return found

    @cached_property
    def default(self) -> list[tuple[str, tree.Node]]:
        """The bindings of the recipe that is run where none is named."""
        return [(n, s) for n, s in self.recipes if n.startswith(f"recipe {DEFAULT}.")]

    @cached_property
    def spots(self) -> list[Spot]:
        """Every node of the file's statements and the default recipe's."""
        return [s for n, node in self.statements + self.default for s in walk(n, node, ())]

    @cached_property
    def spots_of_recipes(self) -> list[Spot]:
        """Every node, those of all recipes with them."""
        return [s for n, node in self.statements + self.recipes for s in walk(n, node, ())]

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Declared names with their kinds; an average's is `average`."""
        found: dict[str, str] = {}
        for _, node in self.statements:
            if isinstance(node, tree.Declaration):
                kind = "average" if average_of(node.value) is not None else node.kind
                found |= {t.name: kind for t in node.targets}
        return found

    def names(self, *kinds: str) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind in kinds]

    def around(self, node: tree.Binary | tree.With, sign: str) -> tuple[str, str]:
        """The texts left and right of the sign of `node`, brackets with them."""
        left = node.left if isinstance(node, tree.Binary) else node.value
        at = self.text.index(sign, left.span.end)
        last = node.span.end
        return self.text[node.span.start : at].rstrip(), self.text[at + len(sign) : last].strip()


def body(source: Source) -> Body:
    """A spec without errors, taken apart."""
    file, found = parse(source)
    assert not found, found[0]
    return Body(source, file)


def named(statement: tree.Node) -> str:
    """The name that a statement gives a meaning to; `<- name` for a write."""
    match statement:
        case tree.Declaration(_, targets, _):
            return targets[0].name
        case tree.Binding(target, _):
            return target.name
        case tree.Write(target, _):
            return f"<- {target.name}"
        case tree.Function(name) | tree.Assume(name) | tree.Nested(name):
            return name
        case tree.Method():
            return "method"
    return type(statement).__name__.lower()


def walk(statement: str, node: tree.Node, above: tuple[tree.Node, ...]) -> Iterator[Spot]:
    """The node and all below it, outer nodes first."""
    yield Spot(statement, node, above)
    for child in node.children():
        yield from walk(statement, child, (*above, node))


def average_of(value: tree.Node) -> tree.Node | None:
    """The net that `ema(net, ...)` follows, `with (...)` or not; None for anything else."""
    inner = value.value if isinstance(value, tree.With) else value
    match inner:
        case tree.Call(tree.Name("ema"), (first, *_)):
            return first.value
    return None


def line_removed(source: Source, span: Span) -> Edit:
    """A statement taken away, with the rest of its line (its comment, and its end)."""
    end = source.text.find("\n", span.end)
    return Edit(span.start, len(source.text) if end < 0 else end + 1, "")


def edited(text: str, edits: tuple[Edit, ...]) -> str:
    """The text after all edits, which do not overlap."""
    for edit in sorted(edits, key=lambda e: e.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def changes_text(source: Source, change: Change) -> bool:
    """Whether a change is one: 1 - 0.5 for 0.5 is none."""
    return edited(source.text, change.edits) != source.text


def mutant(operator: str, spec: str, place: str, source: Source, change: Change) -> Mutant:
    """The spec with the change made, and the lines that tell of it."""
    text = edited(source.text, change.edits)
    first = min(e.start for e in change.edits)
    line = source.position(first)[0]
    start = source.text.rfind("\n", 0, first) + 1
    last = max(e.end for e in change.edits)
    end = source.text.find("\n", max(first, last - 1))
    grown = len(text) - len(source.text)
    end = len(source.text) if end < 0 else end
    before, after = source.text[start:end], text[start : end + grown]
    return Mutant(operator, spec, place, line, _short(before), _short(after), text)


def _short(text: str, limit: int = 120) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= limit else joined[: limit - 3] + "..."
