"""The syntax tree. Every node knows its source range; ranges do not count in comparisons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from sslang.diagnostics import Span
from sslang.records import record


@record(frozen=True)
class Node:
    span: Span = field(compare=False, repr=False, kw_only=True)

    def children(self) -> Iterator[Node]:
        for value in vars(self).values():
            if isinstance(value, Node):
                yield value
            elif isinstance(value, tuple):
                yield from (element for element in value if isinstance(element, Node))


# --- expressions -------------------------------------------------------------------------


@record(frozen=True)
class Number(Node):
    value: int | float


@record(frozen=True)
class Text(Node):
    value: str


@record(frozen=True)
class Name(Node):
    name: str


@record(frozen=True)
class ListOf(Node):
    items: tuple[Node, ...]


@record(frozen=True)
class Quantity(Node):
    """A number, or a list of them, with the unit `epochs` or `steps`."""

    value: Node
    unit: str


@record(frozen=True)
class Attribute(Node):
    value: Node
    name: str


@record(frozen=True)
class Slice(Node):
    start: Node | None
    stop: Node | None


@record(frozen=True)
class Ellipsis_(Node):
    pass


@record(frozen=True)
class Index(Node):
    value: Node
    items: tuple[Node, ...]


@record(frozen=True)
class Unary(Node):
    operator: str
    value: Node


@record(frozen=True)
class Binary(Node):
    operator: str
    left: Node
    right: Node


@record(frozen=True)
class Range(Node):
    """`a..b`, with both ends."""

    low: Node
    high: Node


@record(frozen=True)
class Arrow(Node):
    start: Node
    end: Node


@record(frozen=True)
class Then(Node):
    first: Node
    second: Node


@record(frozen=True)
class Conditional(Node):
    value: Node
    condition: Node
    otherwise: Node


@record(frozen=True)
class Argument(Node):
    value: Node
    name: str | None = None


@record(frozen=True)
class Generator(Node):
    name: str
    over: Node


@record(frozen=True)
class Comprehension(Node):
    value: Node
    generators: tuple[Generator, ...]
    condition: Node | None


@record(frozen=True)
class Call(Node):
    function: Node
    arguments: tuple[Argument, ...]


@record(frozen=True)
class With(Node):
    value: Node
    settings: tuple[Argument, ...]


@record(frozen=True)
class On(Node):
    value: Node
    constraint: Node


# --- statements --------------------------------------------------------------------------


@record(frozen=True)
class Over(Node):
    """`v in views`, in the target of a binding."""

    name: str
    over: Node


@record(frozen=True)
class Target(Node):
    name: str
    items: tuple[Node, ...] = ()


@record(frozen=True)
class Method(Node):
    name: str
    arguments: tuple[Argument, ...]


@record(frozen=True)
class Use(Node):
    names: tuple[str, ...]
    file: str


@record(frozen=True)
class Assume(Node):
    name: str
    reason: str


@record(frozen=True)
class Declaration(Node):
    """`kind targets = value`, where kind is param, view, encoder, head, branch, ..."""

    kind: str
    targets: tuple[Target, ...]
    value: Node


@record(frozen=True)
class Binding(Node):
    target: Target
    value: Node


@record(frozen=True)
class Write(Node):
    target: Target
    value: Node


@record(frozen=True)
class Return(Node):
    value: Node


@record(frozen=True)
class Pattern(Node):
    """`[B, D]`, `index[B, K]`, `[B, D][2]`: the shape that a parameter takes apart."""

    kind: str | None
    dims: tuple[Node, ...]
    members: Node | None


@record(frozen=True)
class Parameter(Node):
    name: str
    pattern: Pattern | None
    default: Node | None

    def pattern_text(self) -> str:
        """The pattern as it is written."""
        return "any value" if self.pattern is None else f"`{self.pattern.span.text}`"


@record(frozen=True)
class Block(Node):
    statements: tuple[Node, ...]


@record(frozen=True)
class Function(Node):
    name: str
    parameters: tuple[Parameter, ...]
    body: Node  # a Block, or the expression after `=`

    @property
    def name_span(self) -> Span:
        """Where its name stands; the range of the whole where the text has another."""
        start = self.span.text.find(self.name, len("fn"))
        if start < 0:
            return self.span.first_line
        begin = self.span.start + start
        return Span(self.span.source, begin, begin + len(self.name))


@record(frozen=True)
class Phase(Node):
    name: str
    body: Block


@record(frozen=True)
class Recipe(Node):
    name: str
    bases: tuple[str, ...]
    body: Block


@record(frozen=True)
class Nested(Node):
    """`finetune { ... }` inside a recipe: bindings for one phase."""

    name: str
    body: Block


@record(frozen=True)
class Comment:
    span: Span
    text: str


@record(frozen=True)
class File(Node):
    statements: tuple[Node, ...]
    comments: tuple[Comment, ...] = field(compare=False, default=())
