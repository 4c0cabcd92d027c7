"""Lark's parse tree to our own nodes, without recursion, with a limit on depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sslang.diagnostics import Diagnostic, Source, Span
from sslang.syntax import tree

if TYPE_CHECKING:
    from lark import Tree

MAX_DEPTH = 100
_MAX_DIGITS = 15
_MAX_LENGTH = 40


class Rejected(Exception):
    """A text that is no program. `offset` is the place at fault, `final` that no more is read."""

    def __init__(self, diagnostic: Diagnostic, offset: int, *, final: bool = False) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic
        self.offset = offset
        self.final = final


def build(parsed: Tree[Any], source: Source) -> tree.File:
    """The tree of a file, with its comments."""
    built: dict[int, Any] = {}
    places: dict[int, tuple[int, int, int]] = {}  # of a subtree: its levels, start and end
    for subtree in parsed.iter_subtrees():
        level, start, end = 0, -1, 0
        children: list[Any] = []
        child: Any
        for child in subtree.children:
            if hasattr(child, "data"):
                children.append(built[id(child)])
                below, first, last = places[id(child)]
                level = max(level, below)
            else:
                children.append(child)
                if child is None:
                    continue
                first, last = child.start_pos, child.end_pos
            start = first if start < 0 else start
            end = max(last, end)
        places[id(subtree)] = (level + 1, start, end)
        span = Span(source, max(start, 0), end)
        if level >= MAX_DEPTH and subtree is not parsed:
            raise Rejected(
                Diagnostic("E103", f"the expression is more than {MAX_DEPTH} levels deep", span),
                span.start,
            )
        built[id(subtree)] = _BUILDERS[subtree.data](span, children)
    file: tree.File = built[id(parsed)]
    return tree.File(file.statements, comments(source), span=Span(source, 0, len(source.text)))


def comments(source: Source) -> tuple[tree.Comment, ...]:
    """Every comment of a text that is known to be lexically right."""
    found, offset = [], 0
    for line in source.text.split("\n"):
        start = comment_start(line)
        if start is not None:
            text = line[start:].rstrip()
            span = Span(source, offset + start, offset + start + len(text))
            found.append(tree.Comment(span, text))
        offset += len(line) + 1
    return tuple(found)


def comment_start(line: str) -> int | None:
    """Where the comment of a line begins, if it has one."""
    first = line.find("#")
    if first < 0 or '"' not in line[:first]:
        return first if first >= 0 else None
    in_text = False
    for i, char in enumerate(line):
        if char == '"':
            in_text = not in_text
        elif char == "#" and not in_text:
            return i
    return None


def _number(span: Span, children: list[Any]) -> tree.Number:
    text = str(children[0])
    digits = text.lower().split("e")[0].replace(".", "").strip("0")
    if len(digits) > _MAX_DIGITS or len(text) > _MAX_LENGTH:
        message = f"the number has more than {_MAX_DIGITS} digits"
        raise Rejected(Diagnostic("E105", message, span), span.start)
    if text.isdigit() and len(text.lstrip("0")) <= _MAX_DIGITS:
        return tree.Number(int(text), span=span)
    value = float(text)
    if value > 1e30 or (digits and value < 1e-30):
        message = "the number is too large or too small"
        hint = "numbers other than 0 lie in 1e-30..1e30"
        raise Rejected(Diagnostic("E105", message, span, hint=hint), span.start)
    return tree.Number(value, span=span)


def _text(token: Any) -> str:
    return str(token)[1:-1]


def _arguments(value: Any) -> tuple[tree.Argument, ...]:
    return value or ()


def _parameter(span: Span, c: list[Any]) -> tree.Parameter:
    return tree.Parameter(str(c[0]), c[1], c[2], span=span)


def _pattern(span: Span, c: list[Any]) -> tree.Pattern:
    kind, _, *dims, _, members, _ = c
    present = tuple(d for d in dims if d is not None)
    return tree.Pattern(None if kind is None else str(kind), present, members, span=span)


def _comprehension(span: Span, c: list[Any]) -> tree.Argument:
    value, *generators, condition = c
    return tree.Argument(
        tree.Comprehension(value, tuple(generators), condition, span=span), span=span
    )


def _quantity(span: Span, c: list[Any]) -> tree.Quantity:
    unit = str(c[1])
    return tree.Quantity(c[0], unit if unit.endswith("s") else unit + "s", span=span)


def _method(span: Span, c: list[Any]) -> tree.Method:
    return tree.Method(_text(c[1]), _arguments(c[2]), span=span)


def _recipe(span: Span, c: list[Any]) -> tree.Recipe:
    return tree.Recipe(str(c[1]), c[2] or (), c[3], span=span)


def _unwrap(span: Span, c: list[Any]) -> Any:
    return c[1]


def _sequence(span: Span, c: list[Any]) -> tuple[Any, ...]:
    return tuple(c)


_BUILDERS: dict[str, Callable[[Span, list[Any]], Any]] = {
    "start": lambda s, c: tree.File(tuple(c), span=s),
    "method": _method,
    "use": lambda s, c: tree.Use(c[1], _text(c[2]), span=s),
    "assume": lambda s, c: tree.Assume(str(c[1]), _text(c[2]), span=s),
    "declaration": lambda s, c: tree.Declaration(str(c[0]), c[1], c[3], span=s),
    "function": lambda s, c: tree.Function(str(c[1]), c[2] or (), c[3], span=s),
    "return_": lambda s, c: tree.Return(c[1], span=s),
    "phase": lambda s, c: tree.Phase(str(c[1]), c[2], span=s),
    "recipe": _recipe,
    "nested": lambda s, c: tree.Nested(str(c[0]), c[1], span=s),
    "binding": lambda s, c: tree.Binding(c[0], c[1], span=s),
    "write": lambda s, c: tree.Write(c[0], c[1], span=s),
    "block": lambda s, c: tree.Block(tuple(x for x in c[1:-1] if x is not None), span=s),
    "targets": _sequence,
    "target": lambda s, c: tree.Target(str(c[0]), tuple(c[1:-1]), span=s),
    "over": lambda s, c: tree.Over(str(c[0]), c[1], span=s),
    "names": lambda s, c: tuple(str(x) for x in c),
    "parameters": lambda s, c: tuple(x for x in c if x is not None),
    "parameter": _parameter,
    "pattern": _pattern,
    "with_": lambda s, c: tree.With(c[0], c[1], span=s),
    "on_": lambda s, c: tree.On(c[0], c[1], span=s),
    "then_": lambda s, c: tree.Then(c[0], c[1], span=s),
    "arrow": lambda s, c: tree.Arrow(c[0], c[1], span=s),
    "conditional": lambda s, c: tree.Conditional(c[0], c[1], c[2], span=s),
    "range": lambda s, c: tree.Range(c[0], c[1], span=s),
    "binary": lambda s, c: tree.Binary(str(c[1]), c[0], c[2], span=s),
    "unary": lambda s, c: tree.Unary(str(c[0]), c[1], span=s),
    "call": lambda s, c: tree.Call(c[0], _arguments(c[1]), span=s),
    "index": lambda s, c: tree.Index(c[0], c[1], span=s),
    "attribute": lambda s, c: tree.Attribute(c[0], str(c[1]), span=s),
    "quantity": _quantity,
    "number": _number,
    "string": lambda s, c: tree.Text(_text(c[0]), span=s),
    "name": lambda s, c: tree.Name(str(c[0]), span=s),
    "parenthesised": _unwrap,
    "list": lambda s, c: tree.ListOf(c[1] or (), span=s),
    "items": _sequence,
    "arguments": _sequence,
    "keyword": lambda s, c: tree.Argument(c[1], str(c[0]), span=s),
    "positional": lambda s, c: tree.Argument(c[0], span=s),
    "comprehension": _comprehension,
    "generator": lambda s, c: tree.Generator(str(c[1]), c[2], span=s),
    "subscripts": _sequence,
    "slice_": lambda s, c: tree.Slice(c[0], c[2], span=s),
    "ellipsis": lambda s, c: tree.Ellipsis_(span=s),
}
