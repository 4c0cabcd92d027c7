"""What building a graph carries along: nodes made so far, names being evaluated, findings."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from sslang.diagnostics import Diagnostic, DiagnosticError, Fix, Label, Span, meant, nearest
from sslang.ir.build.values import Branch, BuiltNet, State, Value
from sslang.ir.graph import INPUT, LATCH, READ, WEIGHT, Graph, Node, Operand, Write
from sslang.model.resolve import MAX_HINTS, Entry, Namespace, Resolved, prelude
from sslang.records import record
from sslang.types import TensorType, Type

MAX_CALL_DEPTH = 40
MAX_LEVELS = 90
MAX_NODES = 10_000
MAX_STEPS = 50_000

# Strengths of titles: a local name of a function, the function called, a declared name.
LOCAL, CALLED, BOUND = 1, 2, 3
_NAMESAKES = frozenset((INPUT, READ, LATCH, WEIGHT))  # called after what they read

Mode = Literal["training", "evaluation", "recipe"]
Given = Mapping[str, tuple[Any, Span]]  # arguments by parameter, each with its place


@record(frozen=True)
class Scope:
    """Local names (a function's parameters and bindings, generator variables) over a namespace."""

    home: Namespace | None = None  # None: the resolved spec
    local: Mapping[str, Any] = field(default_factory=dict)

    def with_(self, **names: Any) -> Scope:
        return Scope(self.home, {**self.local, **names})


@dataclass(eq=False)
class Local:
    """A binding in a function's body, evaluated when it is first needed."""

    statement: Any
    scope: Scope | None = None
    path: str = ""
    value: Any = None
    state: Literal["new", "busy", "done"] = "new"


class Poisoned(DiagnosticError):
    """A name that failed before is needed again; the finding has been reported."""


class Together:
    """Parts of one expression, each under `with`: what is wrong with any of them is told.

    `done` raises all of it. What is too large (E311) ends the evaluation at once.
    """

    def __init__(self, first: DiagnosticError | None = None) -> None:
        self.failed = False
        self.diagnostics: dict[Diagnostic, None] = {}
        if first is not None:
            self._take(first)

    def _take(self, error: DiagnosticError) -> None:
        self.failed = True
        self.diagnostics.update(dict.fromkeys(error.diagnostics))
        if any(d.code == "E311" for d in error.diagnostics):
            self.done()

    def __enter__(self) -> Together:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> bool:
        if not isinstance(error, DiagnosticError):
            return False
        self._take(error)
        return True

    def done(self) -> None:
        """Raise what was found, if anything was."""
        if self.failed and not self.diagnostics:
            raise Poisoned
        if self.failed:
            raise DiagnosticError(*self.diagnostics)


@dataclass(eq=False)
class Context:
    resolved: Resolved
    mode: Mode
    crop: float = 0.875
    nodes: list[Node] = field(default_factory=list)
    known: dict[object, Node] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)  # taken: see `fresh`
    hints: dict[str, str] = field(default_factory=dict)
    guesses: dict[Span, tuple[str, Fix | None]] = field(default_factory=dict)  # at unknown names
    called: list[Span] = field(default_factory=list)  # where the calls at work stand
    given: list[tuple[str, Given]] = field(default_factory=list)  # of each, what and with what
    titles: dict[str, tuple[int, str]] = field(default_factory=dict)
    memo: dict[tuple[int, str], Any] = field(default_factory=dict)
    busy: list[Entry] = field(default_factory=list)
    touched: dict[tuple[int, str], Entry] = field(default_factory=dict)  # what needs follow first
    asked: set[str] = field(default_factory=set)  # names of the spec whose right sides mattered
    applied: dict[object, Any] = field(default_factory=dict)
    records: dict[str, Mapping[str, TensorType]] = field(default_factory=dict)  # of applications
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)  # masks, a member each
    drops: dict[Span, bool] = field(default_factory=dict)  # settings of `drop_path`: do they drop?
    views: dict[str, str] = field(default_factory=dict)  # those declared, as a spec names them
    nets: dict[str, BuiltNet] = field(default_factory=dict)
    branches: dict[str, Branch] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    inner_writes: dict[str, tuple[State, Write, Span]] = field(default_factory=dict)
    path: str = ""  # of what is being evaluated: the site of draws and of states in functions
    numbers: dict[str, int] = field(default_factory=dict)  # how often a path was entered
    places: dict[str, Span] = field(default_factory=dict)  # see `Program.spans`
    written: list[tuple[Any, dict[str, Span]]] = field(default_factory=list)  # words of recipes
    diagnostics: list[Diagnostic] = field(default_factory=list)
    collected: set[Diagnostic] = field(default_factory=set)
    depth: int = 0
    levels: int = 0
    calls: int = 0
    scope: str = ""

    def fail(
        self,
        code: str,
        message: str,
        span: Span | None,
        *,
        labels: Sequence[Label] = (),
        hint: str = "",
        fix: Fix | None = None,
    ) -> NoReturn:
        if span is not None and self.called and span.source is not self.called[0].source:
            labels = (*labels, Label(span, "in this function"))
            inner, call, fix = span, self._author(), None  # an edit would be of the other file
            who, span = self._argument(inner) or ("", call)
            message = f"{who}: {message}" if who else message
            if span not in self.called[0]:
                labels = (*labels, Label(self.called[0], "called here"))
            name = call.text.partition("(")[0]
            if not hint and prelude().namespace.find(name) is not None:
                hint = f"`sslang doc {name}` says what it takes"
        raise DiagnosticError(Diagnostic(code, message, span, tuple(labels), hint, fix))

    def guess(
        self, name: str, known: Callable[[], Collection[str]], span: Span
    ) -> tuple[str, Fix | None]:
        """Names that resemble an unknown one, and the one that is meant; none after MAX_HINTS.

        They are looked for once a place, however often it is reached.
        """
        if span not in self.guesses:
            names = known() if len(self.guesses) < MAX_HINTS else ()
            self.guesses[span] = (nearest(name, names), meant(name, names, span))
        return self.guesses[span]

    def _author(self) -> Span:
        """The innermost of the calls at work that stands in the author's file."""
        return [call for call in self.called if call.source is self.called[0].source][-1]

    def _argument(self, span: Span) -> tuple[str, Span] | None:
        """The author's argument for the one parameter that stands in `span`, and whose it is."""
        for name, given in reversed(self.given):
            parameters = given.keys() & set(re.findall(r"\w+", span.text))
            if len(parameters) != 1:
                return None
            parameter = parameters.pop()
            span = given[parameter][1]
            if span.source is self.called[0].source:
                return f"`{parameter}` of `{name}`", span
        return None

    def step(self, span: Span | None) -> None:
        """Count one step of evaluation; E311 where a spec would take too many."""
        work = self.resolved.work
        work.steps += 1
        if work.steps > MAX_STEPS:
            self.fail(
                "E311",
                f"building the spec takes more than {MAX_STEPS} steps",
                span,
                hint="families, generators or functions multiply each other here",
            )

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep what goes wrong inside, and go on after it."""
        try:
            yield
        except DiagnosticError as error:
            new = [d for d in error.diagnostics if d not in self.collected]
            self.collected.update(new)
            self.diagnostics.extend(new)

    @contextmanager
    def calling(self, name: str, span: Span, given: Given) -> Iterator[None]:
        if self.depth >= MAX_CALL_DEPTH:
            message = (
                f"calls are nested more than {MAX_CALL_DEPTH} deep; does `{name}` call itself?"
            )
            self.fail("E311", message, span)
        self.depth += 1
        self.called.append(span)
        self.given.append((name, given))
        if self.depth == 1:
            self.calls += 1
            self.scope = f"{name}/{self.calls}"
        before, self.path = self.path, self.site(name)
        try:
            yield
        finally:
            self.path = before
            self.called.pop()
            self.given.pop()
            self.depth -= 1
            if self.depth == 0:
                self.scope = ""

    @contextmanager
    def at(self, path: str) -> Iterator[None]:
        """Inside, sites begin with `path`."""
        before, self.path = self.path, path
        try:
            yield
        finally:
            self.path = before

    def site(self, name: str) -> str:
        """A path of its own below the present one, for a call, a draw or a state called `name`."""
        path = f"{self.path}.{name}" if self.path else name
        number = self.numbers[path] = self.numbers.get(path, 0) + 1
        return path if number == 1 else f"{path}_{number}"

    def add(
        self,
        op: str,
        inputs: Sequence[Operand],
        type_: Type,
        span: Span | None,
        settings: Mapping[str, Any] | None = None,
        hint: str = "",
    ) -> Node:
        """The node for this computation; an equal one that exists is used again."""
        plain = tuple(settings.items()) if settings else ()
        key = (op, tuple([(type(i), i) for i in inputs]), repr(plain) if plain else "")
        found = self.known.get(key)
        if found is not None:
            return found
        if len(self.nodes) >= MAX_NODES:
            self.fail("E311", f"the spec makes more than {MAX_NODES} operations", span)
        hint = hint or op
        name = fresh(hint, self.names)
        self.hints[name] = hint
        call = self.called[0] if self.called else None
        if call is not None and span is not None and span.source is call.source:
            call = None
        node = Node(name, op, tuple(inputs), plain, type_, span, self.scope, call)
        self.nodes.append(node)
        self.known[key] = node
        return node

    def node(self, name: str) -> Node:
        """The node of this name; the latest are found first."""
        return next(node for node in reversed(self.nodes) if node.name == name)

    def named(self, value: Any, name: str, strength: int = BOUND) -> Any:
        """`value`; its node shall be called `name` in the graph, unless it has a stronger title.

        Names that nodes carry while the graph is built never change, for values hold them.
        """
        if isinstance(value, Value):
            self.entitle(value.node, name, strength)
        return value

    def entitle(self, node: str, name: str, strength: int = BOUND) -> None:
        """Give a node a title; of two declared names the first stays, of two calls the outer."""
        old = self.titles.get(node, (0, ""))[0]
        if strength > old or strength == old == CALLED:
            self.titles[node] = (strength, name)

    def graph(self, outputs: Mapping[str, str], writes: Mapping[str, Write]) -> Graph:
        """The graph of what the outputs and writes need, its nodes called by their titles."""
        return self.titled(outputs, writes)[0]

    def titled(
        self, outputs: Mapping[str, str], writes: Mapping[str, Write]
    ) -> tuple[Graph, Mapping[str, str]]:
        """`graph`, and what it calls each node that it has."""
        made = Graph(tuple(self.nodes), outputs, writes).pruned()
        taken: dict[str, int] = {}
        names: dict[str, str] = {}
        entitled = [n for n in made.nodes if n.name in self.titles and n.op not in _NAMESAKES]
        kept = [n for n in made.nodes if n.name not in self.titles or n.op in _NAMESAKES]
        for node in kept:  # names that stay first, so that only titles are numbered
            names[node.name] = fresh(self.hints.get(node.name, node.op), taken)
        for node in entitled:
            names[node.name] = fresh(self.titles[node.name][1], taken)
        return made.renamed(names), names


def fresh(hint: str, taken: dict[str, int]) -> str:
    """An identifier like `hint` that is not taken, which it then is.

    `taken` holds with each name the last number that was appended to it.
    """
    if not hint.isidentifier():
        hint = "".join(c if c.isalnum() else "_" for c in hint)
    base = hint.strip("_") or "value"
    if base[0].isdigit():
        base = "_" + base
    name, number = base, taken.get(base, 1)
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken[name] = 1
    taken[base] = number
    return name
